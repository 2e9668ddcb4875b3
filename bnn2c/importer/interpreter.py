"""Walk the ONNX graph once, with every shape known, and build the physical graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx

from bnn2c.errors import CompileError, Diagnostic, meaning, own_words, reason
from bnn2c.importer.axes import check_axes
from bnn2c.importer.call import Call, attributes
from bnn2c.importer.context import Context
from bnn2c.importer.control import CONTROL
from bnn2c.importer.diverged import advise, note_diverged
from bnn2c.importer.folding import FoldingRefused, fold
from bnn2c.importer.functions import EXPANDED, function_of, operands_of
from bnn2c.importer.half import note_half
from bnn2c.importer.handlers import handler_for
from bnn2c.importer.handlers.sequences import SEQUENCE
from bnn2c.importer.inference import broken_rule, infer_shapes
from bnn2c.importer.inputs import declare_input, declare_output
from bnn2c.importer.limits import Limits, array_of
from bnn2c.importer.order import needed_nodes, node_name
from bnn2c.importer.tensors import Parts, Value, View
from bnn2c.importer.whole_numbers import check_operands, whole_numbers
from bnn2c.ir import Graph
from bnn2c.ir.builder import Builder
from bnn2c.options import Options

Scope = dict[str, Value]
Trace = dict[str, list[Value]]
"""Tensors by name, one for each time that they are computed. In front of the name of what the body of a node computes
are that of the node's first output and a slash."""
HINTS = {
    "com.microsoft.nchwc": "onnxruntime wrote it for the caches of one machine: compile the model as it was before, or "
    "save it with GraphOptimizationLevel.ORT_ENABLE_EXTENDED"
}
ON_DEVICE = "its operands depend on the input, so it would have to run on the device"


class Interpreter:
    """Executes nodes abstractly; problems are collected so that all of them are reported at once."""

    def __init__(self, model: onnx.ModelProto, ctx: Context, trace: Trace | None) -> None:
        self.ctx = ctx
        self.trace = trace
        self.path = ""
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        self.problems: list[Diagnostic] = []
        self.skipped: list[onnx.NodeProto] = []

    def run(self, nodes: Sequence[onnx.NodeProto], scope: Scope) -> None:
        """Import nodes in order; outputs of a node with a problem stay undefined and silence what depends on them."""
        for proto in nodes:
            names = [n for n in proto.input if n]
            if any(n not in scope for n in names):
                self.skipped.append(proto)
                continue
            self.ctx.limits.step()
            try:
                results = self.node(proto, scope)
            except CompileError as error:
                if self.ctx.limits.exhausted:
                    raise
                self.problems.extend(
                    one if one.node else replace(one, node=node_name(proto), op=proto.op_type)
                    for one in error.diagnostics
                )
                continue
            made = {name: tensor for name, tensor in zip(proto.output, results, strict=False) if name}
            scope.update(made)
            if self.trace is not None:
                for name, tensor in made.items():
                    self.trace.setdefault(self.path + name, []).append(tensor)

    def node(self, proto: onnx.NodeProto, scope: Scope) -> Sequence[Value]:
        """The outputs of one node."""
        operands = tuple(scope[n] if n else None for n in proto.input)
        call = Call(proto, operands, attributes(proto), self.opset)
        self.ctx.origin, self.ctx.hint = call.name, next((o for o in proto.output if o), call.name)
        if proto.domain not in ("", "ai.onnx"):
            hint = HINTS.get(proto.domain, "")
            raise call.refuse("BNN005", f"operator {proto.domain}::{proto.op_type} is not supported", ON_DEVICE, hint)
        try:
            check_axes(call)
            check_operands(self.ctx, call)
            note_half(self.ctx, call)
            note_diverged(self.ctx, call)
            results = whole_numbers(self.ctx, call, self.outputs(call, scope))
            for tensor in results:
                if not isinstance(tensor, Parts):
                    self.ctx.limits.room(tensor.shape, call.name)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError) as error:
            rule, words = _broken_rule(call), own_words(error)
            if rule:
                raise call.refuse("BNN003", f"{call.op}: {words or rule}") from error
            raise call.refuse("BNN006", f"{call.op} has a form that is not supported: {reason(error)}") from error
        return results

    def outputs(self, call: Call, scope: Scope) -> Sequence[Value]:
        """Control flow is unrolled, constants are folded, everything else has a handler."""
        if call.op in CONTROL:
            return CONTROL[call.op](self.ctx, call, lambda graph, fed: self.body(call, graph, scope, fed))
        if call.op not in SEQUENCE and not any(isinstance(t, View) for t in call.operands):
            return self.constant(call)
        if call.op in EXPANDED:
            body = function_of(call)
            # The body may leave out a result that has no name here; the first one stands for it, and nobody reads it.
            first, *_ = names = body.output[: len(call.proto.output)]
            wanted = [name if used else first for name, used in zip(names, call.proto.output, strict=True)]
            try:
                return self.computed(call, body.node, operands_of(body, call.operands), wanted)
            except CompileError:
                if rule := _broken_rule(call):
                    raise call.refuse("BNN003", f"{call.op}: {rule}") from None
                raise
        handler = handler_for(call.op)
        if handler is None:
            raise call.refuse("BNN005", f"operator {call.op} is not supported", ON_DEVICE)
        return handler(self.ctx, call)

    def constant(self, call: Call) -> Sequence[Value]:
        """Fold a node whose operands are all known."""
        try:
            operands = [t for t in call.operands if not isinstance(t, View)]
            return fold(call.proto, operands, self.opset, self.ctx.limits.elements)
        except Exception as error:
            if rule := _broken_rule(call):
                raise call.refuse("BNN003", f"{call.op}: {rule}") from error
            why = str(error) if isinstance(error, FoldingRefused) else meaning(error)
            raise call.refuse("BNN005", f"constant {call.op} cannot be evaluated: {why}") from error

    def body(self, call: Call, graph: onnx.GraphProto, outer: Scope, fed: Mapping[str, Value]) -> Sequence[Value]:
        """Import a subgraph that sees the enclosing names."""
        return self.computed(call, graph.node, {**outer, **initialisers(graph), **fed}, [o.name for o in graph.output])

    def computed(
        self, call: Call, nodes: Sequence[onnx.NodeProto], scope: Scope, names: Sequence[str]
    ) -> Sequence[Value]:
        """Import nodes in a scope of their own; their problems are those of the node that holds them."""
        before, path = len(self.problems), self.path
        self.path = f"{path}{first_output(call.proto)}/"
        self.run(nodes, scope)
        self.path = path
        missing = [name for name in names if name not in scope]
        if missing:
            unknown = CompileError.single("BNN003", f"output {missing[0]} of a subgraph is not computed")
            found = self.problems[before:]
            del self.problems[before:]
            raise CompileError(found) if found else unknown
        return [scope[name] for name in names]


