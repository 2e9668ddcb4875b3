"""The options that decide which code a network becomes: one list for all commands that compile.

A command that did not take one of them could not look at the code that another one writes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from bnn2c.cli.parameters import (
    Calibrate,
    CalibrateMethod,
    InputOffset,
    InputScale,
    MaxFlash,
    MaxNodes,
    MaxRam,
    MaxTensorBytes,
    OptimizeOption,
    RealOption,
    SignZeroOption,
    State,
    Stream,
    StreamFrames,
)
from bnn2c.errors import CompileError

if TYPE_CHECKING:
    from bnn2c.options import Options

__all__ = ["NetworkOptions", "with_network_options"]


@dataclass(frozen=True)
class NetworkOptions:
    """The options as the command line gives them; `bnn2c.options.Options` says what each one means."""

    optimize: OptimizeOption = None
    input_scale: InputScale = None
    input_offset: InputOffset = 0.0
    sign_zero: SignZeroOption = None
    real: RealOption = None
    calibrate: Calibrate = None
    calibrate_method: CalibrateMethod = None
    stream: Stream = None
    stream_frames: StreamFrames = 1
    state: State = None
    max_flash: MaxFlash = None
    max_ram: MaxRam = None
    max_nodes: MaxNodes = None
    max_tensor_bytes: MaxTensorBytes = None

    def options(self, target: str, **more: Any) -> Options:  # noqa: ANN401 - fields of Options
        """The compiler's options for a target.

        Args:
            target: its name.
            **more: further fields of `Options`, or other values of these.

        Raises:
            CompileError: when a value cannot be used.
        """
        from bnn2c.api import options_for
        from bnn2c.cli.sizes import parse_size

        given: dict[str, Any] = {k: v.value if isinstance(v, Enum) else v for k, v in vars(self).items()}
        states = given.pop("state") or []
        given |= {
            "states": tuple(map(_pair, states)),
            "sign_zero": int(self.sign_zero.value) if self.sign_zero else None,
            "max_flash": parse_size(self.max_flash, "--max-flash"),
            "max_ram": parse_size(self.max_ram, "--max-ram"),
            **more,
        }
        for name in ("calibrate", "selftest"):
            _check_file(name, given.get(name))
        return options_for(target, **given)


def _pair(text: str) -> tuple[str, str]:
    """The names of IN=OUT."""
    source, _, target = text.partition("=")
    return source, target


def _check_file(option: str, path: Path | None) -> None:
    if path is not None and not path.is_file():
        raise CompileError.single("BNN001", f"--{option} {path} is not a file")


def with_network_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options on the command line, where its parameter `network: NetworkOptions` stands.

    An option that the command declares itself stays the command's own.
    """
    own = _parameters(command)
    shared = {name: parameter for name, parameter in _parameters(NetworkOptions).items() if name not in own}

    def run(**given: Any) -> None:  # noqa: ANN401 - whatever the options are
        network = NetworkOptions(**{name: given.pop(name) for name in shared})
        command(network=network, **given)

    places = [[parameter] if name != "network" else shared.values() for name, parameter in own.items()]
    parameters = [parameter for place in places for parameter in place]
    run.__doc__ = command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(run)["__signature__"] = inspect.Signature(parameters)
    return run


def _parameters(declared: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What it takes, by name, with the types that typer reads."""
    types = get_type_hints(declared, include_extras=True)
    found = inspect.signature(declared).parameters
    named = inspect.Parameter.KEYWORD_ONLY
    return {name: parameter.replace(kind=named, annotation=types[name]) for name, parameter in found.items()}
