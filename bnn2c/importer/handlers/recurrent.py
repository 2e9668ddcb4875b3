"""ONNX RNN, GRU and LSTM: the steps one after the other, which `passes/roll_loops.py` makes a loop again.

Equations and gate orders are those of the ONNX operator specification (GRU: z r h; LSTM: i o f c).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.errors import plural
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.linear import dense
from bnn2c.importer.handlers.reductions import join, stack
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.tensors import Array, Tensor, View

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
SIMPLE = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softplus": "softplus"}
ALPHA = ("Affine", "Elu", "HardSigmoid", "LeakyRelu", "ScaledTanh", "ThresholdedRelu")
BETA = ("Affine", "HardSigmoid", "ScaledTanh")
Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Cell:
    """One direction of a recurrent layer: weights [gates * H, …], biases [gates * H], peepholes [3 * H] or None."""

    ctx: Context
    call: Call
    recurrent: Array
    input_bias: Array
    hidden_bias: Array
    peepholes: Array | None
    activations: tuple[Activation, ...]

    def e(self, fn: str, *args: Tensor | float) -> Tensor:
        """Elementwise function."""
        return self.ctx.elementwise(fn, *args)

    def gate(self, tensor: Tensor, number: int, count: int = 1) -> Tensor:
        """Columns of one gate (or several neighbouring ones) of a [batch, gates * H] tensor."""
        size = elements(tensor).shape[1] // GATES[self.call.op]
        return moved(tensor, elements(tensor)[:, number * size : (number + count) * size])

    def bias(self, which: Array, number: int) -> Array:
        """Bias of one gate, [H]."""
        return np.split(which, GATES[self.call.op])[number]

    def hidden(self, h: Tensor, first: int, count: int) -> Tensor:
        """`h R^T` for some gates."""
        size = len(self.recurrent) // GATES[self.call.op]
        rows = self.recurrent[first * size : (first + count) * size]
        return dense(self.ctx, self.call, self.ctx.as_view(h), rows)

    def sums(self, x: Tensor, h: Tensor) -> Tensor:
        """`x W^T + h R^T + Wb + Rb` of all gates; x is already multiplied."""
        both = self.e("add", x, self.hidden(h, 0, GATES[self.call.op]))
        return self.e("add", both, (self.input_bias + self.hidden_bias)[None])

    def clipped(self, x: Tensor) -> Tensor:
        """The `clip` attribute bounds what enters an activation."""
        bound = self.call.attrs.get("clip")
        return x if not bound else self.e("max", self.e("min", x, float(bound)), -float(bound))


def step_rnn(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """`H = f(sums)`."""
    return cell.activations[0](cell.clipped(cell.sums(x, h))), c


def step_gru(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Gates z and r, candidate with the reset before or after the product."""
    e = cell.e
    f, g = cell.activations[:2]
    bias = (cell.input_bias + cell.hidden_bias)[None]
    size = bias.shape[1] // 3
    before = e("add", cell.gate(x, 0, 2), cell.hidden(h, 0, 2))
    gates = f(cell.clipped(e("add", before, bias[:, : 2 * size])))
    z = moved(gates, elements(gates)[:, :size])
    r = moved(gates, elements(gates)[:, size:])
    if cell.call.attrs.get("linear_before_reset"):
        inner = e("mul", r, e("add", cell.hidden(h, 2, 1), cell.bias(cell.hidden_bias, 2)[None]))
        candidate = e("add", e("add", cell.gate(x, 2), inner), cell.bias(cell.input_bias, 2)[None])
    else:
        inner = cell.hidden(e("mul", r, h), 2, 1)
        candidate = e("add", e("add", cell.gate(x, 2), inner), bias[:, 2 * size :])
    new = g(cell.clipped(candidate))
    return e("add", e("mul", e("sub", 1.0, z), new), e("mul", z, h)), c


