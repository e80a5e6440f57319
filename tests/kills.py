"""Kills a step at a chosen file operation, and cuts the power after it.

A step runs in a fork of this process, which is warm, and ends there with SIGKILL: nothing of it is cleaned up. An
operation is what changes files: opening for writing, making, renaming, removing and flushing, and in MLflow's database
a statement that changes it and a commit. A kill between two of them leaves what a kill at the second leaves, but for a
file that is half written: that is played by cutting in half the file that is about to be flushed.
"""

from __future__ import annotations

import os
import pickle
import signal
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

Result = TypeVar("Result")
Step = Callable[[], object]
Told = Callable[[str, int | None], None]
"""Is told what is about to be done and, of a flush, to which descriptor."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
_STATEMENTS = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")
_told: Told | None = None
_within = ""


def _hear(event: str, args: tuple[Any, ...]) -> None:
    """Of all that Python reports of itself, passes on what changes files within the folder that is watched."""
    if _told is None or event not in _CHANGES or isinstance(args[0], int):  # a descriptor's opening was heard
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & _WRITING):
        return
    path = os.fsdecode(args[0])
    if not os.path.isabs(path) or path.startswith(_within):
        _told(f"{event.removeprefix('os.')} {path.removeprefix(_within)}", None)


sys.addaudithook(_hear)  # cannot be taken back


@contextmanager
def watched(told: Told, within: Path) -> Iterator[None]:
    """Within the block, `told` hears of every operation before it is done."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    flush = os.fsync

    def fsync(descriptor: int) -> None:
        told(f"fsync {os.readlink(f'/proc/self/fd/{descriptor}').removeprefix(str(within))}", descriptor)
        flush(descriptor)

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(_STATEMENTS):
            told(" ".join(statement.split()[:3]), None)

    def commit(connection: Any) -> None:
        told("COMMIT", None)

    global _told, _within  # noqa: PLW0603  (an audit hook has no other way to know)
    listened = (("before_cursor_execute", execute), ("commit", commit))
    for name, listener in listened:
        event.listen(Engine, name, listener)
    _told, _within = told, str(within)
    try:
        with patch.object(os, "fsync", fsync):
            yield
    finally:
        _told = None
        for name, listener in listened:
            event.remove(Engine, name, listener)


def operations(step: Step, within: Path) -> list[str]:
    """Runs the step; what it did to files within the folder, in order."""
    done: list[str] = []
    with watched(lambda what, _: done.append(what), within):
        step()
    return done


def killed(step: Step, within: Path, at: int, *, torn: bool = False) -> str | None:
    """Runs the step in a process of its own and kills it before operation `at`, counted from 0; what that was.

    `at` the number of operations: when all is done and nobody knows yet. None: it ended before. `torn`: a file that is
    about to be flushed is cut in half first. Raises AssertionError with the traceback if the step raised.
    """
    left = at
    reading, pipe = os.pipe()

    def told(what: str, descriptor: int | None) -> None:
        nonlocal left
        if left == 0:
            global _told  # noqa: PLW0603
            _told = None
            if torn and descriptor is not None and stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.truncate(f"/proc/self/fd/{descriptor}", os.fstat(descriptor).st_size // 2)
                what += ", half written"
            os.write(pipe, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def to_its_end() -> None:
        with watched(told, within):
            step()
        if left == 0:
            told("the end", None)

    status, said = _forked(to_its_end, reading, pipe)
    assert status in (0, -signal.SIGKILL), said.decode()
    return said.decode() if status == -signal.SIGKILL else None


def in_a_process(step: Callable[[], Result]) -> Result:
    """What the step returns, run in a process of its own. Raises AssertionError with the traceback if it raised."""
    reading, pipe = os.pipe()
    status, said = _forked(lambda: os.write(pipe, pickle.dumps(step())), reading, pipe)
    assert status == 0, said.decode()
    result: Result = pickle.loads(said)
    return result


def _forked(step: Step, reading: int, pipe: int) -> tuple[int, bytes]:
    """The exit code of a fork that runs the step, and what it wrote to `pipe`: an exception's traceback, too."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            step()
            code = 0
        except BaseException:
            os.write(pipe, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(pipe)
    with os.fdopen(reading, "rb") as written:
        said = written.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def after_power_cut(step: Step, within: Path, remains: Path) -> None:
    """Runs the step, and lays out in `remains` what of `within` a disk holds that lost power right after.

    That is what was there before and what was flushed since: of a file the content it had then, of a folder its names.
    """
    contents: dict[int, bytes] = {}
    names: dict[int, dict[str, int]] = {}
    kept: list[int] = []  # descriptors, so that no number of a removed file is given to another

    def flushed(descriptor: int) -> None:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(descriptor) as entries:
                names[found.st_ino] = {entry.name: entry.inode() for entry in entries}
        else:
            contents[found.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()
        kept.append(os.dup(descriptor))

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        flushed(descriptor)

    def restore(number: int, path: Path) -> None:
        if number in names:
            path.mkdir()
            for name, below in names[number].items():
                restore(below, path / name)
        else:
            path.write_bytes(contents.get(number, b""))

    flush = os.fsync
    for path in (within, *within.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        flushed(descriptor)
        os.close(descriptor)
    with patch.object(os, "fsync", fsync):
        step()
    restore(within.stat().st_ino, remains)
    for descriptor in kept:
        os.close(descriptor)
