"""The contract of the generated C (DESIGN section 6): warnings, symbols, memory, errors, re-entrancy, names, bytes."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Array, Net, cnn, compiled, mlp, random_layer
from strict import SANITIZE, WARNINGS

from bnn2c.naming import comment, identifier, unique
from bnn2c.pipeline import Compiled
from bnn2c.targets import load_target
from bnn2c.toolchain import ObjectSizes, TargetRun, ToolchainMissing, build_shared, require_tools, run_on_target
from bnn2c.toolchain.build import Builder, write_files
from bnn2c.toolchain.elf import object_sizes

PIXELS = {"input_scale": 1 / 255}


def classifier() -> onnx.ModelProto:
    """Pixels in, integers inside, a class number out: no real number anywhere at run time."""
    rng, n = np.random.default_rng(5), Net()
    x = n.add("Sub", n.input([1, 64]), 0.5)
    for fan_in, fan_out in ((64, 48), (48, 40)):
        x = n.chain(
            x, ("Sign",), ("MatMul", random_layer(rng, fan_out, fan_in).signs.T.astype(np.float32)), ("Add", 0.5)
        )
    x = n.chain(x, ("Sign",), ("MatMul", random_layer(rng, 10, 40).signs.T.astype(np.float32)))
    return n.model(n.add("ArgMax", x, axis=1, keepdims=0), element=onnx.TensorProto.INT64)


def mixed() -> onnx.ModelProto:
    """Two inputs and two outputs; real layers, average pooling, softmax."""
    rng, n = np.random.default_rng(6), Net()
    image, extra = n.input([1, 2, 8, 8], "image"), n.input([1, 5], "extra")
    x = n.add("Conv", n.add("Sign", image), random_layer(rng, 12, 2, 3, 3).weights, pads=[1, 1, 1, 1])
    pooled = n.add("Flatten", n.add("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4]))
    joined = n.add("Concat", pooled, n.add("Tanh", extra), axis=1)
    logits = n.add("Gemm", joined, rng.standard_normal((53, 6)), rng.standard_normal(6))
    return n.model(n.add("Softmax", logits, axis=1), n.add("Sign", pooled))


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], dict[str, Any]]] = {
    "mlp": (mlp, {}),
    "mlp_bits": (lambda: mlp(decide=True), PIXELS),
    "cnn": (cnn, PIXELS),
    "cnn_size": (lambda: cnn(decide=True), {**PIXELS, "optimize": "size"}),
    "cnn_speed": (lambda: cnn(channels=(3, 32, 40), decide=True), {**PIXELS, "optimize": "speed"}),
    "cnn_real": (lambda: cnn(real_first=True), {}),
    "classes": (classifier, PIXELS),
    "mixed": (mixed, {}),
}
BINARY = [
    "mlp_bits",
    "cnn_size",
    "cnn_speed",
]  # no real number and no comparison that the compiler may turn into a branch
INTEGER = [*BINARY, "classes"]


@cache
def generated(name: str, target: str = "portable") -> Compiled:
    make, options = MODELS[name]
    return compiled(make(), name=name, target=target, **options)


def samples(found: Compiled, count: int, seed: int = 0) -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    ports = found.manifest["inputs"]
    draw = {"uint8": lambda s: rng.integers(0, 256, s).astype(np.uint8), "float32": lambda s: rng.normal(0.5, 1, s)}
    return [[np.asarray(draw[p["dtype"]](p["shape"]), p["dtype"]) for p in ports] for _ in range(count)]


def assert_same(found: Compiled, outputs: list[Array], sample: list[Array]) -> None:
    for port, one, expected in zip(found.manifest["outputs"], outputs, found.reference(sample), strict=True):
        if port["dtype"] == "float32":
            np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-5 * float(np.abs(expected).max()))
        else:
            np.testing.assert_array_equal(one, expected)


def program(name: str) -> str:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


def checked(*command: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    texts = [str(c) for c in command]
    done = subprocess.run(texts, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All models, each in a folder of its own."""
    root = tmp_path_factory.mktemp("models")
    for name in MODELS:
        write_files(generated(name).files, root / name)
    return {name: root / name for name in MODELS}


