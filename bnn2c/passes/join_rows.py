"""Let the bits of a channels-first image be one row per channel where they are made or read element by element.

ONNX stores an image as [C, H, W]; the kernels of binary layers want packed pixels [H, W, C], or planes: all bits of a
channel one after the other. These planes are the packed "pixels" of an image [C, 1, H*W]. So a threshold in front of
the transposition, or a table of values behind it, works on that shape: then the transposition is a change of layout
(passes/choose_kernels.py) and often no work at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead


def join_rows(graph: Graph) -> Graph:
    """Rewrite around every transposition of one-bit codes."""
    return _Joiner(graph, dict(graph.types), {}).run()


@dataclass
class _Joiner:
    graph: Graph
    types: dict[str, TensorType]
    done: dict[str, Node]

    def run(self) -> Graph:
        """From the inputs towards the outputs."""
        for node in self.graph.nodes:
            for new in self._rewritten(node):
                self.done[new.output] = new
                self.types[new.output] = new.op.infer([self.types[name] for name in new.inputs])
        return drop_dead(replace(self.graph, nodes=tuple(self.done.values()), types=self.types))

    def _rewritten(self, node: Node) -> list[Node]:
        source = self.done.get(node.inputs[0]) if node.inputs else None
        if source is None:
            return [node]
        if isinstance(node.op, Rearrange) and isinstance(source.op, Quantize):
            return self._behind_threshold(node, node.op, source, source.op)
        if isinstance(node.op, LevelValues) and isinstance(source.op, Rearrange):
            return self._before_values(node, node.op, source, source.op)
        return [node]

    def _behind_threshold(self, node: Node, op: Rearrange, source: Node, step: Quantize) -> list[Node]:
        """Reshape the numbers, which moves nothing, and compare them in the shape [C, 1, H*W]."""
        height, width, channels = self.types[source.output].shape
        if op.is_reshape and step.shared and step.breaks.shape[:2] == (1, 1):
            return self._reshaped(node, op, source, step)
        joined = (height, 1, width * channels)
        same = step.shared and step.breaks.shape[1] == 1
        if width == 1 or step.planes > 1 or not same or not op.transposes(joined):
            return [node]
        numbers, code = f"{node.output}_rows", f"{node.output}_bits"
        size = width * channels
        reshape = Rearrange(np.arange(height * size, dtype=np.int32).reshape(joined))
        wide = replace(_for_channels(step, size), col_class=np.zeros(1, np.int64))
        return [
            Node(numbers, reshape, source.inputs, source.origin),
            Node(code, wide, (numbers,), source.origin, source.why),
            replace(node, inputs=(code,)),
        ]

    def _reshaped(self, node: Node, op: Rearrange, source: Node, step: Quantize) -> list[Node]:
        """Compare in the shape that is wanted, as of one frame: numbers are reshaped for nothing, bits are not."""
        numbers, (rows, cols, channels) = f"{node.output}_rows", op.index.shape
        alike = [np.zeros(count, np.int64) for count in (rows, cols)]
        wide = replace(_for_channels(step, channels), row_class=alike[0], col_class=alike[1])
        reshape = replace(source, output=numbers, op=op, why=())
        return [reshape, replace(source, output=node.output, op=wide, inputs=(numbers,))]

    def _before_values(self, node: Node, op: LevelValues, source: Node, moved: Rearrange) -> list[Node]:
        """Look the values up in the shape [C, 1, H*W]; they are stored in the order of the shape [C, H, W]."""
        height, width, channels = self.types[source.output].shape
        kind = self.types[source.inputs[0]]
        if width == 1 or kind.planes > 1 or len(op.values) > 1:
            return [node]
        bits = f"{node.output}_bits"
        turned = Rearrange(moved.index.reshape(height, 1, width * channels))
        if not turned.transposes(kind.shape):
            return [node]
        values = replace(op, shape=op.shape or (height, width, channels))
        return [replace(source, output=bits, op=turned), replace(node, op=values, inputs=(bits,))]


def _for_channels(step: Quantize, count: int) -> Quantize:
    """What is the same for all channels, for so many of them."""
    breaks, codes = (np.repeat(array[:, :, :1], count, axis=2) for array in (step.breaks, step.codes))
    return replace(step, breaks=breaks, codes=codes)