def _broken_rule(call: Call) -> str:
    """The rule of ONNX that forbids the node, in ONNX's words; empty when none does."""
    if any(isinstance(t, Parts) for t in call.inputs):
        return ""
    named = zip(call.proto.input, call.operands, strict=True)
    return broken_rule(call.proto, {name: t for name, t in named if t is not None}, call.opset)


def first_output(node: onnx.NodeProto) -> str:
    """The name of the first output that has one."""
    return next((name for name in node.output if name), "")


def initialisers(graph: onnx.GraphProto) -> Scope:
    """Constant tensors of a graph."""
    return {t.name: array_of(t) for t in graph.initializer}


def _also_unsupported(model: onnx.ModelProto, skipped: Sequence[onnx.NodeProto]) -> list[Diagnostic]:
    """Unsupported operators behind another problem, which hid them; shapes as ONNX infers them."""
    try:
        inferred = infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        inferred = model.graph
    infos = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {i.name: [d.dim_value or d.dim_param or "?" for d in i.type.tensor_type.shape.dim] for i in infos}
    shapes |= {t.name: list(t.dims) for t in model.graph.initializer}
    found = []
    for node in skipped:
        standard = node.domain in ("", "ai.onnx")
        if standard and (node.op_type in (*CONTROL, *EXPANDED) or handler_for(node.op_type)):
            continue
        name = node.op_type if standard else f"{node.domain}::{node.op_type}"
        told = ", ".join(str(shapes.get(i, "unknown")).replace("'", "") for i in node.input if i)
        where = node_name(node)
        message, hint = f"operator {name} is not supported", HINTS.get(node.domain, "")
        found.append(Diagnostic("BNN005", message, node=where, op=node.op_type, shapes=told, why=ON_DEVICE, hint=hint))
    return found


def import_graph(
    model: onnx.ModelProto,
    options: Options,
    name: str,
    trace: Trace | None = None,
    warnings: list[Diagnostic] | None = None,
) -> Graph:
    """Import a checked model.

    Args:
        model: result of `load_model`.
        options: input scale and offset are used here.
        name: name of the resulting graph.
        trace: filled with every tensor that is computed, for whoever compares intermediate values.
        warnings: filled with what deserves attention.

    Raises:
        CompileError: every problem of the model at once.
    """
    builder = Builder(name)
    ctx = Context(builder, Limits(options))
    scope: Scope = initialisers(model.graph)
    real_inputs = [i for i in model.graph.input if i.name not in scope]
    for info in real_inputs:
        scope[info.name] = declare_input(ctx, info, options, len(real_inputs))
    if not real_inputs or not model.graph.output:
        missing = "input" if model.graph.output else "output"
        raise CompileError.single("BNN003", f"the graph has no {missing}")
    walker = Interpreter(model, ctx, trace)
    walker.run(needed_nodes(model.graph), scope)
    if warnings is not None:
        warnings.extend((*ctx.warnings, *advise(ctx)))
    if walker.problems:
        raise CompileError((*walker.problems, *_also_unsupported(model, walker.skipped)))
    for info in model.graph.output:
        if info.name not in scope:
            raise CompileError.single("BNN003", f"output {info.name} is not computed by any node")
        declare_output(ctx, info, scope[info.name])
    return builder.build()
