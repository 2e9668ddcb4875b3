"""Interrupted or impossible writes leave the previous output intact."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bnn2c.errors import CompileError
from bnn2c.output_folder import MANIFEST, write_folder

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534


def _listing(**files: str) -> str:
    hashes = {name.replace("_", "."): hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    return json.dumps({"files": hashes})


_OLD = {"kws_h": "old header\n", "kws_c": "old source\n"}
_NEW = {"kws_h": "new header\n" * 10, "kws_c": "new source\n" * 100_000}
OLD, NEW = (
    {**{name.replace("_", "."): text for name, text in files.items()}, MANIFEST: _listing(**files)}
    for files in (_OLD, _NEW)
)


def _content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "gen", OLD)
    return tmp_path / "gen"


def test_a_full_disk_changes_nothing(folder: Path) -> None:
    """A limit on the size of a file makes write(2) fail as a full disk does."""
    code = (
        "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tests.test_output_safety import NEW; from bnn2c.errors import CompileError\n"
        "from bnn2c.output_folder import write_folder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_folder(Path(sys.argv[1]), NEW)\n"
        "except CompileError as error: sys.exit(error.diagnostics[0].code != 'BNN023')\n"
        "sys.exit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(ROOT)], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
    assert _content(folder) == OLD
    assert {path.name for path in folder.parent.iterdir()} == {"gen"}


@contextmanager
def unprivileged(*owned: Path) -> Generator[None, None, None]:
    """Root, who may write anywhere, becomes an ordinary user that owns these paths."""
    root = os.geteuid() == 0
    if root:
        for path in owned:
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_folder_changes_nothing() -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "gen"
        write_folder(folder, OLD)
        folder.chmod(0o555)
        with unprivileged(Path(parent), folder), pytest.raises(CompileError, match="BNN023"):
            write_folder(folder, NEW)
        assert _content(folder) == OLD
        assert [path.name for path in Path(parent).iterdir()] == ["gen"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("existing", [True, False])
def test_an_error_while_writing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, existing: bool
) -> None:
    goal = tmp_path / "gen"
    if existing:
        write_folder(goal, OLD)
    write = Path.write_bytes

    def failing(path: Path, data: bytes) -> int:
        if path.name == "kws.c":
            raise error
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises((CompileError, KeyboardInterrupt)):
        write_folder(goal, NEW)
    assert [path.name for path in tmp_path.iterdir()] == (["gen"] if existing else [])
    assert not existing or (_content(goal) == OLD and len(list(goal.iterdir())) == len(OLD))


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_killed_run_leaves_complete_files(tmp_path: Path, deadly: signal.Signals) -> None:
    """Every file is the whole old or the whole new one, at whatever moment the process dies."""
    folder = tmp_path / "gen"
    write_folder(folder, OLD)
    code = (
        "import signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background hands on 'ignore'\n"
        "from tests.test_output_safety import NEW, OLD; from bnn2c.output_folder import write_folder\n"
        "print('ready', flush=True)\n"
        "while True:\n    write_folder(Path(sys.argv[1]), NEW)\n    write_folder(Path(sys.argv[1]), OLD)\n"
    )
    for attempt in range(4):
        command = [sys.executable, "-c", code, str(folder), str(ROOT)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.03 + 0.017 * attempt)
            process.send_signal(deadly)
            try:
                process.wait(timeout=30)
            finally:
                process.kill()
        for name, text in _content(folder).items():
            assert text in (OLD[name], NEW[name]), name
        assert set(_content(folder)) == set(OLD)


def test_a_link_inside_the_folder_is_replaced_and_not_followed(folder: Path) -> None:
    target = folder.parent / "precious"
    target.write_text("precious", "utf-8")
    (folder / "kws.c").unlink()
    (folder / "kws.c").symlink_to(target)
    write_folder(folder, NEW)
    assert target.read_text("utf-8") == "precious"
    assert not (folder / "kws.c").is_symlink()


def test_the_manifest_is_replaced_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is interrupted between two files leaves the old manifest, whose hashes tell which ones are new."""
    order, replace = [], os.replace

    def noted(source: Path, target: Path) -> None:
        order.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    write_folder(folder, {MANIFEST: "{}", **NEW})
    assert set(order) == set(NEW) and order[-1] == MANIFEST


@pytest.mark.parametrize("link", ["file", "manifest"])
def test_links_do_not_tell_which_files_are_stale(link: str, folder: Path, tmp_path: Path) -> None:
    """A file that became a link was changed since, and a manifest behind a link is not that of an earlier run."""
    text = "old\n"
    listed = json.dumps({"files": {"gone.c": hashlib.sha256(text.encode()).hexdigest()}})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(text if link == "file" else listed, "utf-8")
    for name in OLD:
        (folder / name).unlink()
    if link == "file":
        (folder / "gone.c").symlink_to(elsewhere)
        (folder / MANIFEST).write_text(listed, "utf-8")
    else:
        (folder / "gone.c").write_text(text, "utf-8")
        (folder / MANIFEST).symlink_to(elsewhere)
    write_folder(folder, NEW)
    assert (folder / "gone.c").read_text("utf-8") == text
    assert elsewhere.read_text("utf-8") == (text if link == "file" else listed)


@pytest.mark.parametrize("name", ["kws.c", "report.txt", MANIFEST])
def test_a_file_of_somebody_else_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious\n", "utf-8")
    with pytest.raises(CompileError, match=f"(?s)BNN023.*{name} in it was not written by bnn2c"):
        write_folder(tmp_path, {**NEW, "report.txt": "Needs nothing.\n"})
    assert _content(tmp_path) == {name: "precious\n"}


@pytest.mark.parametrize(
    "text", ["/* bnn2c runtime */\n", "/* kws.c - layers\n * Generated by bnn2c 0.1.0. */\n", NEW["kws.c"]]
)
def test_generated_files_are_replaced_without_their_manifest(tmp_path: Path, text: str) -> None:
    """Sources are often kept in version control without the manifest and the report."""
    (tmp_path / "kws.c").write_text(text, "utf-8")
    write_folder(tmp_path, NEW)
    assert _content(tmp_path) == NEW


def test_an_edited_generated_file_and_the_report_are_replaced(folder: Path) -> None:
    (folder / "kws.c").write_text("edited\n", "utf-8")
    (folder / "report.txt").write_text("Needs little.\n", "utf-8")
    write_folder(folder, {**NEW, "report.txt": "Needs more.\n"})
    assert _content(folder) == {**NEW, "report.txt": "Needs more.\n"}


@pytest.mark.parametrize("name", ["../evil.c", "a/b.c", "/tmp/evil.c", "", "..", "."])
def test_names_that_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(CompileError, match="BNN023"):
        write_folder(folder, {name: "x"})
    assert _content(folder) == OLD
