"""Progress on stderr, only for work that takes longer than a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer

from bnn2c.cli.console import error_console

__all__ = ["Progress", "progress"]

Progress = Callable[[str], None]

_QUIET_SECONDS = 1.0


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """A function that names the current step.

    On a terminal the step is a spinner, elsewhere one line per step; nothing is shown in the first second, nor when
    `quiet`.
    """
    display = _Display()
    timer = Timer(_QUIET_SECONDS, display.appear)
    timer.daemon = True
    if not quiet:
        timer.start()
    try:
        yield display.step
    finally:
        timer.cancel()
        display.stop()


class _Display:
    """The step that is shown, or will be."""

    def __init__(self) -> None:
        self._console = error_console()
        self._status = self._console.status("")
        self._lock = Lock()
        self._text = ""
        self._visible = False

    def step(self, text: str) -> None:
        """Name the step that begins."""
        with self._lock:
            self._text = text
            if self._visible:
                self._show()

    def appear(self) -> None:
        """Show the current step from now on."""
        with self._lock:
            self._visible = True
            if self._console.is_terminal:
                self._status.start()
            self._show()

    def stop(self) -> None:
        """Remove the spinner."""
        with self._lock:
            self._status.stop()

    def _show(self) -> None:
        from rich.markup import escape

        if self._console.is_terminal:
            self._status.update(escape(self._text))
        elif self._text:
            self._console.print(self._text, markup=False, soft_wrap=True)
