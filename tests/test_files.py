"""A file is seen whole: the old one or the new one, also when its writer is killed or the power is cut."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from include.files import make_folder, scratch_folder, write_whole, written_whole
from tests.kills import after_power_cut, killed, operations
from tests.waiting import wait_for


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_content_is_replaced_and_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "file.json"
    write_whole(target, b"one")
    write_whole(target, b"two")
    assert target.read_bytes() == b"two"
    assert names(target.parent) == ["file.json"]


def test_a_writer_killed_at_any_operation_leaves_the_old_or_the_new_and_the_next_sweeps(tmp_path: Path) -> None:
    def write() -> None:
        write_whole(target, b"new" * 1000)

    target = tmp_path / "thresholds.json"
    done = operations(write, tmp_path)
    assert [what.split()[0] for what in done] == ["open", "fsync", "rename", "fsync"]
    seen = []
    for at in range(len(done) + 1):
        for torn in (False, True):
            write_whole(target, b"old")
            assert killed(write, tmp_path, at, torn=torn) is not None
            left = names(tmp_path)
            seen.append((target.read_bytes() == b"new" * 1000, len(left)))
            assert target.read_bytes() in (b"old", b"new" * 1000)
            write_whole(tmp_path / "other", b"")
            assert names(tmp_path) == ["other", "thresholds.json"]
            (tmp_path / "other").unlink()
    assert {(False, 1), (False, 2), (True, 1)} == set(seen)


def test_what_a_living_writer_is_at_is_not_swept_however_old_it_is(tmp_path: Path) -> None:
    with written_whole(tmp_path / "slow") as file, scratch_folder(tmp_path) as folder:
        file.write(b"first half, ")
        (folder / "within").touch()
        for path in tmp_path.iterdir():
            os.utime(path, (0, 0))
        write_whole(tmp_path / "quick", b"")
        assert (folder / "within").exists()
        file.write(b"second half")
    assert names(tmp_path) == ["quick", "slow"]
    assert (tmp_path / "slow").read_bytes() == b"first half, second half"


def test_what_only_looks_like_a_writers_is_left_alone(tmp_path: Path) -> None:
    for name in (".writing-", ".writing-report", "writing-" + "0" * 32, ".writing-" + "0" * 32 + ".csv", ".hidden"):
        (tmp_path / name).touch()
    before = names(tmp_path)
    write_whole(tmp_path / "file", b"")
    assert names(tmp_path) == sorted([*before, "file"])


def test_a_leftover_that_cannot_be_removed_keeps_nobody_from_writing(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / (".writing-" + "0" * 32)).touch()

    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["kept/file", "made/deep/er/file"])
def test_what_was_written_survives_a_power_cut_with_its_folders(tmp_path: Path, name: str) -> None:
    disk, remains = tmp_path / "disk", tmp_path / "remains"
    (disk / "kept").mkdir(parents=True)
    (disk / "kept" / "file").write_text("old")
    after_power_cut(lambda: write_whole(disk / name, b"new"), disk, remains)
    assert (remains / name).read_bytes() == b"new"
    assert names((remains / name).parent) == ["file"]


def test_the_power_cut_takes_what_was_not_flushed(tmp_path: Path) -> None:
    disk, remains = tmp_path / "disk", tmp_path / "remains"
    disk.mkdir()

    def careless() -> None:
        make_folder(disk / "folder")
        (disk / "folder" / "never flushed").write_text("text")
        with (disk / "flushed, its name not").open("w") as file:
            file.write("text")
            file.flush()
            os.fsync(file.fileno())

    after_power_cut(careless, disk, remains)
    assert sorted(path.relative_to(remains).as_posix() for path in remains.rglob("*")) == ["folder"]


def test_a_failed_write_leaves_the_old_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_whole(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


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

    def seen_most() -> bool:
        seen.add(target.read_bytes())
        return len(seen) > 2 or not seen <= set(contents)

    try:
        wait_for(seen_most, "contents of several writers were read", every=0)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert seen <= set(contents)
    assert names(tmp_path) == ["file"]
