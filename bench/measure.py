"""One row per network, target and --optimize setting."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import networks
import onnx

from bnn2c.bench import bench_model
from bnn2c.kernels.alternatives import lane_words_of
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.options import Optimize, Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, require_tools
from bnn2c.toolchain.tools import find_compiler

ARM_M = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
TARGETS = (*ARM_M, "rv32imc", "rv32imc_zbb", "aarch64", "cortex-a7", "x86_64_avx2", "x86_64_avx512")
FITTED = ("cortex-m0", "cortex-m4", "rv32imc")  # the targets whose cost tables are checked on every shape
PIXEL_SCALE = 1 / 255
SIZES = ("flash_bytes", "code_bytes", "constant_bytes", "arena_bytes", "stack_bytes")


@dataclass(frozen=True)
class Job:
    """What to compile, and for what."""

    network: str
    target: str
    optimize: Optimize

    @property
    def key(self) -> str:
        return f"{self.network}, {self.target}, {self.optimize}"


def all_jobs() -> list[Job]:
    """Every shape at `speed`; at `size` the shapes with goals, and every shape on the targets with cost tables."""
    speed = [Job(name, target, "speed") for target in TARGETS for name in (*networks.LAYERS, "CNV_1W1A")]
    size = [Job(name, target, "size") for target in TARGETS for name in ("C", "F", "CNV_1W1A")]
    more = [Job(name, target, "size") for target in FITTED for name in networks.LAYERS if name not in ("C", "F")]
    return speed + size + more


def quick_jobs() -> list[Job]:
    """The subset that the test suite runs."""
    found = [Job(name, target, "speed") for target in FITTED for name in ("C", "F")]
    size = [Job("C", "cortex-m4", "size"), Job("F", "cortex-m0", "size")]
    return [*found, *size, Job("C stride 2", "cortex-m4", "speed")]


def available(jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """The jobs whose tools are installed, and a line for every target whose tools are not."""
    missing = {}
    for target in {job.target for job in jobs}:
        try:
            require_tools(load_target(target))
        except ToolchainMissing as error:
            missing[target] = str(error)
    return [job for job in jobs if job.target not in missing], sorted(missing.values())


def run(jobs: list[Job], processes: int = 1) -> Iterator[dict]:
    """A row per job, in order."""
    if processes == 1:
        yield from map(row, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(row, jobs)


def model_of(network: str) -> onnx.ModelProto:
    """The model of a network of networks.py."""
    return networks.cnv() if network == "CNV_1W1A" else networks.one_layer(networks.LAYERS[network])


def row(job: Job) -> dict:
    """Compile, run and measure: the measured layer (all layers of a whole network), and the network as a whole."""
    scale = PIXEL_SCALE if job.network == "CNV_1W1A" else None
    options = Options(target=job.target, optimize=job.optimize, name="net", input_scale=scale)
    compiled = compile_model(model_of(job.network), options)
    found = bench_model(compiled)
    assert sum(one["instructions"] for one in found["layers"]) <= found["instructions"]
    layer = _measured_layer(job, found, compiled)
    head = {"key": job.key, "network": job.network, "target": job.target, "optimize": job.optimize}
    head["lane_words"] = lane_words_of(compiled.final)
    sizes = {key: found[key] for key in SIZES}
    return {**head, **layer, "network_instructions": found["instructions"], **sizes, "compiler": compiler(job.target)}


def _measured_layer(job: Job, found: dict, compiled: Compiled) -> dict:
    if job.network not in networks.LAYERS:
        macs = sum(layer["binary_macs"] for layer in found["layers"])
        return {"kernel": "", "constant_time": found["constant_time"], **_counts(found["instructions"], macs)}
    layer = max(found["layers"], key=lambda one: one["binary_macs"])
    conversions = sum(one["instructions"] for one in found["layers"] if one["op"] == "convert_layout")
    shape = networks.LAYERS[job.network]
    weights = shape.inputs * shape.outputs * (1 if shape.dense else shape.kernel**2)
    node = next(n for n in compiled.final.nodes if isinstance(n.op, BinaryConv2d))
    constants = node.op.constants(compiled.final.input_types(node))
    packed = sum(array.nbytes for name, array in constants.items() if name in ("weights", "lists", "few"))
    return {
        "kernel": layer["kernel"],
        "constant_time": layer["constant_time"],
        **_counts(layer["instructions"], layer["binary_macs"]),
        "i32_with_conversions": _counts(layer["instructions"] + conversions, layer["binary_macs"])["i32"],
        "predicted": layer["predicted_instructions"],
        "bits_per_weight": round(8 * packed / weights, 3),
        "bits_with_thresholds": round(8 * layer["weight_bytes"] / weights, 3),
    }


def _counts(instructions: int, macs: int) -> dict:
    return {"instructions": instructions, "i32": round(32 * instructions / macs, 3)}


def compiler(target: str) -> str:
    """Name and version of the target's compiler: counts depend on it."""
    command = find_compiler(load_target(target))
    version = subprocess.run([*command, "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{command[-1].rsplit('/', 1)[-1]} {version}"