def step_lstm(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Gates i, o, f, c with optional peepholes, which are bounded by `clip` together with the sums."""
    e = cell.e
    f, g, out = cell.activations[:3]
    sums = cell.sums(x, h)

    def gate(number: int, state: Tensor) -> Tensor:
        found = cell.gate(sums, number)
        if cell.peepholes is not None:
            found = e("add", found, e("mul", np.split(cell.peepholes, 3)[number][None], state))
        return f(cell.clipped(found))

    i = gate(0, c)
    forget = e("sub", 1.0, i) if cell.call.attrs.get("input_forget") else gate(2, c)
    new_c = e("add", e("mul", forget, c), e("mul", i, g(cell.clipped(cell.gate(sums, 3)))))
    o = gate(1, new_c)
    return e("mul", o, out(new_c)), new_c


STEPS = {"RNN": step_rnn, "GRU": step_gru, "LSTM": step_lstm}


Way = tuple[Array, Cell, bool]  # one direction: the weights of the inputs, the cell, and whether it runs backwards


@handles("RNN", "GRU", "LSTM")
def recurrent(ctx: Context, call: Call) -> Sequence[Tensor]:
    """All directions, both layouts. Rows of one length are a layer over their own steps, with the same weights."""
    x = call.tensor(0)
    batch_first = bool(call.attrs.get("layout"))
    if batch_first:
        x = moved(x, np.swapaxes(elements(x), 0, 1))
    groups = _rows_by_length(call, *x.shape[:2])
    way = call.attrs.get("direction", "forward")
    runs = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[way]
    cells = [(*_cell(ctx, call, number), reverse) for number, reverse in enumerate(runs)]
    parts = [_layer(ctx, call, x, cells, rows, length) for length, rows in groups.items()]
    places = np.argsort(np.concatenate(list(groups.values())))
    found = [_in_place(ctx, part, axis, places) for part, axis in zip(zip(*parts, strict=True), (2, 1, 1), strict=True)]
    if not batch_first:
        return found
    axes = [(2, 0, 1, 3), (1, 0, 2), (1, 0, 2)]
    return [moved(t, elements(t).transpose(axis)) for t, axis in zip(found, axes, strict=True)]


def _rows_by_length(call: Call, steps: int, batch: int) -> dict[int, list[int]]:
    """For each length of a sequence, in ascending order, the rows of the batch that have it."""
    given = call.constant(4, "sequence lengths")
    lengths = [steps] * batch if given is None else [int(n) for n in given.ravel()]
    if len(lengths) != batch:
        raise call.refuse("BNN003", f"{plural(len(lengths), 'sequence length')} for a batch of {batch}")
    wrong = [n for n in lengths if not 0 <= n <= steps]
    if wrong:
        raise call.refuse("BNN006", f"a sequence of {wrong[0]} in an input of {plural(steps, 'step')}")
    return {n: [row for row, length in enumerate(lengths) if length == n] for n in sorted(set(lengths))}


def _in_place(ctx: Context, parts: Sequence[Tensor], axis: int, places: Array) -> Tensor:
    """The groups side by side along the batch axis, each row where it was."""
    if len(parts) == 1:
        return parts[0]
    whole = join(ctx, parts, axis)
    return moved(whole, elements(whole).take(places, axis))


def _layer(ctx: Context, call: Call, x: Tensor, cells: list[Way], rows: list[int], length: int) -> list[Tensor]:
    """Y [T, D, rows, H], Y_h, Y_c [D, rows, H] of rows of one length; without a step all is 0, as in onnxruntime."""
    ends = (len(cells), len(rows), cells[0][1].recurrent.shape[1])
    if not length:
        return [np.zeros(shape, np.float32) for shape in ((x.shape[0], *ends), ends, ends)]
    steps = ctx.as_view(moved(x, elements(x)[:length, rows]))
    found = [_direction(ctx, call, cell, steps, rows, number) for number, cell in enumerate(cells)]
    behind = [np.zeros((x.shape[0] - length, 1, *ends[1:]), np.float32)]
    hidden = [join(ctx, [*(moved(h, elements(h)[None, None]) for h in states), *behind], 0) for states, _, _ in found]
    last = [stack(ctx, states, 0) for states in zip(*(both for _, *both in found), strict=True)]
    return [join(ctx, hidden, 1), *last]


def _direction(
    ctx: Context, call: Call, parts: Way, x: View, rows: list[int], number: int
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Hidden states in time order, last hidden state, last cell state (each [rows, H]); x is [length, rows, inputs].

    Constant initial states become values, so that the first step is like the others and all of them are one loop.
    """
    weights, cell, reverse = parts
    shape = (len(rows), cell.recurrent.shape[1])
    h, c = (ctx.as_view(_initial(call, position, number, rows, shape)) for position in (5, 6))
    states: list[Tensor] = []
    order = range(x.shape[0])
    for t in reversed(order) if reverse else order:
        product = dense(ctx, call, x.with_index(x.index[t]), weights)
        h, c = (ctx.as_view(state) for state in STEPS[call.op](cell, product, h, c))
        states.append(h)
    return states[::-1] if reverse else states, h, c


def _initial(call: Call, position: int, number: int, rows: list[int], shape: tuple[int, int]) -> Tensor:
    """Initial state [rows, H] of one direction."""
    given = call.operand(position) if position == 5 or call.op == "LSTM" else None
    batch_first = bool(call.attrs.get("layout"))
    if given is None:
        return np.zeros(shape, np.float32)
    if given.shape[-1] != shape[1]:
        # torch's exporter leaves the projection of an LSTM out of the file, and states of two sizes in it.
        message = f"an initial state has {given.shape[-1]} elements, but {call.op} has {shape[1]} (proj_size of torch?)"
        hint = "ONNX has no projection: export a network that computes the steps with Linear layers"
        raise call.refuse("BNN003", message, hint=hint)
    whole = elements(given)[:, number] if batch_first else elements(given)[number]
    return moved(given, whole[rows])


def _cell(ctx: Context, call: Call, number: int) -> tuple[Array, Cell]:
    """Input weights and the cell of one direction."""
    found = [call.constant(p, "recurrent weights that depend on the input") for p in (1, 2, 3)]
    weights, hidden = (np.asarray(f, np.float32)[number] for f in found[:2])
    zeros = np.zeros(2 * len(hidden), np.float32)
    bias = zeros if found[2] is None else np.asarray(found[2], np.float32)[number]
    peepholes = call.constant(7, "peepholes") if call.op == "LSTM" else None
    chosen = None if peepholes is None else np.asarray(peepholes, np.float32)[number]
    names = call.attrs.get("activations") or DEFAULTS[call.op] * 2
    names = [n.decode() if isinstance(n, bytes) else n for n in names]
    each = len(DEFAULTS[call.op])
    acts = tuple(_activation(ctx, call, names[: k + 1]) for k in range(number * each, len(names))[:each])
    input_bias, hidden_bias = np.split(bias, 2)
    return weights, Cell(ctx, call, hidden, input_bias, hidden_bias, chosen, acts)


def _activation(ctx: Context, call: Call, names: Sequence[str]) -> Activation:
    """The last of some activation functions; those that take an alpha or a beta use up the given ones in order."""
    e, name = ctx.elementwise, names[-1]
    defaults = {"HardSigmoid": (0.2, 0.5), "LeakyRelu": (0.01, 0.0), "ScaledTanh": (1.0, 1.0)}
    alpha, beta = (
        next(iter((call.attrs.get(f"activation_{key}") or [])[sum(n in takes for n in names[:-1]) :]), default)
        for key, takes, default in zip(("alpha", "beta"), (ALPHA, BETA), defaults.get(name, (1.0, 0.0)), strict=True)
    )
    table: dict[str, Activation] = {
        "Affine": lambda x: e("add", e("mul", x, alpha), beta),
        "LeakyRelu": lambda x: e("where", e("lt", x, 0.0), e("mul", x, alpha), x),
        "HardSigmoid": lambda x: e("max", e("min", e("add", e("mul", x, alpha), beta), 1.0), 0.0),
        "ScaledTanh": lambda x: e("mul", e("tanh", e("mul", x, beta)), alpha),
        "Elu": lambda x: e("where", e("lt", x, 0.0), e("mul", e("sub", e("exp", x), 1.0), alpha), x),
        "ThresholdedRelu": lambda x: e("where", e("gt", x, alpha), x, 0.0),
        "Softsign": lambda x: e("div", x, e("add", e("abs", x), 1.0)),
    }
    if name in SIMPLE:
        return lambda x: e(SIMPLE[name], x)
    if name not in table:
        raise call.refuse("BNN006", f"activation {name} of {call.op} is not supported")
    return table[name]
