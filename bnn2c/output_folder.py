"""Writes generated files so that a folder is never left half-written, and never through a symbolic link."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bnn2c.errors import CompileError

__all__ = ["MANIFEST", "write_folder"]

MANIFEST = "manifest.json"
_HEAD_BYTES = 400
_MANIFEST_LIMIT = 64 * 1024 * 1024


def write_folder(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write files into a folder, all or none.

    A new folder appears complete, by one rename. In an existing one each file is replaced by a rename once all are
    written; the manifest comes last, so that a manifest always describes the files beside it. Files that the manifest
    of an earlier run lists, that are no longer generated and that nobody has changed since are removed. A file that no
    run of bnn2c can have written is not replaced.

    Args:
        folder: where to; made with its parents when it does not exist.
        files: text by file name, without folders; written as UTF-8 with the line breaks that it has.

    Returns:
        names of files of an earlier run that stay although they are no longer generated: somebody has changed them.

    Raises:
        CompileError: BNN023 when the folder cannot be used or written, or a file of somebody else is in the way.
    """
    try:
        _refuse_what_is_in_the_way(folder, files)
        listed = _listed_hashes(folder / MANIFEST)
        _refuse_files_of_others(folder, files, listed)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            return _update(folder, files, listed)
        with _scratch(folder.parent, files) as complete:
            complete.rename(folder)
        return []
    except OSError as error:
        raise _problem(folder, error.strerror or str(error)) from None


def _refuse_what_is_in_the_way(folder: Path, files: Mapping[str, str]) -> None:
    if folder.is_symlink():
        raise _problem(folder, "it is a symbolic link")
    if folder.exists() and not folder.is_dir():
        raise _problem(folder, "it is a file")
    for name in files:
        if name in ("", ".", "..") or Path(name).name != name:
            raise _problem(folder, f"{name!r} is not a file name")
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            raise _problem(folder, f"{name} in it is a folder")


def _refuse_files_of_others(folder: Path, files: Mapping[str, str], listed: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        beside_manifest = bool(listed) and path.suffix not in (".c", ".h")  # the report, and the manifest itself
        if path.is_symlink() or not path.is_file() or name in listed or beside_manifest:
            continue
        if not _says_bnn2c(path) and path.read_bytes() != text.encode("utf-8"):
            raise _problem(folder, f"{name} in it was not written by bnn2c")


def _says_bnn2c(path: Path) -> bool:
    """Whether the first lines say that bnn2c generated the file, or that it belongs to bnn2c's runtime."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head.startswith(b"/* bnn2c") or b"enerated by bnn2c" in head


def _problem(folder: Path, why: str) -> CompileError:
    hint = "choose another folder with -o, or remove what is in the way"
    return CompileError.single("BNN023", f"cannot write to {folder}", why=why, hint=hint)


@contextmanager
def _scratch(parent: Path, files: Mapping[str, str]) -> Iterator[Path]:
    """A temporary folder in `parent` with all the files; whatever is left of it is removed at the end."""
    temporary = Path(tempfile.mkdtemp(prefix=".bnn2c-", dir=parent))
    try:
        complete = temporary / "complete"
        complete.mkdir()
        for name, text in files.items():
            (complete / name).write_bytes(text.encode("utf-8"))
        yield complete
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _update(folder: Path, files: Mapping[str, str], listed: Mapping[str, str]) -> list[str]:
    stale = {name for name in listed if Path(name).name == name and (folder / name).is_file()} - set(files)
    unchanged = {name for name in stale if _sha256(folder / name) == listed[name]}
    with _scratch(folder, files) as complete:
        for name in sorted(files, key=lambda name: name == MANIFEST):
            os.replace(complete / name, folder / name)
    for name in unchanged:
        (folder / name).unlink()
    return sorted(stale - unchanged)


def _listed_hashes(manifest: Path) -> dict[str, str]:
    try:
        if manifest.is_symlink() or manifest.stat().st_size > _MANIFEST_LIMIT:
            return {}
        files = json.loads(manifest.read_bytes()).get("files", {})
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _sha256(path: Path) -> str:
    """Hash of a regular file; empty for anything else, and for a link."""
    if path.is_symlink() or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
