"""The compiler on one screen: ONNX -> imported graph -> passes -> lowered graph -> memory plan -> C files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from bnn2c import naming
from bnn2c.advice import advice
from bnn2c.emit import emit
from bnn2c.emit.files import runtime_files
from bnn2c.emit.manifest import Job, facts_of, manifest_of, report_of
from bnn2c.emit.states import state_context, state_facts
from bnn2c.emit.stream import stream_context, stream_facts
from bnn2c.errors import Diagnostic
from bnn2c.fitting import first_that_fits
from bnn2c.fixed_point.stage import number_formats
from bnn2c.importer import import_graph, load_model
from bnn2c.importer.limits import exhaustion_refused
from bnn2c.integrity import check_files
from bnn2c.ir import Graph
from bnn2c.ir.check import ir_check
from bnn2c.ir.graph import outputs
from bnn2c.ir.op import Array
from bnn2c.ir.text import to_text
from bnn2c.lowering import lower
from bnn2c.lowering.state import State
from bnn2c.memory import Plan, plan_memory, with_counter
from bnn2c.options import Options
from bnn2c.passes.choose_kernels import kernel_choices
from bnn2c.passes.drop_softmax import drop_softmax
from bnn2c.passes.fold_one_hot import fold_one_hot
from bnn2c.passes.fold_padding import fold_padding
from bnn2c.passes.fold_tables import fold_tables
from bnn2c.passes.frames_in_rows import frames_in_rows
from bnn2c.passes.fuse_arg_max import fuse_arg_max
from bnn2c.passes.fuse_maps import fuse_maps
from bnn2c.passes.fuse_pixels import fuse_pixels
from bnn2c.passes.fuse_pools import fuse_pools
from bnn2c.passes.fuse_sums import fuse_sums
from bnn2c.passes.fuse_thresholds import fuse_thresholds
from bnn2c.passes.in_bodies import in_bodies
from bnn2c.passes.join_rows import join_rows
from bnn2c.passes.keep_compared import keep_compared
from bnn2c.passes.lay_diagonals import lay_diagonals
from bnn2c.passes.narrow_copies import narrow_copies
from bnn2c.passes.pad_late import pad_late
from bnn2c.passes.reshape_late import reshape_late
from bnn2c.passes.roll_loops import roll_loops
from bnn2c.passes.tabulate_maps import tabulate_maps
from bnn2c.selftest import with_selftest
from bnn2c.states import StatePair, state_pairs
from bnn2c.streaming import Stream, make_stream, values_first
from bnn2c.targets import Target, load_target

BEFORE_LOWERING: tuple[Callable[[Graph], Graph], ...] = (
    drop_softmax,
    pad_late,
    fold_padding,
    fold_one_hot,
    fold_tables,
)
AFTER_LOWERING: tuple[Callable[[Graph], Graph], ...] = (narrow_copies, roll_loops)
FUSING: tuple[Callable[[Graph], Graph], ...] = (
    in_bodies(fuse_thresholds),
    in_bodies(fuse_pools),
    in_bodies(fuse_pixels),
    in_bodies(fuse_maps),
    in_bodies(keep_compared),
    in_bodies(tabulate_maps),
    join_rows,
)
LAST: tuple[Callable[[Graph], Graph], ...] = (in_bodies(fuse_arg_max), in_bodies(fuse_sums))


@dataclass(frozen=True)
class Compiled:
    """The result of a compilation.

    Attributes:
        files: C file name -> text.
        manifest: what the files contain, JSON-able (docs/output-format.md).
        report_data: what the analysis found out, for the report.
        imported: the graph as imported, the oracle of real arithmetic.
        final: the graph that the C code executes; of a stream, the graph over the whole window.
        options: the options of this compilation.
    """

    files: dict[str, str]
    manifest: dict[str, Any]
    report_data: dict[str, Any]
    imported: Graph
    final: Graph
    options: Options

    def reference(self, inputs: Sequence[Array]) -> list[Array]:
        """Run the final graph in numpy on one sample."""
        return outputs(self.final, inputs)


@exhaustion_refused()
def compile_model(source: str | Path | bytes | onnx.ModelProto, options: Options | None = None) -> Compiled:
    """Compile a model.

    Raises:
        CompileError: every problem found, with diagnostics.
    """
    options = options or Options()
    target = load_target(options.target)
    prefix = naming.model_name(source, options.name)
    model = load_model(source, options)
    dump = Dump(options.dump_ir)
    told: list[Diagnostic] = []
    imported = dump("imported", import_graph(model, options, prefix, warnings=told))
    graph = imported
    for before in BEFORE_LOWERING:
        graph = dump(before.__name__, before(graph))
    graph, state = lower(graph)
    graph = dump("reshape_late", reshape_late(dump("lower", graph)))
    graph = graph if options.stream is None else dump("values_first", values_first(graph))
    formats = number_formats(graph, imported, options, target)
    graph = dump("fixed_point", formats.graph)
    state.warnings = [*told, *state.warnings, *formats.warnings]
    for after in AFTER_LOWERING:
        graph = dump(after.__name__, after(graph))
    stream = None if options.stream is None else make_stream(graph, options.stream, options.stream_frames)
    step = dump("stream", stream.graph) if stream else graph
    for fuse in FUSING:
        step = dump(fuse.__name__, fuse(step))
        graph = fuse(graph) if stream else step
    step = dump("frames_in_rows", frames_in_rows(step)) if stream else step
    digest = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    states = state_pairs(step, options.states)
    job = Job(prefix, digest, target, options)
    lowered = Lowered(graph, stream, states, imported, state, formats.summary, job)
    runs = stream.inputs[0].count / stream.step if stream else 1.0
    choices = (_finished(choice, target) for choice in kernel_choices(step, target, options.optimize, runs))
    chosen, compiled = first_that_fits(((choice, generate(lowered, choice)) for choice in choices), options)
    dump("choose_kernels", chosen)
    return with_selftest(compiled)


def _finished(graph: Graph, target: Target) -> Graph:
    """The graph after the passes that need the chosen kernels."""
    for last in LAST:
        graph = last(graph)
    return lay_diagonals(graph, target)


@dataclass(frozen=True)
class Lowered:
    """What stands before kernels are chosen."""

    graph: Graph
    stream: Stream | None
    states: tuple[StatePair, ...]
    imported: Graph
    state: State
    fixed_point: dict[str, Any]
    job: Job


def generate(source: Lowered, graph: Graph) -> Compiled:
    """Memory plan and C files of a graph with chosen kernels."""
    job, stream = source.job, source.stream
    prefix, options = job.prefix, job.options
    window = source.graph if stream else graph
    plan = plan_memory(graph, source.states)
    plan = with_counter(plan) if stream and stream.step > 1 else plan
    step = _step_of(source, graph, plan)
    files, layers, pool = emit(graph, plan, prefix, facts_of(graph, job), stream, step)
    if options.integrity:
        files |= check_files(pool, prefix)
    if options.nms:
        files |= runtime_files(["bnn2c_nms.h"])
    named = replace(graph, inputs=window.inputs, outputs=window.outputs)
    manifest = manifest_of(named, plan, job, layers, pool.nbytes, files, step)
    if step is not None:
        manifest |= stream_facts(stream, step, plan) if stream else state_facts(step, plan)
    if source.fixed_point:
        manifest["fixed_point"] = source.fixed_point
    warnings = [*source.state.warnings, *advice(graph, job.target)]
    report = report_of(graph, layers, plan, source.state, job.target, warnings)
    return Compiled(files, manifest, report, source.imported, window, options)


def compile_graph(compiled: Compiled, graph: Graph) -> Compiled:
    """The C of another form of the final graph, under the same options: for whoever examines what is inside."""
    options = compiled.options
    job = Job(compiled.manifest["prefix"], compiled.manifest["model_sha256"], load_target(options.target), options)
    ir_check(graph)
    plan = plan_memory(graph)
    files, layers, pool = emit(graph, plan, job.prefix, facts_of(graph, job))
    manifest = manifest_of(graph, plan, job, layers, pool.nbytes, files)
    return replace(compiled, files=files, manifest=manifest, final=graph)


def _step_of(source: Lowered, graph: Graph, plan: Plan) -> dict[str, Any] | None:
    """What there is to say about a step, of a network that runs step by step."""
    if source.stream is not None:
        return stream_context(source.stream, graph, plan)
    return state_context(graph, plan, source.states) if source.states else None


class Dump:
    """Checks every intermediate graph and writes its text form where the user wants it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.count = 0

    def __call__(self, stage: str, graph: Graph) -> Graph:
        """Verify, write, pass on."""
        ir_check(graph)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{self.count:02d}-{stage}.txt").write_text(to_text(graph), encoding="utf-8")
        self.count += 1
        return graph
