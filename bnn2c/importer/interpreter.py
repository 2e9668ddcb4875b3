"""Walk the ONNX graph once, with every shape known, and build the physical graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from bnn2c.errors import CompileError, Diagnostic
from bnn2c.importer.call import Call, attributes
from bnn2c.importer.context import Context
from bnn2c.importer.folding import fold
from bnn2c.importer.functions import EXPANDED, function_of, operands_of
from bnn2c.importer.handlers import handler_for
from bnn2c.importer.inputs import declare_input, declare_output
from bnn2c.importer.limits import Limits, array_of, as_integer
from bnn2c.importer.order import needed_nodes
from bnn2c.importer.tensors import Tensor, View
from bnn2c.ir import Graph
from bnn2c.ir.builder import Builder
from bnn2c.options import Options

Scope = dict[str, Tensor]
HINTS = {
    "com.microsoft.nchwc": "onnxruntime wrote it for the caches of one machine: compile the model as it was before, or "
    "save it with GraphOptimizationLevel.ORT_ENABLE_EXTENDED"
}
MAX_TRIPS = 512
ON_DEVICE = "its operands depend on the input, so it would have to run on the device"


class Interpreter:
    """Executes nodes abstractly; problems are collected so that all of them are reported at once."""

    def __init__(self, model: onnx.ModelProto, ctx: Context) -> None:
        self.ctx = ctx
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
                self.problems.extend(error.diagnostics)
                continue
            scope.update({n: t for n, t in zip(proto.output, results, strict=False) if n})

    def node(self, proto: onnx.NodeProto, scope: Scope) -> Sequence[Tensor]:
        """The outputs of one node."""
        operands = tuple(scope[n] if n else None for n in proto.input)
        call = Call(proto, operands, attributes(proto), self.opset)
        self.ctx.origin, self.ctx.hint = call.name, next((o for o in proto.output if o), call.name)
        if proto.domain not in ("", "ai.onnx"):
            hint = HINTS.get(proto.domain, "")
            raise call.refuse("BNN005", f"operator {proto.domain}::{proto.op_type} is not supported", ON_DEVICE, hint)
        try:
            results = self.outputs(call, scope)
            for tensor in results:
                self.ctx.limits.room(tensor.shape, call.name)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError) as error:
            raise call.refuse("BNN006", f"{proto.op_type} has a form that is not supported: {error}") from error
        return results

    def outputs(self, call: Call, scope: Scope) -> Sequence[Tensor]:
        """Control flow is unrolled, constants are folded, everything else has a handler."""
        if call.op in ("If", "Loop"):
            return self.control(call, scope)
        if not any(isinstance(t, View) for t in call.inputs):
            return self.constant(call)
        if call.op in EXPANDED:
            body = function_of(call)
            # The body may leave out a result that has no name here; the first one stands for it, and nobody reads it.
            first, *_ = names = body.output[: len(call.proto.output)]
            wanted = [name if used else first for name, used in zip(names, call.proto.output, strict=True)]
            return self.computed(body.node, operands_of(body, call.inputs), wanted)
        handler = handler_for(call.op)
        if handler is None:
            raise call.refuse("BNN005", f"operator {call.op} is not supported", ON_DEVICE)
        return handler(self.ctx, call)

    def constant(self, call: Call) -> Sequence[Tensor]:
        """Fold a node whose operands are all known."""
        try:
            operands = [t for t in call.inputs if not isinstance(t, View)]
            return fold(call.proto, operands, self.opset, self.ctx.limits.elements)
        except Exception as error:
            raise call.refuse("BNN005", f"constant {call.op} cannot be evaluated: {error}") from error

    def control(self, call: Call, scope: Scope) -> Sequence[Tensor]:
        """`If` with a known condition and `Loop` with a known trip count are unrolled."""
        if call.op == "If":
            chosen = call.constant(0, "which branch runs")
            if chosen is None:
                raise call.refuse("BNN003", "the condition is missing")
            branch = call.attrs["then_branch" if bool(np.all(chosen)) else "else_branch"]
            return self.body(branch, scope, {})
        trips = call.constant(0, "the trip count")
        if trips is None or as_integer(trips) > MAX_TRIPS:
            raise call.refuse("BNN008", f"Loop needs a constant trip count of at most {MAX_TRIPS}")
        enter = call.constant(1, "whether the Loop starts")
        return self.loop(call, scope, as_integer(trips) if enter is None or bool(np.all(enter)) else 0)

    def loop(self, call: Call, scope: Scope, trips: int) -> Sequence[Tensor]:
        """Unroll; scan outputs are joined along a new first axis."""
        body = call.attrs["body"]
        carried = [t for t in call.inputs[2:] if t is not None]
        scans: list[list[Tensor]] = []
        if trips < 1 and len(call.proto.output) > len(carried):
            raise call.refuse("BNN006", "a Loop without a step has empty results")
        for trip in range(trips):
            names = [i.name for i in body.input]
            fed = dict(zip(names, [np.asarray(trip, np.int64), np.asarray(True), *carried], strict=True))
            results = list(self.body(body, scope, fed))
            if isinstance(results[0], View):
                raise call.refuse("BNN008", "the Loop's condition depends on data")
            carried, scans = results[1 : 1 + len(carried)], [*scans, results[1 + len(carried) :]]
            if not bool(np.all(results[0])):
                break
        joined = [self.stack([step[i] for step in scans], call) for i in range(len(scans[0]) if scans else 0)]
        return [*carried, *joined]

    def stack(self, parts: list[Tensor], call: Call) -> Tensor:
        """Join scan outputs along a new leading axis."""
        if not any(isinstance(p, View) for p in parts):
            return np.stack([p for p in parts if not isinstance(p, View)])
        lifted = [p.with_index(p.index[None]) if isinstance(p, View) else p[None] for p in parts]
        node = onnx.helper.make_node("Concat", [str(i) for i in range(len(parts))], ["scan"], call.name, axis=0)
        concat = handler_for("Concat")
        assert concat is not None
        return concat(self.ctx, Call(node, tuple(lifted), {"axis": 0}, self.opset))[0]

    def body(self, graph: onnx.GraphProto, outer: Scope, fed: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Import a subgraph that sees the enclosing names."""
        return self.computed(graph.node, {**outer, **initialisers(graph), **fed}, [o.name for o in graph.output])

    def computed(self, nodes: Sequence[onnx.NodeProto], scope: Scope, names: Sequence[str]) -> Sequence[Tensor]:
        """Import nodes in a scope of their own; their problems are those of the node that holds them."""
        before = len(self.problems)
        self.run(nodes, scope)
        missing = [name for name in names if name not in scope]
        if missing:
            unknown = CompileError.single("BNN003", f"output {missing[0]} of a subgraph is not computed")
            found = self.problems[before:]
            del self.problems[before:]
            raise CompileError(found) if found else unknown
        return [scope[name] for name in names]


