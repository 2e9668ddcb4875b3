"""Damage to ONNX files: of bytes, and of protobuf fields so that the damage gets past the parser."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import helper

INTEGERS = (
    0,
    1,
    -1,
    2,
    3,
    5,
    7,
    16,
    100,
    255,
    1000,
    4097,
    65536,
    2**31 - 1,
    2**31,
    2**40,
    2**62,
    2**63 - 1,
    -(2**31),
    -(2**63),
)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 1e30, 3.4e38, float("inf"), float("-inf"), float("nan"))
NAMES = (
    "",
    "x",
    "y",
    "s",
    "int",
    "main",
    '*/ #include "/etc/passwd"',
    "../../x",
    "n" * 10_000,
    "ünï\u202e\x00\n",
    "a b",
    "a?b",
    "a_b",
    "\\",
    "//",
    "%s%n",
    "??/",
    "bnn2c_run",
    "NOTSET",
    "SAME_LOWER",
    "reflect",
    "linear",
)
Mutation = Callable[[onnx.ModelProto, random.Random], None]


@cache
def operators() -> tuple[str, ...]:
    """All ONNX operators."""
    return tuple(sorted({schema.name for schema in onnx.defs.get_all_schemas()}))


def messages(root: Message) -> Iterator[Message]:
    """All messages below a message, itself included."""
    waiting = [root]
    while waiting:
        item = waiting.pop()
        yield item
        for field, value in item.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                waiting.extend(value if is_repeated(field) else [value])


def is_repeated(field: Any) -> bool:
    """True for a repeated field, with every protobuf release."""
    found = getattr(field, "is_repeated", None)
    return bool(found) if isinstance(found, bool) else field.label == FieldDescriptor.LABEL_REPEATED


def names_of(model: onnx.ModelProto) -> list[str]:
    """Tensor names of the main graph."""
    return [n for node in model.graph.node for n in (*node.input, *node.output)] or ["x"]


def scalar(field: Any, old: Any, model: onnx.ModelProto, rng: random.Random) -> Any:
    """Another value of a field's type."""
    if field.type == FieldDescriptor.TYPE_STRING:
        if field.name == "op_type" and rng.random() < 0.7:
            return rng.choice(operators())
        return rng.choice((*NAMES, *names_of(model), *operators()[:20]))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return flipped(old, rng) if old and rng.random() < 0.6 else old[: rng.randrange(len(old) + 1)]
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice(FLOATS)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values])
    number = rng.choice((*INTEGERS, old + 1, old - 1, old * 2, rng.randrange(30)))
    bits = 31 if field.type in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32) else 63
    low = 0 if field.type in (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_UINT32) else -(2**bits)
    return min(max(number, low), 2**bits - 1)