# --- it compiles everywhere -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opt", ["-O0", "-O2", "-Os"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_warnings(compiler: str, opt: str, folders: dict[str, Path], tmp_path: Path) -> None:
    program(compiler)
    for name, folder in folders.items():
        sources = sorted(folder.glob("*.c"))
        checked(compiler, *WARNINGS, opt, "-c", *sources, cwd=tmp_path)
        assert (tmp_path / f"{name}.o").is_file()


def test_headers_are_cpp_and_can_be_included_together_and_twice(folders: dict[str, Path], tmp_path: Path) -> None:
    includes = "".join(f'#include "{name}.h"\n' for name in [*MODELS, *MODELS])
    calls = ", ".join(f"{name}_run(nullptr, nullptr, nullptr)" for name in MODELS)
    (tmp_path / "all.cpp").write_text(f"{includes}int main() {{\n  return {calls};\n}}\n")
    where = [f"-I{folder}" for folder in folders.values()]
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wold-style-cast", "-Wundef", "-Werror"]
    checked(program("g++"), "-std=c++11", *flags, *where, "-c", "all.cpp", cwd=tmp_path)
    wanted = checked("nm", "-u", "all.o", cwd=tmp_path).split()  # names of C, that C++ did not change
    assert {f"{name}_run" for name in MODELS} == {name for name in wanted if "_run" in name}


def test_another_release_of_the_runtime_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["mlp"], tmp_path / "gen")
    header = tmp_path / "gen" / "bnn2c.h"
    header.write_text(re.sub(r"(#define BNN2C_ABI_VERSION) \d+", r"\1 9999", header.read_text()))
    run = subprocess.run(["gcc", "-c", "mlp.c"], cwd=tmp_path / "gen", capture_output=True, text=True, check=False)
    assert run.returncode != 0 and "generated by another release" in run.stderr


def test_macros_can_be_overridden(tmp_path: Path) -> None:
    found = generated("mlp_bits")
    flags = [
        '-DBNN2C_WEIGHTS_SECTION=__attribute__((section(".qspi")))',
        '-DBNN2C_CODE_SECTION=__attribute__((section(".itcm")))',
        "-DBNN2C_POPCOUNT32(x)=((uint32_t)__builtin_popcount(x))",
    ]
    library = build_shared(found.files, found.manifest, tmp_path, cflags=flags)
    assert_same(found, library.run(samples(found, 1)[0]), samples(found, 1)[0])
    assert {".qspi", ".itcm"} <= set(checked("readelf", "-SW", library.path, cwd=tmp_path).replace("]", " ").split())


# --- what it needs ----------------------------------------------------------------------------------------------------

INTEGER_HELPERS = {"__aeabi_uidiv", "__aeabi_uidivmod", "__aeabi_idiv", "__aeabi_idivmod", "__aeabi_lmul"}
SWITCH_HELPERS = {f"__gnu_thumb1_case_{kind}" for kind in ("sqi", "uqi", "shi", "uhi", "si")}
LIBRARY = {
    "memcpy",
    "memset",
    "memmove",
    "memcmp",
    "malloc",
    "free",
    "calloc",
    "printf",
    "abort",
    "exit",
    "__assert_func",
}


def sizes_of(name: str, target: str, folder: Path, opt: str | None = None) -> ObjectSizes:
    builder = cross(target, opt)
    return object_sizes(
        builder.compile(write_files(generated(name, target).files, folder / "src"), folder, ["-std=c99"])
    )


def cross(target: str, opt: str | None = None) -> Builder:
    found = load_target(target)
    try:
        require_tools(found)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    return Builder.for_target(found, opt, (), None)


@pytest.mark.cross
@pytest.mark.parametrize("opt", ["-Os", "-O3"])
@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
def test_an_integer_network_needs_nothing(target: str, name: str, opt: str, tmp_path: Path) -> None:
    found = sizes_of(name, target, tmp_path, opt)
    allowed = INTEGER_HELPERS | SWITCH_HELPERS if target == "cortex-m0" else set()
    assert set(found.undefined) <= allowed
    assert found.static_ram_bytes == 0


