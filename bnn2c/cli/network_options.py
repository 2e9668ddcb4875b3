"""The options that decide which code a network becomes: one list for all commands that compile.

A command that did not take one of them could not look at the code that another one writes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
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

if TYPE_CHECKING:
    from bnn2c.options import Options

__all__ = ["NetworkOptions", "with_network_options"]


@dataclass(frozen=True)
class NetworkOptions:
    """The options as the command line gives them; `bnn2c.options.Options` says what each one means."""

    optimize: OptimizeOption = None
    input_scale: InputScale = None
    input_offset: InputOffset = None
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

        given: dict[str, Any] = dict(vars(self))
        given["states"] = given.pop("state") or []
        return options_for(target, **given | more)


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
