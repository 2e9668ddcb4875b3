"""`bnn2c check`: does it fit?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bnn2c.cli.console import print_diagnostics, print_json
from bnn2c.cli.exit_codes import MISMATCH
from bnn2c.cli.guard import guard
from bnn2c.cli.network_options import NetworkOptions, with_network_options
from bnn2c.cli.parameters import Debug, Json, MinAgreement, Model, Quiet, TargetName
from bnn2c.errors import Diagnostic

if TYPE_CHECKING:
    from bnn2c.report import Report

__all__ = ["check"]


@with_network_options
def check(
    model: Model,
    target: TargetName = "portable",
    min_agreement: MinAgreement = None,
    *,
    network: NetworkOptions,
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
        from bnn2c.cli.verdict import exit_if_too_big
        from bnn2c.report import Limits, build_report

        options = network.options(target, min_agreement=min_agreement)
        result = compile_with_progress(model, options, quiet=quiet)
        limits = Limits(options.max_flash, options.max_ram)
        report = build_report(result.manifest, result.compiled.report_data, measure(result.compiled, options), limits)
        if json:
            print_json({"schema": 1, "model": str(model), "report": report.data})
        else:
            typer.echo(report.text(), nl=False)
        exit_if_too_big(report)
        _exit_if_inaccurate(report, min_agreement)


def _exit_if_inaccurate(report: Report, least: float | None) -> None:
    """Exit with the code for a mismatch when fixed point agrees with float32 on too few calibration samples."""
    found = report.data.get("fixed_point")
    if least is None or found is None or found["agreement"] >= least:
        return
    text = f"{found['real']} agrees with float32 on {found['agreement']:.2%} of {found['samples']} samples"
    hint = "--real int16, more calibration vectors, or another --calibrate-method; the report lists each tensor's SNR"
    print_diagnostics([Diagnostic("BNN029", f"{text}; --min-agreement asks for {least:.2%}", hint=hint)])
    raise typer.Exit(MISMATCH)
