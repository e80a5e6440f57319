"""Versions are bundled so that no reader and no kill ever loses or doubles one, and an edit still breaks the chain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from include.contract.tables import TABLES
from include.ledger.chain import next_version, verify
from include.warehouse import versions
from include.warehouse.base import UnreadablePartition
from include.warehouse.duckdb import DuckDBWarehouse
from tests.kills import killed, operations

TABLE = TABLES["threshold_ledger"]
START = date(2026, 11, 1)
BUNDLE = 5
PER_DAY = 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "BUNDLE", BUNDLE)


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "landing", tmp_path / "root")


def chain(n: int) -> Iterator[dict[str, Any]]:
    row = None
    for number in range(n):
        day = START + timedelta(days=number // PER_DAY)
        row = next_version(
            row,
            day=day,
            changes=[],
            thresholds=[],
            proposal_ids=[],
            evidence={},
            code_version="1",
            requester="test",
            approver=None,
            reason=f"number {number}",
            expires_on=None,
            request={"kind": "daily"},
            published_at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=8 * number),
        )
        yield row


def append(warehouse: DuckDBWarehouse, row: dict[str, Any]) -> bool:
    return warehouse.append_version(TABLE.name, row["ds"], {name: row[name] for name in row if name != "ds"})


def files(warehouse: DuckDBWarehouse) -> list[str]:
    folder = warehouse.root / TABLE.name
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))


def test_the_oldest_versions_share_a_file_and_every_answer_stays_the_same(warehouse: DuckDBWarehouse) -> None:
    rows = list(chain(23))
    for n, row in enumerate(rows, start=1):
        assert append(warehouse, row)
        assert not append(warehouse, row), "its number is taken, wherever it lies"
        assert warehouse.read(TABLE.name)["version"].tolist() == list(range(1, n + 1))
    bundles = [name for name in files(warehouse) if name.startswith("bundles/")]
    assert bundles == [f"bundles/v{n:09d}-v{n + BUNDLE - 1:09d}.parquet" for n in (1, 6, 11)]
    assert len(files(warehouse)) == 3 + 8
    found = warehouse.read(TABLE.name)
    assert verify(found) == []
    assert found["reason"].tolist() == [row["reason"] for row in rows]
    assert found["ds"].tolist() == [row["ds"] for row in rows]
    assert warehouse.days(TABLE.name) == sorted({row["ds"] for row in rows})
    day = START + timedelta(days=1)
    assert warehouse.read(TABLE.name, day, day)["version"].tolist() == [4, 5, 6]
    assert warehouse.read(TABLE.name, None, day)["version"].tolist() == [1, 2, 3, 4, 5, 6]
    assert warehouse.row_count(TABLE.name, day) == PER_DAY
    assert warehouse.fingerprint(TABLE.name, day) is not None
    assert not [folder for folder in (warehouse.root / TABLE.name).glob("ds=*") if not list(folder.iterdir())]


def test_a_day_has_the_fingerprint_it_had_before_it_was_bundled(warehouse: DuckDBWarehouse) -> None:
    *first, last = chain(2 * BUNDLE)
    for row in first:
        append(warehouse, row)
    before = {day: warehouse.fingerprint(TABLE.name, day) for day in warehouse.days(TABLE.name)}
    append(warehouse, last)
    assert any(name.startswith("bundles/") for name in files(warehouse))
    assert {day: warehouse.fingerprint(TABLE.name, day) for day in before} == before


def test_a_kill_at_any_operation_loses_and_doubles_nothing_and_the_next_version_cleans_up(tmp_path: Path) -> None:
    rows = list(chain(2 * BUNDLE + 1))

    def until_last(name: str) -> DuckDBWarehouse:
        made = DuckDBWarehouse(tmp_path / "landing", tmp_path / name)
        for row in rows[: 2 * BUNDLE - 1]:
            append(made, row)
        return made

    whole = until_last("whole")
    last = len(operations(lambda: append(whole, rows[2 * BUNDLE - 1]), whole.root))
    assert last > 10
    for at in range(last + 1):
        one = until_last(f"killed {at}")
        killed(lambda one=one: append(one, rows[2 * BUNDLE - 1]), one.root, at, torn=at % 2 == 0)  # type: ignore[misc]
        found = one.read(TABLE.name)
        assert verify(found) == [], at
        assert len(found) in (2 * BUNDLE - 1, 2 * BUNDLE), at
        for row in rows[len(found) :]:
            assert append(one, row), at
        assert verify(one.read(TABLE.name)) == [], at
        assert one.read(TABLE.name)["version"].tolist() == list(range(1, len(rows) + 1)), at
        singles = [name for name in files(one) if not name.startswith("bundles/")]
        assert len(singles) == BUNDLE + 1, (at, singles)


def test_a_reader_that_listed_before_versions_were_bundled_finds_them(
    warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(chain(2 * BUNDLE))
    for row in rows[:-1]:
        append(warehouse, row)
    list_ = versions.listed
    seen: list[versions.Versions] = []

    def interrupted(folder: Path) -> versions.Versions:
        found = list_(folder)
        if not seen:
            seen.append(found)
            monkeypatch.setattr(versions, "listed", list_)
            assert append(warehouse, rows[-1])
        return found

    monkeypatch.setattr(versions, "listed", interrupted)
    assert warehouse.read(TABLE.name)["version"].tolist() == list(range(1, 2 * BUNDLE + 1))
    assert seen, "nothing was bundled meanwhile"


def test_an_edit_in_a_bundle_or_beside_it_breaks_the_chain(warehouse: DuckDBWarehouse) -> None:
    for row in chain(2 * BUNDLE):
        append(warehouse, row)
    bundle = next((warehouse.root / TABLE.name / "bundles").iterdir())
    good = bundle.read_bytes()
    content = pq.read_table(bundle)
    reasons = content.column("reason").to_pylist()
    edited = content.set_column(content.column_names.index("reason"), "reason", [["changed", *reasons[1:]]])
    pq.write_table(edited, bundle)
    assert any("version 1: column reason was changed" in problem for problem in verify(warehouse.read(TABLE.name)))
    bundle.write_bytes(good)
    beside = warehouse.root / TABLE.name / f"ds={START}" / "v000000001.parquet"
    beside.parent.mkdir()
    pq.write_table(edited.slice(0, 1).drop_columns("ds"), beside)
    assert any("a gap or a repetition" in problem for problem in verify(warehouse.read(TABLE.name)))
    pq.write_table(content.slice(0, 1).drop_columns("ds"), beside)  # what a killed writer leaves
    assert verify(warehouse.read(TABLE.name)) == []
    bundle.write_bytes(good[:100])
    with pytest.raises(UnreadablePartition, match=r"threshold_ledger of v000000001-v000000005"):
        warehouse.read(TABLE.name)


def test_a_bundle_that_cannot_be_written_keeps_no_version_from_being_published(
    warehouse: DuckDBWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    folder = warehouse.root / TABLE.name
    folder.mkdir(parents=True)
    (folder / "bundles").touch()  # no folder
    for row in chain(2 * BUNDLE):
        assert append(warehouse, row)
    assert len(warehouse.read(TABLE.name)) == 2 * BUNDLE
    assert "its files stay as many as they are" in caplog.text
