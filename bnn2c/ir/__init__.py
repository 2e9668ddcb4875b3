"""The intermediate representation: a graph of physical channels-last tensors and the operations between them."""

from bnn2c.ir.graph import Graph, Node, Port, execute, origins
from bnn2c.ir.op import Cost, Op
from bnn2c.ir.types import TensorType

__all__ = ["Cost", "Graph", "Node", "Op", "Port", "TensorType", "execute", "origins"]
