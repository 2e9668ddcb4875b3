"""Choose the kernel family of every binary convolution, and convert bit layouts where two neighbours disagree.

Class sharing is the fastest family for maps of 32 pixels and more; it wants bit planes per channel and takes 2.4 bits
of flash a weight. Bit-sliced channels take one bit a weight and packed pixels. The choice minimises predicted
instructions over the graph: start from the best family of each layer by itself, then revert layers whose gain does
not pay for the conversions around them, until nothing changes. `--optimize size` keeps one bit a weight; `balanced`
accepts the larger flash (weights and code) only when it saves at least BALANCED_GAIN instructions per extra byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.kernels import class_sharing, sliced_channels
from bnn2c.kernels.binary import ClassSharing, Sliced, shape_of
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.convert_layout import ConvertLayout
from bnn2c.targets import Target

BALANCED_GAIN = 100
CODE_BYTES = 13_000
CONVERSION_PER_WORD = 20


@dataclass(frozen=True)
class Candidate:
    """Predicted instructions of a layer in both families, and the extra flash of sharing."""

    sliced: int
    sharing: int
    extra_bytes: int


def choose_kernels(graph: Graph, target: Target, optimize: str) -> Graph:
    """Set the family of every layer that gains, and insert layout conversions."""
    if optimize == "size":
        return graph
    candidates = _candidates(graph, cost_key(target))
    chosen = {name for name, c in candidates.items() if c.sharing < c.sliced}
    while True:
        kept = {name for name in chosen if _pays(graph, name, candidates[name], chosen)}
        if kept == chosen:
            break
        chosen = kept
    if optimize == "balanced" and not _worth_its_flash([candidates[name] for name in chosen]):
        return graph
    return _convert(graph, chosen, class_sharing.lane_words(target.isa))


def _worth_its_flash(chosen: list[Candidate]) -> bool:
    saved = sum(c.sliced - c.sharing for c in chosen)
    return saved >= BALANCED_GAIN * (CODE_BYTES + sum(c.extra_bytes for c in chosen))


def cost_key(target: Target) -> str:
    """The row of the kernels' cost tables that describes a target."""
    if target.name == "cortex-m0":
        return "cortex-m0"
    if target.name.startswith("cortex-m"):
        return "cortex-m"
    return "rv32" if target.name.startswith("rv32") else "other"


def _candidates(graph: Graph, key: str) -> dict[str, Candidate]:
    found = {}
    for node in graph.nodes:
        if not isinstance(node.op, BinaryConv2d) or node.op.thresholds is None:
            continue
        kind = graph.types[node.inputs[0]]
        if ClassSharing.refuses(node.op, kind) or Sliced.refuses(node.op, kind):
            continue
        shape = shape_of(node.op, kind)
        small, fast = sliced_channels.cost(shape, key), class_sharing.cost(shape, key)
        extra = fast.flash_bytes - small.flash_bytes
        found[node.output] = Candidate(small.instructions, fast.instructions, extra)
    return found


def _pays(graph: Graph, name: str, candidate: Candidate, chosen: set[str]) -> bool:
    """Whether the gain is larger than the conversions that this layer needs given its neighbours."""
    node = next(n for n in graph.nodes if n.output == name)
    conversions = 0 if node.inputs[0] in chosen else _conversion(graph, node.inputs[0])
    readers = [n for n in graph.nodes if name in n.inputs]
    if any(n.output not in chosen for n in readers):
        conversions += _conversion(graph, name)
    return candidate.sharing + conversions < candidate.sliced


def _conversion(graph: Graph, value: str) -> int:
    height, width, channels = graph.types[value].shape
    return CONVERSION_PER_WORD * 32 * -(-height * width // 32) * -(-channels // 32)


def _convert(graph: Graph, chosen: set[str], lane_words: int) -> Graph:
    """Rebuild the graph with families and conversions."""
    types = dict(graph.types)
    nodes: list[Node] = []
    converted: dict[tuple[str, str], str] = {}
    for node in graph.nodes:
        wanted = "planes" if node.output in chosen else "pixels"
        inputs = []
        for name in node.inputs:
            kind = types[name]
            if kind.storage == "bits" and kind.layout != wanted:
                name = _converted(nodes, types, converted, (name, wanted), node)
            inputs.append(name)
        op = node.op
        if node.output in chosen and isinstance(op, BinaryConv2d):
            op = replace(op, family=ClassSharing.name, lane_words=lane_words)
        nodes.append(replace(node, op=op, inputs=tuple(inputs)))
        types[node.output] = op.infer([types[name] for name in inputs])
    return replace(graph, nodes=tuple(nodes), types=types)


def _converted(
    nodes: list[Node],
    types: dict[str, TensorType],
    converted: dict[tuple[str, str], str],
    key: tuple[str, str],
    reader: Node,
) -> str:
    """The value in the wanted layout; converted once for all readers."""
    if key not in converted:
        name = f"{key[0]}_{key[1]}"
        op = ConvertLayout(key[1])
        types[name] = op.infer([types[key[0]]])
        nodes.append(Node(name, op, (key[0],), reader.origin))
        converted[key] = name
    return converted[key]
