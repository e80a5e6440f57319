"""`make verify-ledger` over a real history: all is well, and then one thing after another is changed by hand."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.contract.tables import CELL
from include.ledger.chain import in_order
from include.verification.__main__ import findings, main
from tests.loop import LAST, Loop
from tests.places import MOVES_SOON, configured

pytestmark = pytest.mark.airflow


@pytest.fixture
def loop(published_history: Loop, home: Path) -> Loop:
    """A copy of days with a daily approval, a manager's request on top of it, and a rollback."""
    return published_history.copied_to(home)


def of_kind(loop: Loop, kind: str) -> int:
    """The newest version of that kind."""
    return max(
        row["version"] for row in in_order(loop.read("threshold_ledger")) if json.loads(row["request"])["kind"] == kind
    )


def test_every_version_of_a_sound_ledger_is_computed_again_alike(loop: Loop) -> None:
    rows = loop.read("threshold_ledger")
    assert {json.loads(request)["kind"] for request in rows["request"]} >= {"initial", "daily", "ad_hoc", "roll_back"}
    for version in rows["version"]:
        held, problems = findings(loop.project, int(version))
        assert problems == []
        assert len(held) == 5  # the chain, the file that is served, the noted heads, the partitions, the decision


def test_a_changed_byte_of_the_serving_file_is_found(
    loop: Loop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = loop.settings.thresholds
    content = bytearray(path.read_bytes())
    at = content.index(b'"review_at": 0.8') + len('"review_at": 0.')
    content[at : at + 1] = b"7"
    path.write_bytes(content)
    (problem,) = findings(loop.project, None)[1]
    line = content[:at].count(b"\n") + 1
    assert problem.startswith(f"thresholds.json: byte {at}, in line {line}, is ")
    assert "0.7" in problem.split(" should be ")[0]
    assert "0.8" in problem.split(" should be ")[1]

    monkeypatch.setattr(sys, "argv", ["verify-ledger"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert f"WRONG  {problem}" in capsys.readouterr().out


def test_a_changed_column_of_the_ledger_and_a_damaged_file_are_found(loop: Loop) -> None:
    version = of_kind(loop, "daily")
    (file,) = (loop.home / "data" / "warehouse" / "threshold_ledger").glob(f"*/v{version:09d}.parquet")
    sound = file.read_bytes()
    pd.read_parquet(file).assign(approver="somebody").to_parquet(file)
    assert findings(loop.project, None)[1] == [f"threshold_ledger: version {version}: column approver was changed"]
    group = pq.ParquetFile(BytesIO(sound)).metadata.row_group(0)
    changes = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "changes")
    first, after = changes.dictionary_page_offset, changes.data_page_offset  # between them lies the only value
    damaged = bytearray(sound)
    for place in range((first + after) // 2, (first + after) // 2 + 8):
        damaged[place] ^= 255
    file.write_bytes(damaged)
    (problem, *_) = findings(loop.project, None)[1]
    assert f"version {version}" in problem or file.name in problem


@pytest.mark.parametrize(("column", "value"), [("score", 0.5), ("inclusion_probability", 0.123)])
def test_a_changed_draw_is_found_by_drawing_again_and_computing_again(loop: Loop, column: str, value: float) -> None:
    version = of_kind(loop, "daily")
    day = loop.day(1)
    rows = loop.project.warehouse.read("review_sample", day, day).drop(columns="ds")
    labelled = loop.read("label_consensus", LAST).query("status == 'final'")
    position = rows.index[rows["video_id"].isin(labelled["video_id"]) & (rows["score"] > 0.98)][0]
    identity, right = rows.loc[position, "sample_id"], rows.loc[position, column]
    rows.loc[position, column] = value
    loop.project.warehouse.replace("review_sample", day, rows)
    problems = findings(loop.project, version)[1]
    assert any(p.startswith(f"review_sample/{day}: its SHA-256 is ") for p in problems)
    assert f"review_sample/{day}: column {column} of {identity} is {value} and should be {right}" in problems
    assert any("inputs" in p for p in problems if p.startswith(f"version {version}: "))


def test_a_draw_added_or_left_out_is_found(loop: Loop) -> None:
    day = loop.day(1)
    rows = loop.project.warehouse.read("review_sample", day, day).drop(columns="ds")
    gone = rows["sample_id"].iloc[3]
    added = rows.iloc[[3]].assign(sample_id="audit:made-up")
    loop.project.warehouse.replace("review_sample", day, pd.concat([rows.drop(index=3), added]))
    problems = findings(loop.project, of_kind(loop, "daily"))[1]
    assert f"review_sample/{day}: {gone} is drawn and not stored" in problems
    assert f"review_sample/{day}: audit:made-up is stored and not drawn" in problems


def test_changed_labels_show_in_the_decision(loop: Loop) -> None:
    version = of_kind(loop, "ad_hoc")
    labels = loop.read("label_consensus", LAST).drop(columns="ds")
    labels["p_violating"] = 0.0
    loop.project.warehouse.replace("label_consensus", loop.day(LAST), labels)
    problems = findings(loop.project, version)[1]
    assert any(p.startswith(f"label_consensus/{loop.day(LAST)}: its SHA-256 is ") for p in problems)
    cells = ["/".join(change[name] for name in CELL) for change in _changes(loop, version)]
    assert all(any(p.startswith(f"version {version}: {cell} is ") for p in problems) for cell in cells)


def _changes(loop: Loop, version: int) -> list[dict[str, str]]:
    rows = loop.read("threshold_ledger")
    return list(json.loads(rows.loc[rows["version"] == version, "changes"].iloc[0]))


def test_another_configuration_and_a_version_that_does_not_exist_are_named(loop: Loop) -> None:
    assert findings(loop.project, 99)[1] == [
        f"version 99 does not exist; the ledger holds 1 to {of_kind(loop, 'roll_back')}"
    ]
    configured(loop.home, MOVES_SOON | {"target_precision: 0.95": "target_precision: 0.93"})
    problems = findings(loop.project, of_kind(loop, "daily"))[1]
    assert any("policies.yaml has changed since; the decision rests on one of SHA-256" in p for p in problems)
