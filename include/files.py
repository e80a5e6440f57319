"""Files and folders that readers see whole, also after a kill or a power cut, and JSON with one form for each value.

What is being written is called `.writing-<random>`, and its writer holds it locked; the kernel lets go of the lock when
the writer ends, however it ends. So whoever writes to the same place next can tell what a killed writer left from what
a living one is at, and removes it. On disk means: the content, and the folder that has its name, were flushed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_ASIDE = re.compile(r"\.writing-[0-9a-f]{32}")


def write_whole(target: Path, content: bytes) -> None:
    """Makes `content` the whole of `target`, on disk; readers see what was there before, or all of it."""
    with written_whole(target) as file:
        file.write(content)


@contextmanager
def written_whole(target: Path, *, aside: Path | None = None) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `target` when the block ends; nothing changes if it raises.

    `aside`: a folder on the same disk to write it in; None: that of `target`. What killed writers left there goes.
    """
    place = aside or target.parent
    for folder in (place, target.parent):
        make_folder(folder)
    sweep(place)
    path, descriptor = _claimed(place, folder=False)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            path.replace(target)
    except BaseException:
        path.unlink(missing_ok=True)  # a disk that is full is not made fuller
        raise
    sync(target.parent)


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """An empty folder in `place`, removed with what is in it when the block ends, unless it was renamed."""
    make_folder(place)
    sweep(place)
    path, descriptor = _claimed(place, folder=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` itself locked, against other threads and processes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """`path` and its parents, each made where it is missing, on disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    if missing:
        path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync(path: Path) -> None:
    """Flushes a file's content, or a folder's names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(place: Path) -> None:
    """Removes what killed writers left in `place`. What cannot be removed stays and keeps nobody from writing."""
    with os.scandir(place) as entries:
        left = [Path(entry.path) for entry in entries if _ASIDE.fullmatch(entry.name)]
    for path in left:
        with suppress(OSError):  # its writer lives, or somebody else has removed it
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(descriptor)


def _claimed(place: Path, *, folder: bool) -> tuple[Path, int]:
    """A new file or folder, and its descriptor, which holds it locked."""
    while True:
        path = place / f".writing-{uuid.uuid4().hex}"
        if folder:
            path.mkdir()
        try:
            descriptor = os.open(path, os.O_RDONLY if folder else os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:  # a folder swept before it was locked
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces, plain UTF-8 and no NaN: equal values give equal bytes."""
    return _CANONICAL.encode(value)


def digest_of(value: object) -> str:
    """SHA-256 (hex) over the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