@pytest.mark.cross
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", ["cortex-m4", "rv32imc"])
def test_no_library_and_no_variables(name: str, target: str, tmp_path: Path) -> None:
    found = sizes_of(name, target, tmp_path)
    assert found.static_ram_bytes == 0
    assert not set(found.undefined) & LIBRARY
    if target == "cortex-m4":
        assert not found.undefined


def test_stated_constants_are_the_linked_ones(tmp_path: Path) -> None:
    for name in MODELS:
        found = generated(name)
        objects = Builder.for_target(load_target("host"), "-Os", (), None).compile(
            write_files(found.files, tmp_path / name), tmp_path / name / "o", ["-std=c99"]
        )
        stated, linked = found.manifest["weights_bytes"], object_sizes([o for o in objects if "weights" in o.name])
        assert stated <= linked.const_bytes <= stated + 32 * found.files[f"{name}_weights.c"].count("[")


# --- memory -----------------------------------------------------------------------------------------------------------


class Library:
    """A model called directly, so that its memory can be looked at."""

    def __init__(self, found: Compiled, folder: Path) -> None:
        prefix, manifest = found.manifest["prefix"], found.manifest
        path = build_shared(found.files, manifest, folder).path
        self.function = getattr(ctypes.CDLL(str(path)), f"{prefix}_run")
        self.function.argtypes = [ctypes.c_void_p] * 3
        self.arena_bytes = manifest["arena_bytes"]
        self.output_bytes = sum(p["bytes"] for p in manifest["outputs"])

    def run(self, inputs: Array, output: Array, arena: Array) -> int:
        return int(self.function(inputs.ctypes.data, output.ctypes.data, arena.ctypes.data))

    def output(self, fill: int = 0) -> Array:
        return np.full(self.output_bytes, fill, np.uint8)

    def arena(self, fill: int = 0) -> Array:
        """Aligned to 64 bytes."""
        memory = np.full(self.arena_bytes + 64, fill, np.uint8)
        start = -memory.ctypes.data % 64
        return memory[start : start + self.arena_bytes]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Library]:
    return cache(lambda name: Library(generated(name), tmp_path_factory.mktemp(name)))


def flat(sample: list[Array]) -> Array:
    """The input struct: members one after the other."""
    return np.concatenate([np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in sample])


@pytest.mark.parametrize("name", MODELS)
def test_arena_is_used_to_its_end_and_its_content_does_not_matter(
    name: str, libraries: Callable[[str], Library]
) -> None:
    library, sample = libraries(name), samples(generated(name), 1)[0]
    outputs, touched = [], np.zeros(library.arena_bytes, bool)
    for fill in (0x00, 0xFF, 0xA5):
        arena, output = library.arena(fill), library.output(fill)
        assert library.run(flat(sample), output, arena) == 0
        touched |= arena != fill
        outputs.append(output)
    assert all(np.array_equal(outputs[0], other) for other in outputs[1:])
    assert touched[-8:].any()


@pytest.mark.parametrize("name", MODELS)
def test_errors_are_reported_and_write_nothing(name: str, libraries: Callable[[str], Library]) -> None:
    library, given = libraries(name), flat(samples(generated(name), 1)[0])
    output, arena = library.output(0x5A), library.arena(0x5A)
    run = library.function
    inside, out, memory = given.ctypes.data, output.ctypes.data, arena.ctypes.data
    assert [run(None, out, memory), run(inside, None, memory), run(inside, out, None)] == [1, 1, 1]
    assert [run(inside, out, memory + shift) for shift in range(1, 8)] == [2] * 7
    assert (output == 0x5A).all() and (arena == 0x5A).all()