def one_field(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change, remove, double or swap one field of one message anywhere."""
    item = rng.choice([m for m in messages(model) if m.ListFields()])
    field, value = rng.choice(item.ListFields())
    if not is_repeated(field):
        if field.type == FieldDescriptor.TYPE_MESSAGE or rng.random() < 0.15:
            item.ClearField(field.name)
        else:
            setattr(item, field.name, scalar(field, value, model, rng))
        return
    repeated(item, field, value, model, rng)


def repeated(item: Message, field: Any, value: Any, model: onnx.ModelProto, rng: random.Random) -> None:
    """Damage to a list: drop, double, swap or change elements."""
    place, other = rng.randrange(len(value)), rng.randrange(len(value))
    kind = rng.random()
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        copies = [type(v).FromString(v.SerializeToString()) for v in value]
        if kind < 0.4:
            del copies[place]
        elif kind < 0.7:
            copies.insert(other, copies[place])
        else:
            copies[place], copies[other] = copies[other], copies[place]
        del value[:]
        value.extend(copies)
    elif kind < 0.6:
        value[place] = scalar(field, value[place], model, rng)
    elif kind < 0.75:
        del value[place]
    else:
        value.insert(other, value[place])


def new_dims(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another size for an axis of an input, an initializer or an attribute's tensor."""
    shapes = [m for m in messages(model) if isinstance(m, onnx.TensorProto | onnx.TensorShapeProto)]
    if not shapes:
        return
    item = rng.choice(shapes)
    if isinstance(item, onnx.TensorProto):
        item.dims[:] = [rng.choice((*INTEGERS, d, d + 1)) for d in item.dims] or [rng.choice(INTEGERS)]
    else:
        for dim in item.dim:
            if rng.random() < 0.5:
                dim.dim_value = rng.choice(INTEGERS)


def new_operator(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another operator with the same operands."""
    if model.graph.node:
        rng.choice(model.graph.node).op_type = rng.choice(operators())


def new_edge(model: onnx.ModelProto, rng: random.Random) -> None:
    """An operand that is another tensor: cycles, missing and reused values."""
    nodes = [n for n in model.graph.node if n.input]
    if nodes:
        node = rng.choice(nodes)
        node.input[rng.randrange(len(node.input))] = rng.choice((*names_of(model), "missing", ""))


def new_shape_constant(model: onnx.ModelProto, rng: random.Random) -> None:
    """Other integers in a constant that probably is a shape, a list of axes or of pads."""
    found = [t for t in messages(model) if isinstance(t, onnx.TensorProto) and t.data_type == onnx.TensorProto.INT64]
    if found:
        item = rng.choice(found)
        values = item.int64_data or list(item.raw_data[::8])
        if values:
            place, number = rng.randrange(len(values)), rng.choice(INTEGERS)
            if item.int64_data:
                item.int64_data[place] = number
            else:
                raw, piece = item.raw_data, (number & 2**64 - 1).to_bytes(8, "little")
                item.raw_data = raw[: 8 * place] + piece + raw[8 * place + 8 :]


def hostile_name(model: onnx.ModelProto, rng: random.Random) -> None:
    """A tensor renamed everywhere, so that the graph stays valid."""
    old, new = rng.choice(names_of(model)), rng.choice(NAMES)
    for node in model.graph.node:
        for field in (node.input, node.output):
            field[:] = [new if name == old else name for name in field]
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        item.name = new if item.name == old else item.name


def deeper(model: onnx.ModelProto, rng: random.Random) -> None:
    """A node wrapped into nested `If` subgraphs, but no deeper than protobuf reads."""
    if not model.graph.node:
        return
    place = rng.randrange(len(model.graph.node))
    inner = model.graph.node[place]
    try:
        for level in range(rng.choice((1, 3, 10, 20))):
            inner = _wrapped(inner, level)
        model.graph.node[place].CopyFrom(inner)
    except DecodeError:
        return
    model.graph.initializer.append(helper.make_tensor("deep", onnx.TensorProto.BOOL, [], [True]))


def _wrapped(node: onnx.NodeProto, level: int) -> onnx.NodeProto:
    outs = [helper.make_tensor_value_info(name, 1, None) for name in node.output if name]
    graph = helper.make_graph([node], f"level{level}", [], outs)
    other = graph if level < 3 else helper.make_graph([], "e", [], [])
    return helper.make_node("If", ["deep"], list(node.output), then_branch=graph, else_branch=other)


FIELDS: Sequence[Mutation] = (
    one_field,
    one_field,
    one_field,
    new_dims,
    new_operator,
    new_edge,
    new_edge,
    new_shape_constant,
    hostile_name,
    deeper,
)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed)


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flipped bytes, a cut, or a piece that is repeated."""
    kind = rng.random()
    if kind < 0.6:
        return flipped(data, rng)
    start, stop = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    return data[:start] if kind < 0.8 else data[:stop] + data[start:]


def mutate(data: bytes, seed: int) -> bytes:
    """The mutation number `seed` of a file; always the same one."""
    rng = random.Random(seed)
    if rng.random() < 0.15:
        return damaged_bytes(data, rng)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return damaged_bytes(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(FIELDS)(model, rng)
    return model.SerializeToString(deterministic=True)
