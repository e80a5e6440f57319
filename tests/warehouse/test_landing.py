"""A landed day is there whole, the old one or the new one, whatever happens to who lands it."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from pathlib import Path

import pytest

from include.warehouse.landing import replaced_day
from tests.kills import after_power_cut, killed

DAY = date(2026, 11, 3)
OLD, NEW = {"a.parquet": b"old", "b.parquet": b"old"}, {"b.parquet": b"new", "c.parquet": b"new"}


def land(folder: Path, day: date, files: dict[str, bytes]) -> None:
    with replaced_day(folder, day) as place:
        for name, content in files.items():
            (place / name).write_bytes(content)


def landed(folder: Path, day: date = DAY) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / f"ds={day}").glob("*")}


def test_a_day_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for files in (OLD, NEW, {}):
        land(tmp_path, DAY, files)
        assert landed(tmp_path) == files
    assert [path.name for path in tmp_path.iterdir()] == [f"ds={DAY}"]


def test_a_feed_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    land(tmp_path, DAY, OLD)

    def break_off() -> None:
        with replaced_day(tmp_path, DAY) as place:
            (place / "b.parquet").write_bytes(b"half")
            raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        break_off()
    assert landed(tmp_path) == OLD
    assert [path.name for path in tmp_path.iterdir()] == [f"ds={DAY}"]


def test_a_landing_killed_at_any_operation_loses_no_day(tmp_path: Path) -> None:
    found, missing = [], 0
    for at in itertools.count():
        land(tmp_path, DAY, OLD)
        if killed(lambda: land(tmp_path, DAY, NEW), tmp_path, at) is None:
            break
        missing += not (tmp_path / f"ds={DAY}").exists()
        land(tmp_path, DAY + timedelta(days=1), {})
        found.append(landed(tmp_path))
        assert found[-1] in (OLD, NEW)
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"ds={DAY}", f"ds={DAY + timedelta(days=1)}"]
    assert (OLD in found, NEW in found) == (True, True)
    assert missing == 1, "the one moment between two renames was not among those killed"


def test_a_landed_day_survives_a_power_cut(tmp_path: Path) -> None:
    disk, remains = tmp_path / "disk", tmp_path / "remains"
    disk.mkdir()
    after_power_cut(lambda: land(disk / "video_scores", DAY, NEW), disk, remains)
    assert landed(remains / "video_scores") == NEW
