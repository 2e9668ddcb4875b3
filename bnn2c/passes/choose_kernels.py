"""Choose the kernel family of every binary convolution, and convert bit layouts where two neighbours disagree.

The families with pixels as lanes are the fastest for maps of 32 pixels and more: class sharing, and channel steps for
few weights per output. They want bit planes per channel and take 2.4 bits of flash a weight, or 4. The other families
take packed pixels and one bit a weight; table rows take two, and only at `speed`. The choice minimises predicted
instructions over the graph, in which the last frames of a stream lie as their readers want them: start from the best
family of each layer by itself, then revert layers whose gain does not pay for the conversions around them, until
nothing changes. All kernels of a network share one width of vectors; the best choice for each width is made, and the
best of these taken. `--optimize size` keeps one bit a weight, also in first layers, which then run pixel by pixel;
`balanced` accepts the larger flash (weights and code) only when it saves at least BALANCED_GAIN instructions per extra
byte; those of a stream are counted for all steps of a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bnn2c.ir import Graph, Node, Op, TensorType
from bnn2c.kernels.alternatives import Alternative, alternatives, binary_part
from bnn2c.kernels.binary import PLANE_FAMILIES, WIDE_FAMILIES, FewPixels, SlicedPlanes
from bnn2c.kernels.cores import widest_lanes
from bnn2c.kernels.popcount import Popcount
from bnn2c.ops.convert_layout import ConvertLayout
from bnn2c.ops.frame_classes import FrameClasses
from bnn2c.ops.loop import Loop
from bnn2c.ops.paired_conv2d import PairedConv2d
from bnn2c.ops.pooled_conv2d import PooledConv2d
from bnn2c.ops.quantized_conv2d import QuantizedConv2d
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.layouts import Layouts, is_turned
from bnn2c.passes.spread_planes import BALANCED_GAIN, spread_planes
from bnn2c.targets import Target

CODE_BYTES = 13_000
FEW_PIXELS_BYTES = 2_400  # more than class sharing


@dataclass(frozen=True)
class Candidates:
    """The best family on packed pixels, and the best on bit planes; costs where there are predictions."""

    pixels: Alternative
    planes: Alternative | None

    def best(self, planes: bool) -> Alternative:
        """The best of one layout."""
        return self.planes if planes and self.planes else self.pixels

    @property
    def gain(self) -> int:
        """Instructions that planes save."""
        return _instructions(self.pixels) - _instructions(self.planes)

    @property
    def extra_bytes(self) -> int:
        """Flash that planes take more."""
        flash = [one.cost.flash_bytes if one and one.cost else 0 for one in (self.planes, self.pixels)]
        return flash[0] - flash[1]


@dataclass(frozen=True)
class Choice:
    """A family for every binary layer, at one width of vectors; `instructions` is the prediction for all of them."""

    families: dict[str, str]
    lane_words: int
    instructions: int


def kernel_choices(graph: Graph, target: Target, optimize: str, runs: float = 1.0) -> Iterator[Graph]:
    """The best choice, then others that need ever less flash and RAM, down to that of `size`.

    `runs`: how often the graph runs for a window.

    One layer after the other gives up class sharing, first those that save the fewest instructions per extra byte.
    """
    wide = graph if optimize == "size" else spread_planes(graph, target, optimize)
    best = choose_kernels(wide, target, optimize, runs=runs)
    yield best
    if optimize == "size":
        return
    worth = {
        node.output: found.gain / max(1, found.extra_bytes)
        for node in best.nodes
        if (conv := binary_part(node.op)) is not None and conv.family in PLANE_FAMILIES
        for found in [_candidates(node.op, best.types[node.inputs[0]], target, conv.lane_words, optimize, runs)]
    }
    order = sorted(worth, key=lambda name: worth[name])
    for count in range(1, len(order) + 1):
        yield choose_kernels(wide, target, optimize, frozenset(order[:count]), runs)
    yield choose_kernels(graph, target, "size")


def choose_kernels(
    graph: Graph, target: Target, optimize: str, unshared: frozenset[str] = frozenset(), runs: float = 1.0
) -> Graph:
    """Set the family of every binary layer, and insert layout conversions; no class sharing in layers `unshared`."""
    if optimize == "size":
        graph = replace(graph, nodes=tuple(map(_single_pixels, graph.nodes)))
    widths = [1] if optimize == "size" else sorted({1, widest_lanes(target)})
    choices = [_choice(graph, target, optimize, lanes, unshared, runs) for lanes in widths]
    fitting = [one for one in choices if one.lane_words == 1 or _may_be_wide(graph, one)]
    return convert(graph, min(fitting, key=lambda one: one.instructions))


def _single_pixels(node: Node) -> Node:
    """First layers pixel by pixel: one bit a weight instead of two, and less code."""
    op = node.op
    return replace(node, op=QuantizedConv2d(op.conv, op.step)) if isinstance(op, PairedConv2d) else node


def _may_be_wide(graph: Graph, choice: Choice) -> bool:
    """Kernels for several planes, and those in loops, are written for vectors of one word."""
    looped = any(isinstance(node.op, Loop) for node in graph.nodes)
    return not looped and SlicedPlanes.name not in choice.families.values()


def _choice(
    graph: Graph, target: Target, optimize: str, lane_words: int, unshared: frozenset[str], runs: float
) -> Choice:
    candidates = {
        node.output: _candidates(node.op, graph.types[node.inputs[0]], target, lane_words, optimize, runs)
        for node in graph.nodes
        if binary_part(node.op) is not None
    }
    layouts = Layouts(graph, lane_words)
    shared = set() if optimize == "size" else _shared(layouts, candidates, unshared)
    if optimize == "balanced" and not _saves_enough([candidates[name] for name in shared], runs, CODE_BYTES):
        shared = set()
    families = {name: c.best(name in shared).family for name, c in candidates.items()}
    total = sum(_instructions(c.best(name in shared)) for name, c in candidates.items())
    conversions = sum(layouts.conversions(name, shared) for name in shared)
    paired = sum(
        node.op.predicted(graph.input_types(node), lane_words)
        for node in graph.nodes
        if isinstance(node.op, PairedConv2d)
    )
    return Choice(families, lane_words, total + conversions + paired)


def _candidates(op: Op, kind: TensorType, target: Target, lane_words: int, optimize: str, runs: float) -> Candidates:
    barred = frozenset() if optimize == "speed" else WIDE_FAMILIES
    found = [one for one in alternatives(op, kind, target, lane_words) if not one.refused and one.family not in barred]
    priced = [one for one in found if one.cost is not None and one.layout == "pixels"]
    order = (SlicedPlanes.name, Popcount.name)
    general = sorted((one for one in found if one.family in order), key=lambda one: order.index(one.family))
    planes = sorted((one for one in found if one.layout == "planes"), key=_instructions)
    if optimize == "balanced" and len(planes) > 1 and planes[0].family == FewPixels.name:
        step = Candidates(planes[1], planes[0])  # from the second best
        planes = planes if _saves_enough([step], runs, FEW_PIXELS_BYTES) else planes[1:]
    return Candidates(min(priced, key=_instructions, default=general[0]), planes[0] if planes else None)


def _instructions(one: Alternative | None) -> int:
    return one.cost.instructions if one is not None and one.cost is not None else 0


def _shared(layouts: Layouts, candidates: dict[str, Candidates], unshared: frozenset[str]) -> set[str]:
    """The layers that gain from bit planes, conversions included."""
    chosen = {name for name, c in candidates.items() if c.planes and (c.gain > 0 or c.pixels.cost is None)} - unshared
    while True:
        kept = {
            name
            for name in chosen
            if candidates[name].pixels.cost is None or candidates[name].gain > layouts.conversions(name, chosen)
        }
        if kept == chosen:
            return chosen
        chosen = kept


def _saves_enough(chosen: list[Candidates], runs: float, code_bytes: int) -> bool:
    """Whether planes instead of pixels save enough instructions for each byte of constants and code."""
    saved = runs * sum(c.gain for c in chosen)
    return saved >= BALANCED_GAIN * (code_bytes + sum(c.extra_bytes for c in chosen))


def convert(graph: Graph, choice: Choice) -> Graph:
    """Rebuild the graph with families and conversions."""
    types = dict(graph.types)
    nodes: list[Node] = []
    shared = {name for name, family in choice.families.items() if family in PLANE_FAMILIES}
    moved = Layouts(graph, choice.lane_words).kept(shared)
    converted: dict[tuple[str, str], str] = {}
    for node, family in _with_families(graph, choice):
        turned, waits = is_turned(node, types), isinstance(node.op, FrameClasses)
        wanted = "planes" if family in PLANE_FAMILIES or node.output in moved else "pixels"
        inputs = []
        for name in node.inputs:
            kind = types[name]
            if not turned and not waits and kind.storage == "bits" and kind.layout != wanted:
                name = _converted(nodes, types, converted, (name, wanted), node)
            inputs.append(name)
        op = node.op
        if isinstance(op, Rearrange) and turned:
            op = replace(op, layout="planes" if types[inputs[0]].layout == "pixels" else "pixels")
        nodes.append(replace(node, op=op, inputs=tuple(inputs)))
        types[node.output] = op.infer([types[name] for name in inputs])
    return replace(graph, nodes=tuple(nodes), types=types)


def _with_families(graph: Graph, choice: Choice) -> Iterator[tuple[Node, str]]:
    """Every node and its family, "" for none; a convolution whose family cannot pool, and its pool behind it."""
    for node in graph.nodes:
        op, family = node.op, choice.families.get(node.output, "")
        conv = binary_part(op)
        if isinstance(op, PairedConv2d):
            op = replace(op, lane_words=choice.lane_words)
        elif conv is not None:
            conv = replace(conv, family=family, lane_words=choice.lane_words)
            if isinstance(op, PooledConv2d) and not PooledConv2d.fits(conv, op.pool):
                whole = f"{node.output}_whole"
                yield replace(node, output=whole, op=conv), family
                op, family, node = op.pool, "", replace(node, inputs=(whole,))
            else:
                op = replace(op, conv=conv) if isinstance(op, PooledConv2d) else conv
        yield replace(node, op=op), family


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