@pytest.mark.parametrize("name", MODELS)
def test_input_is_not_written(name: str, libraries: Callable[[str], Library]) -> None:
    library, given = libraries(name), flat(samples(generated(name), 1)[0])
    before = given.copy()
    assert library.run(given, library.output(), library.arena()) == 0
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("name", ["cnn", "mixed"])
def test_two_threads_with_an_arena_each(name: str, libraries: Callable[[str], Library]) -> None:
    library, found = libraries(name), generated(name)
    given = [flat(s) for s in samples(found, 8)]
    wanted = []
    for one in given:
        wanted.append(library.output())
        library.run(one, wanted[-1], library.arena())
    wrong: list[int] = []

    def work(shift: int) -> None:
        arena, output = library.arena(), library.output()
        for i in range(400):
            number = (i + shift) % len(given)
            library.run(given[number], output, arena)
            if not np.array_equal(output, wanted[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(shift,)) for shift in (0, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


TWO_THREADS = """#include <pthread.h>
#include <stdlib.h>
#include "{prefix}.h"
static {prefix}_input_t in;
static void *work(void *unused) {{
  static const size_t bytes = ({upper}_ARENA_BYTES + 63u) / 64u * 64u + 64u;
  void *const arena = aligned_alloc(64u, bytes);
  {prefix}_output_t *const out = malloc(sizeof *out);
  long failed = 0;
  for (int i = 0; i < 50; i++) {{
    failed += {prefix}_run(&in, out, arena) != BNN2C_OK;
  }}
  free(out);
  free(arena);
  (void)unused;
  return (void *)failed;
}}
int main(void) {{
  pthread_t other;
  void *failed;
  pthread_create(&other, NULL, work, NULL);
  const long here = (long)work(NULL);
  pthread_join(other, &failed);
  return here != 0 || failed != NULL;
}}
"""


@pytest.mark.parametrize("broken", [False, True], ids=["kept", "broken"])
def test_thread_sanitizer(broken: bool, tmp_path: Path) -> None:
    """Two threads on one input: no race; a static counter is one."""
    found = generated("mixed")
    files = {**found.files, "main.c": TWO_THREADS.format(prefix="mixed", upper="MIXED")}
    if broken:
        counter = "  static unsigned calls;\n  calls++;\n  out->y_0[0] = (float)calls;\n"
        name = found.manifest["outputs"][0]["c_name"]
        counter = counter.replace("y_0", name)
        files["mixed.c"] = files["mixed.c"].replace("  return BNN2C_OK;\n", counter + "  return BNN2C_OK;\n")
    sources = [path.name for path in write_files(files, tmp_path)]
    checked("gcc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1", "-g", "-fsanitize=thread", *sources, "-o", "two",
            "-lm", "-lpthread", cwd=tmp_path)  # fmt: skip
    run = subprocess.run(["./two"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ("data race" in run.stderr) == broken, run.stderr
    assert (run.returncode == 0) != broken


def in_c(values: Array) -> str:
    return ", ".join(str(v) for v in values)


def test_two_models_share_runtime_and_arena(tmp_path: Path) -> None:
    """One sanitised program, one arena as large as the larger one, runtime files only once."""
    first, second = generated("cnn"), generated("classes")
    write_files({**first.files, **second.files}, tmp_path)
    shared = set(first.files) & set(second.files)
    assert {"bnn2c.h"} <= shared and all(first.files[name] == second.files[name] for name in shared)
    size = max(first.manifest["arena_bytes"], second.manifest["arena_bytes"])
    parts = []
    for found in (first, second):
        prefix, output = found.manifest["prefix"], found.manifest["outputs"][0]
        for i, sample in enumerate(samples(found, 3)):
            wanted = np.ascontiguousarray(found.reference(sample)[0]).astype(output["dtype"]).reshape(-1)
            parts.append(f"""{{
  static const {prefix}_input_t in = {{{{{in_c(sample[0].reshape(-1))}}}}};
  static const uint8_t wanted[] = {{{in_c(wanted.view(np.uint8))}}};
  static {prefix}_output_t out;
  if ({prefix}_run(&in, &out, arena) != BNN2C_OK || memcmp(&out, wanted, sizeof wanted) != 0) {{ return {i + 1}; }}
}}""")
    main = f"""#include <stdlib.h>
#include <string.h>
#include "cnn.h"
#include "classes.h"
int main(void) {{
  void *arena = aligned_alloc(16u, {-(-size // 16) * 16}u);
{"".join(parts[i] for i in (0, 3, 1, 4, 2, 5))}
  free(arena);
  return 0;
}}
"""
    (tmp_path / "main.c").write_text(main)
    sources = ["main.c", *(name for name in sorted({*first.files, *second.files}) if name.endswith(".c"))]
    checked("gcc", "-std=c11", "-O1", *SANITIZE["gcc"], *sources, "-o", "both", cwd=tmp_path)
    checked("./both", cwd=tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", MODELS)
def test_sanitizers_find_nothing(name: str, compiler: str, tmp_path: Path) -> None:
    found = generated(name)
    run = run_on_target(
        found.files, found.manifest, load_target("host"), samples(found, 4), tmp_path, count=False, opt="-O1",
        cflags=SANITIZE[compiler], compiler=program(compiler),
    )  # fmt: skip
    for outputs, sample in zip(run.outputs, samples(found, 4), strict=True):
        assert_same(found, outputs, sample)


# --- on the targets ---------------------------------------------------------------------------------------------------


def on_target(name: str, target: str, folder: Path, count: int = 5, seed: int = 0) -> TargetRun:
    cross(target)
    found = generated(name, target)
    given = samples(found, count, seed)
    run = run_on_target(found.files, found.manifest, load_target(target), given, folder, timeout=120)
    for outputs, sample in zip(run.outputs, given, strict=True):
        assert_same(found, outputs, sample)
    assert run.guards_intact
    assert run.stack_bytes <= found.manifest["stack_bytes"]
    return run


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_networks_take_the_same_time_for_every_input(name: str, target: str, tmp_path: Path) -> None:
    if target in ("cortex-m0", "rv32imc"):  # floats of the last layer are emulated: compare layers, one run per sample
        runs = [on_target(name, target, tmp_path / str(seed), 1, seed).layer_instructions for seed in (1, 2)]
        assert len(runs[0]) > 2 and runs[0][:-1] == runs[1][:-1]
    else:
        assert on_target(name, target, tmp_path, 100 if target == "cortex-m4" else 5).constant_time


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "aarch64", "rv32imc"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "cnn_real", "classes", "mixed"])
def test_other_networks_stay_in_their_memory(name: str, target: str, tmp_path: Path) -> None:
    on_target(name, target, tmp_path, 3)


# --- the same bytes everywhere ----------------------------------------------------------------------------------------

PRINT_HASH = """
import hashlib, json, sys
from bnn2c.options import Options
from bnn2c.pipeline import compile_model
for model in sys.argv[1:]:
    found = compile_model(model, Options(name="net", target="cortex-m4"))
    print(hashlib.sha256(json.dumps([found.files, found.manifest]).encode()).hexdigest())
"""


def crowded() -> onnx.ModelProto:
    """Eight convolutions side by side and sums of pairs: many buffers of one size whose lives overlap."""
    rng, n = np.random.default_rng(2), Net()
    x = n.input([1, 4, 6, 6])
    made = [n.add("Conv", x, rng.standard_normal((4, 4, 3, 3)).astype(np.float32), pads=[1] * 4) for _ in range(8)]
    sums = [n.add("Tanh", n.add("Add", one, made[i - 3])) for i, one in enumerate(made)]
    return n.model(n.add("Concat", *sums, axis=1))


def test_the_same_bytes_in_every_folder_process_and_hash_seed(tmp_path: Path) -> None:
    import bnn2c

    here = str(Path(bnn2c.__file__).parent.parent)
    found = set()
    for seed, folder in (("0", "one"), ("1", "another folder"), ("4242", "one/deep")):
        (tmp_path / folder).mkdir(parents=True)
        onnx.save(mixed(), tmp_path / folder / "m.onnx")
        onnx.save(crowded(), tmp_path / folder / "c.onnx")
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": here}
        found.add(checked(sys.executable, "-c", PRINT_HASH, "m.onnx", "c.onnx", cwd=tmp_path / folder, env=env))
    here_too = [compiled(onnx.load(tmp_path / "one" / name), target="cortex-m4") for name in ("m.onnx", "c.onnx")]
    hashes = [hashlib.sha256(json.dumps([one.files, one.manifest]).encode()).hexdigest() + "\n" for one in here_too]
    found.add("".join(hashes))
    assert len(found) == 1


def test_no_time_and_no_path_in_the_files(tmp_path: Path) -> None:
    onnx.save(mlp(), tmp_path / "somewhere.onnx")
    found = compiled(str(tmp_path / "somewhere.onnx"))  # type: ignore[arg-type]
    text = "".join(found.files.values()) + json.dumps(found.manifest)
    assert str(tmp_path) not in text and "somewhere" not in text
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


# --- hostile names ----------------------------------------------------------------------------------------------------

HOSTILE = [
    '*/ #include "/etc/passwd"', "int", "x\n#error injected\n", "a" * 10_000, "größe", "日本語", "", " ", "x-y", "x_y",
    "x.y", "X-Y", "main", "\\", "*\\", "??/", "/*", "out", "BNN2C_OK", "%s%n", "'\"", "__x", "9lives", "\u202etxt",
    "\0", "_Bool", "bnn2c_status", "NULL", "uint8_t", "errno", "INT", "restrict",
]  # fmt: skip


def hostile_model(names: list[str]) -> onnx.ModelProto:
    """A graph whose inputs, nodes, values and outputs carry the names, and its doc strings too."""
    n = Net()
    total = ""
    for i, name in enumerate(names):
        n.input([1, 4], f"in{i}")
        n.nodes.append(onnx.helper.make_node("Sign", [f"in{i}"], [f"out{i}"], name or None, doc_string=name))
        total = n.add("Add", total, f"out{i}", name=name) if total else f"out{i}"
    model = n.model(*(f"out{i}" for i in range(len(names))), total, shape=[1, 4], name=names[0])
    renamed = {
        f"{side}{i}": f"{name}{'' if side == 'in' else ' '}" for i, name in enumerate(names) for side in ("in", "out")
    }
    for node in model.graph.node:
        node.input[:] = [renamed.get(v, v) for v in node.input]
        node.output[:] = [renamed.get(v, v) for v in node.output]
    for port in [*model.graph.input, *model.graph.output]:
        port.name = renamed.get(port.name, port.name)
    model.doc_string = model.graph.doc_string = names[0]
    return model


def test_names_of_a_model_cannot_reach_the_code(tmp_path: Path) -> None:
    usable = [name for name in HOSTILE if name not in ("", "\0")]
    found = compiled(hostile_model(usable))
    library = build_shared(found.files, found.manifest, tmp_path, cflags=WARNINGS)
    given = [np.random.default_rng(i).normal(size=(1, 4)).astype(np.float32) for i in range(len(usable))]
    outputs = library.run(given)
    for one, x in zip(outputs, given, strict=False):
        np.testing.assert_array_equal(one, np.sign(x))
    names = [p["c_name"] for p in found.manifest["inputs"]]
    assert len({n.upper() for n in names}) == len(names)
    lines = [line for text in found.files.values() for line in text.splitlines() if line.lstrip().startswith("#")]
    assert not any("passwd" in line or "injected" in line for line in lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_becomes_an_identifier(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,40}", identifier(name))


def test_equal_identifiers_are_numbered() -> None:
    assert unique(["x-y", "x.y", "x_y", "x_y_2"]) == ["x_y", "x_y_2", "x_y_3", "x_y_2_2"]


def test_outputs_are_not_named_like_other_fields_of_a_result() -> None:
    assert unique(["first_result", "result_count", "y"]) == ["first_result_", "result_count_", "y"]


@pytest.mark.parametrize("name", HOSTILE)
def test_comments_cannot_be_ended(name: str) -> None:
    text = comment(name)
    assert not re.search(r"\*/|/\*|\\|\?\?|[^ -~]", text) and len(text) <= 70


@pytest.mark.parametrize(
    "text", ["**//", "*" * 80 + "/", "//**", "*/*/*/", "/**/", "a*" + "/" * 90, "???/", "????", "*\\"]
)
def test_escaping_cannot_be_undone_by_itself(text: str) -> None:
    for length in (10, 70):
        assert not re.search(r"\*/|/\*|\?\?", comment(text, length))
