"""`bnn2c check`: does it fit?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bnn2c.cli.console import print_diagnostics, print_json
from bnn2c.cli.exit_codes import DOES_NOT_FIT, MISMATCH
from bnn2c.cli.guard import guard
from bnn2c.cli.parameters import (
    Calibrate,
    CalibrateMethod,
    Debug,
    InputOffset,
    InputScale,
    Json,
    MinAgreement,
    Model,
    OptimizeOption,
    Quiet,
    RealOption,
    SignZeroOption,
    TargetName,
    make_options,
)
from bnn2c.errors import Diagnostic

if TYPE_CHECKING:
    from bnn2c.report import Report

__all__ = ["check"]

_Size = Annotated[
    str | None, typer.Option(show_default=False, metavar="BYTES", help="Room on the device, such as 256K.")
]


def check(
    model: Model,
    target: TargetName = "portable",
    max_flash: _Size = None,
    max_ram: _Size = None,
    optimize: OptimizeOption = None,
    input_scale: InputScale = None,
    input_offset: InputOffset = 0.0,
    sign_zero: SignZeroOption = None,
    real: RealOption = None,
    calibrate: Calibrate = None,
    calibrate_method: CalibrateMethod = None,
    min_agreement: MinAgreement = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check whether a network fits a device; exit code 3 when not.

    With the target's compiler at hand the code is built and measured; otherwise its size is estimated, and said to be.
    """
    with guard(debug=debug, json=json):
        from bnn2c.cli.measure import measure
        from bnn2c.cli.session import compile_with_progress
        from bnn2c.cli.sizes import parse_size
        from bnn2c.report import Limits, build_report

        limits = Limits(parse_size(max_flash, "--max-flash"), parse_size(max_ram, "--max-ram"))
        options = make_options(
            target=target,
            optimize=optimize,
            input_scale=input_scale,
            input_offset=input_offset,
            sign_zero=sign_zero,
            real=real,
            calibrate=calibrate,
            calibrate_method=calibrate_method,
            min_agreement=min_agreement,
        )
        result = compile_with_progress(model, options, quiet=quiet)
        report = build_report(result.manifest, result.compiled.report_data, measure(result.compiled, options), limits)
        if json:
            print_json({"schema": 1, "model": str(model), "report": report.data})
        else:
            typer.echo(report.text(), nl=False)
        _exit_if_too_big(report)
        _exit_if_inaccurate(report, min_agreement)


def _exit_if_too_big(report: Report) -> None:
    """Exit with the code for it when the report says that the network does not fit."""
    if report.fits is not False:
        return
    measured = report.data["sizes"]["code_measured"]
    why = "" if measured else "the size of the code in it is an estimate, because the target's compiler is missing"
    hint = "--optimize size shares kernels; the table of layers shows what takes the room"
    print_diagnostics([Diagnostic("BNN020", report.data["verdict"]["text"], why=why, hint=hint)])
    raise typer.Exit(DOES_NOT_FIT)


def _exit_if_inaccurate(report: Report, least: float | None) -> None:
    """Exit with the code for a mismatch when fixed point agrees with float32 on too few calibration samples."""
    found = report.data.get("fixed_point")
    if least is None or found is None or found["agreement"] >= least:
        return
    text = f"{found['real']} agrees with float32 on {found['agreement']:.2%} of {found['samples']} samples"
    hint = "--real int16, more calibration vectors, or another --calibrate-method; the report lists each tensor's SNR"
    print_diagnostics([Diagnostic("BNN029", f"{text}; --min-agreement asks for {least:.2%}", hint=hint)])
    raise typer.Exit(MISMATCH)