def initialisers(graph: onnx.GraphProto) -> Scope:
    """Constant tensors of a graph."""
    return {t.name: array_of(t) for t in graph.initializer}


def _also_unsupported(model: onnx.ModelProto, skipped: Sequence[onnx.NodeProto]) -> list[Diagnostic]:
    """Unsupported operators behind another problem, which hid them; shapes as ONNX infers them."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        inferred = model.graph
    infos = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {i.name: [d.dim_value or d.dim_param or "?" for d in i.type.tensor_type.shape.dim] for i in infos}
    shapes |= {t.name: list(t.dims) for t in model.graph.initializer}
    found = []
    for node in skipped:
        standard = node.domain in ("", "ai.onnx")
        if standard and (node.op_type in ("If", "Loop", *EXPANDED) or handler_for(node.op_type)):
            continue
        name = node.op_type if standard else f"{node.domain}::{node.op_type}"
        told = ", ".join(str(shapes.get(i, "unknown")).replace("'", "") for i in node.input if i)
        where = node.name or next((o for o in node.output if o), node.op_type)
        message = f"operator {name} is not supported"
        found.append(Diagnostic("BNN005", message, node=where, op=node.op_type, shapes=told, why=ON_DEVICE))
    return found


def import_graph(model: onnx.ModelProto, options: Options, name: str, trace: Scope | None = None) -> Graph:
    """Import a checked model.

    Args:
        model: result of `load_model`.
        options: input scale and offset are used here.
        name: name of the resulting graph.
        trace: filled with every tensor of the main graph by its ONNX name, for whoever compares intermediate values.

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
    walker = Interpreter(model, ctx)
    walker.run(needed_nodes(model.graph), scope)
    if trace is not None:
        trace.update(scope)
    if walker.problems:
        raise CompileError((*walker.problems, *_also_unsupported(model, walker.skipped)))
    for info in model.graph.output:
        if info.name not in scope:
            raise CompileError.single("BNN003", f"output {info.name} is not computed by any node")
        declare_output(ctx, info, scope[info.name])
    return builder.build()
