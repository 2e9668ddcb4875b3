"""Finds the files that live outside the Python package: templates/, runtime_c/ and targets/.

In a wheel they are inside the package, under `bnn2c/_data`; in a checkout or an editable install they are beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

__all__ = ["DataKind", "data_folder"]

DataKind = Literal["templates", "runtime_c", "targets"]

_PACKAGE = Path(__file__).resolve().parent


def data_folder(kind: DataKind) -> Path:
    """The folder of one kind of data file.

    Args:
        kind: name of the folder.

    Returns:
        its absolute path.

    Raises:
        FileNotFoundError: when the installation is incomplete.
    """
    for candidate in (_PACKAGE / "_data" / kind, _PACKAGE.parent / kind):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the installation of bnn2c lacks its folder {kind}; install it again")
