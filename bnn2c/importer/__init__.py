"""ONNX in, physical channels-last IR out."""

from bnn2c.importer.interpreter import import_graph
from bnn2c.importer.load import load_model

__all__ = ["import_graph", "load_model"]
