"""A file is seen whole: the old one or the new one, also when its writer is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from include.config.settings import PROJECT_ROOT
from include.files import write_whole

KILLED_BEFORE_RENAMING = """
import os, sys
from pathlib import Path
from include.files import write_whole
os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
write_whole(Path(sys.argv[1]), b"new" * 1000)
"""


def test_content_is_replaced_and_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "file.json"
    write_whole(target, b"one")
    write_whole(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["file.json"]


def test_a_killed_writer_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "thresholds.json"
    write_whole(target, b"old")
    done = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_RENAMING, str(target)], cwd=PROJECT_ROOT, capture_output=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert target.read_bytes() == b"old"
    leftovers = [path.name for path in tmp_path.iterdir() if path != target]
    assert all(name.startswith(".thresholds.json.") for name in leftovers)
    write_whole(target, b"new")
    assert target.read_bytes() == b"new"


def test_a_failed_write_leaves_the_old_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_whole(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_readers_see_one_writers_content_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    contents = [bytes([letter]) * 200_000 for letter in b"abcd"]
    write_whole(target, contents[0])
    stop = threading.Event()

    def keep_writing(content: bytes) -> None:
        while not stop.is_set():
            write_whole(target, content)

    writers = [threading.Thread(target=keep_writing, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    seen = set()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        seen.add(target.read_bytes())
    stop.set()
    for writer in writers:
        writer.join()
    assert seen <= set(contents)
    assert len(seen) > 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
