"""The ledger over the real embedded warehouse: publication, conflict, tampering, repair."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.load import load_config
from include.contract.tables import CELL
from include.thresholds import ledger
from include.thresholds.ledger import (
    LedgerError,
    canonical_json,
    next_version,
    publish,
    read_serving,
    repair_serving,
    row_hash,
    serving_document,
    thresholds_in_force,
    verify,
    write_serving,
)
from include.warehouse.duckdb import DuckDBWarehouse

CONFIG = load_config()
DAY = date(2026, 11, 10)
NOW = datetime(2026, 11, 11, 3, 0, 0, 250, tzinfo=UTC)
BR, DE = (("violence", market, "violence-v3") for market in ("BR", "DE"))
INITIAL = CONFIG.policies["violence"].initial


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(landing=tmp_path / "landing", root=tmp_path / "root")


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "thresholds.json"


def proposal(
    identifier, cell=BR, remove_at=0.95, review_at=0.7, *, current=None, status="within_limits", origin="daily"
):
    current = current or (INITIAL.remove_at, INITIAL.review_at)
    return {
        "proposal_id": identifier,
        "origin": origin,
        **dict(zip(CELL, cell, strict=True)),
        "current_remove_at": current[0],
        "current_review_at": current[1],
        "proposed_remove_at": remove_at,
        "proposed_review_at": review_at,
        "target": 0.95,
        "confidence": 0.9,
        "population": "cell",
        "method": "exact binomial",
        "estimate": 0.98,
        "bound": 0.955,
        "n": 200,
        "forecast": "{}",
        "status": status,
    }


def carry_out(warehouse, serving, proposals, day=DAY, **given):
    arguments = {
        "requester": "recalibrate_thresholds",
        "approver": None,
        "reason": "daily recalibration",
        "evidence": {"review_sample": "aa"},
        "code_version": "0.1.0",
        "now": NOW,
        **given,
    }
    return publish(warehouse, day, pd.DataFrame(proposals), CONFIG, serving=serving, **arguments)


def in_force(warehouse, before=None, cell=BR):
    rows = warehouse.read("threshold_ledger")
    cells = pd.DataFrame([cell], columns=list(CELL))
    row = thresholds_in_force(rows, cells, CONFIG, before=before or DAY + timedelta(days=99)).iloc[0]
    return row["remove_at"], row["review_at"]


def three_versions(warehouse, serving) -> pd.DataFrame:
    carry_out(warehouse, serving, [proposal("p1")])
    carry_out(
        warehouse,
        serving,
        [proposal("p2", remove_at=0.93, current=(0.95, 0.7), status="approved")],
        day=DAY + timedelta(days=1),
        approver="ana",
        now=NOW + timedelta(days=1),
    )
    return warehouse.read("threshold_ledger")


# Publication


def test_the_first_publication_lays_down_the_initial_thresholds(warehouse, serving):
    result = carry_out(warehouse, serving, [proposal("p1"), proposal("p2", DE, status="awaiting_approval")])
    assert (result.outcome, result.version, result.published) == ("published", 2, ("p1",))
    rows = warehouse.read("threshold_ledger").sort_values("version")
    assert list(rows["version"]) == [1, 2]
    assert verify(rows) == []
    first = rows.iloc[0]
    assert (first["proposal_ids"], first["previous_hash"]) == ("[]", "")
    n_cells = sum(len(policy.model_versions) for policy in CONFIG.policies.values()) * len(CONFIG.markets)
    assert len(json.loads(first["thresholds"])) == n_cells
    assert in_force(warehouse) == (0.95, 0.7)
    assert in_force(warehouse, cell=DE) == (INITIAL.remove_at, INITIAL.review_at)
    change = json.loads(rows.iloc[1]["changes"])[0]
    assert change["old"] == INITIAL.model_dump()
    assert change["new"] == {"remove_at": 0.95, "review_at": 0.7}
    assert change["certificate"]["bound"] == 0.955


def test_serving_holds_the_last_version(warehouse, serving):
    carry_out(warehouse, serving, [proposal("p1")])
    document = read_serving(serving)
    last = warehouse.read("threshold_ledger").iloc[-1]
    assert (document["version"], document["hash"], document["ds"]) == (2, last["hash"], "2026-11-10")
    assert document["policies"]["fraud"] == {
        "no_score": "allow",
        "default": CONFIG.policies["fraud"].initial.model_dump(),
    }
    assert {"remove_at": 0.95, "review_at": 0.7, **dict(zip(CELL, BR, strict=True))} in document["cells"]


def test_with_nothing_to_publish_only_the_initial_version_appears(warehouse, serving):
    held = [proposal("p1", status="held"), proposal("p2", DE, status="rejected")]
    for _ in range(2):
        result = carry_out(warehouse, serving, held)
        assert (result.outcome, result.version) == ("nothing_to_publish", 1)
    assert list(warehouse.read("threshold_ledger")["version"]) == [1]
    assert read_serving(serving)["version"] == 1


def test_a_repetition_publishes_nothing_again(warehouse, serving):
    carry_out(warehouse, serving, [proposal("p1")])
    before = warehouse.read("threshold_ledger")
    result = carry_out(warehouse, serving, [proposal("p1")], now=NOW + timedelta(hours=5))
    assert (result.outcome, result.version) == ("already_published", 2)
    pd.testing.assert_frame_equal(warehouse.read("threshold_ledger"), before)
    result = carry_out(warehouse, serving, [proposal("p1"), proposal("p2", DE)])
    assert (result.outcome, result.published) == ("published", ("p2",))


def test_an_older_day_never_overwrites_a_newer_one(warehouse, serving):
    three_versions(warehouse, serving)
    result = carry_out(warehouse, serving, [proposal("late")], day=DAY)
    assert result.outcome == "superseded"
    assert "rests on 2026-11-11" in result.refused[""]
    assert in_force(warehouse) == (0.93, 0.7)


def test_a_proposal_from_thresholds_no_longer_in_force_is_refused_and_the_others_pass(warehouse, serving):
    carry_out(warehouse, serving, [proposal("p1")])
    stale, sound = proposal("stale", remove_at=0.9), proposal("sound", DE, remove_at=0.97)
    result = carry_out(warehouse, serving, [stale, sound], day=DAY + timedelta(days=1))
    assert (result.outcome, result.published) == ("published", ("sound",))
    assert "assumes 0.98 and 0.8, but 0.95 and 0.7" in result.refused["stale"]
    assert in_force(warehouse) == (0.95, 0.7)


def test_another_origin_on_the_same_day_is_a_conflict_and_the_same_origin_a_revision(warehouse, serving):
    carry_out(warehouse, serving, [proposal("p1", origin="manual__1")])
    result = carry_out(warehouse, serving, [proposal("p2", remove_at=0.9)])
    assert result.outcome == "refused"
    assert result.refused["p2"].startswith("conflict: version 2 changed the cell the same day (manual__1)")
    revised = carry_out(warehouse, serving, [proposal("p3", remove_at=0.94, origin="manual__1")])
    assert (revised.outcome, in_force(warehouse)) == ("published", (0.94, 0.7))


@pytest.mark.parametrize(
    ("approver", "status", "why"),
    [("ana", "within_limits", "self-approval"), (None, "approved", "without the name")],
)
def test_who_may_approve(warehouse, serving, approver, status, why):
    result = carry_out(warehouse, serving, [proposal("p1", status=status)], requester="ana", approver=approver)
    assert result.outcome == "refused"
    assert why in result.refused[""]
    assert in_force(warehouse) == (INITIAL.remove_at, INITIAL.review_at)


def test_publications_at_once_lose_no_update(warehouse, serving):
    markets = list(CONFIG.markets)
    cells = [(p, m, v) for p, policy in CONFIG.policies.items() for v in policy.model_versions for m in markets]
    start = threading.Barrier(4)

    def writer(part):
        start.wait()
        return [carry_out(warehouse, serving, [proposal(f"p{cells.index(cell)}", cell)]) for cell in cells[part::4]]

    with ThreadPoolExecutor(4) as pool:
        results = [result for part in pool.map(writer, range(4)) for result in part]
    assert {result.outcome for result in results} == {"published"}
    rows = warehouse.read("threshold_ledger")
    assert sorted(rows["version"]) == list(range(1, len(cells) + 2))
    assert verify(rows) == []
    assert all(in_force(warehouse, cell=cell) == (0.95, 0.7) for cell in cells)
    assert read_serving(serving)["version"] == len(cells) + 1


def test_a_version_number_taken_meanwhile_is_tried_again_on_what_is_there_now(warehouse, serving):
    carry_out(warehouse, serving, [proposal("p0", DE)])

    class Overtaken(DuckDBWarehouse):
        overtaken = False

        def append_version(self, table, day, row):
            if not self.overtaken:
                self.overtaken = True
                carry_out(warehouse, serving, [proposal("first", BR, remove_at=0.96)])
            return super().append_version(table, day, row)

    other = Overtaken(landing=warehouse.landing, root=warehouse.root)
    result = carry_out(other, serving, [proposal("second", ("violence", "IN", "violence-v3"))])
    assert (result.outcome, result.version) == ("published", 4)
    assert in_force(warehouse) == (0.96, 0.7)
    assert verify(warehouse.read("threshold_ledger")) == []


# In force


def test_thresholds_in_force_are_those_of_earlier_days(warehouse, serving):
    three_versions(warehouse, serving)
    days = [DAY + timedelta(days=n) for n in range(3)]
    assert [in_force(warehouse, day) for day in days] == [(0.98, 0.8), (0.95, 0.7), (0.93, 0.7)]


def test_a_cell_outside_the_ledger_has_the_initial_thresholds_and_an_unknown_policy_none(warehouse, serving):
    three_versions(warehouse, serving)
    assert in_force(warehouse, cell=("violence", "BR", "violence-v9")) == (INITIAL.remove_at, INITIAL.review_at)
    with pytest.raises(ValueError, match=r"'spam'.*not configured"):
        in_force(warehouse, cell=("spam", "BR", "v1"))


# Verification


def test_a_sound_ledger_has_no_problems_in_any_order(warehouse, serving):
    rows = three_versions(warehouse, serving)
    assert len(rows) == 3
    assert verify(rows) == []
    assert verify(rows.iloc[::-1]) == []
    assert verify(rows.iloc[:0]) == []


def tampered(rows: pd.DataFrame, version: int, column: str, value: Any) -> pd.DataFrame:
    changed = rows.astype({"version": "int64"}).copy()
    changed[column] = [
        value if v == version else old for v, old in zip(changed["version"], changed[column], strict=True)
    ]
    return changed


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ds", date(2026, 11, 9)),
        ("previous_hash", "0" * 64),
        ("published_at", pd.Timestamp("2026-11-11T03:00:00.000251Z")),
        ("thresholds", "[]"),
        ("changes", "[]"),
        ("proposal_ids", '["p9"]'),
        ("evidence", '{"review_sample":"ab"}'),
        ("code_version", "0.1.1"),
        ("requester", "someone"),
        ("approver", "someone"),
        ("reason", "another"),
    ],
)
def test_any_changed_column_is_found_and_its_version_named(warehouse, serving, column, value):
    problems = verify(tampered(three_versions(warehouse, serving), 2, column, value))
    assert any(p.startswith("version 2: content was changed") for p in problems), problems
    if column in ("thresholds", "changes"):
        assert any(p.startswith("version 2: column thresholds or changes: violence/BR/violence-v3") for p in problems)


def test_a_changed_hash_is_told_from_a_changed_content(warehouse, serving):
    problems = verify(tampered(three_versions(warehouse, serving), 2, "hash", "f" * 64))
    assert "version 2: column hash was changed; the content is what the next version was built on" in problems
    problems = verify(tampered(three_versions(warehouse, serving), 3, "reason", "another"))
    assert len(problems) == 1
    assert problems[0].startswith("version 3: content or hash was changed")


def test_a_content_changed_together_with_its_hash_breaks_the_chain(warehouse, serving):
    rows = tampered(three_versions(warehouse, serving), 2, "reason", "another")
    row = next(row for row in ledger._in_order(rows) if row["version"] == 2)
    problems = verify(tampered(rows, 2, "hash", row_hash(row)))
    assert problems
    assert all(problem.startswith("version 3: previous_hash") for problem in problems)


def test_a_missing_version_a_repeated_one_and_broken_json_are_named(warehouse, serving):
    rows = three_versions(warehouse, serving)
    assert any("version 2 was expected" in p for p in verify(rows[rows["version"] != 2]))
    assert any("version 3: a gap or a repetition" in p for p in verify(pd.concat([rows, rows[rows["version"] == 3]])))
    assert "version 2: column changes is not JSON" in verify(tampered(rows, 2, "changes", "[{"))
    assert "version 2: column evidence is not in canonical form" in verify(tampered(rows, 2, "evidence", '{ "a":"b"}'))


def test_nothing_is_appended_to_a_broken_ledger(warehouse, serving):
    rows = three_versions(warehouse, serving)
    path = next((warehouse.root / "threshold_ledger").glob("ds=2026-11-11/*.parquet"))
    pd.read_parquet(path).assign(reason="another").to_parquet(path)
    with pytest.raises(LedgerError, match="threshold_ledger: version 3: content or hash was changed"):
        carry_out(warehouse, serving, [proposal("p9", DE)], day=DAY + timedelta(days=5))
    assert len(warehouse.read("threshold_ledger")) == len(rows)


def test_a_version_needs_a_reason_and_a_time_zone(warehouse, serving):
    with pytest.raises(ValueError, match="reason: is blank"):
        carry_out(warehouse, serving, [proposal("p1")], reason=" ")
    with pytest.raises(ValueError, match="published_at"):
        carry_out(warehouse, serving, [proposal("p1")], now=NOW.replace(tzinfo=None))


def test_canonical_json_is_one_form_for_equal_values():
    assert canonical_json({"b": 1.5, "a": ["ü", None]}) == '{"a":["ü",null],"b":1.5}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


# Serving file


def document(version: int, remove_at: float = 0.9) -> dict:
    row = next_version(
        None,
        day=DAY,
        changes=[],
        thresholds=[{**dict(zip(CELL, BR, strict=True)), "remove_at": remove_at, "review_at": 0.5}],
        proposal_ids=[],
        evidence={},
        code_version="0.1.0",
        requester="test",
        approver=None,
        reason="test",
        published_at=NOW,
    )
    return {**serving_document(row, CONFIG), "version": version}


def test_an_older_version_never_replaces_a_newer_one(serving):
    assert write_serving(serving, document(5))
    assert not write_serving(serving, document(4))
    assert read_serving(serving)["version"] == 5
    assert write_serving(serving, document(5, 0.8))
    assert read_serving(serving)["cells"][0]["remove_at"] == 0.8
    assert [path.name for path in serving.parent.iterdir()] == ["thresholds.json"]


def test_a_reader_sees_whole_documents_with_rising_versions(serving):
    write_serving(serving, document(0))
    seen: list[int] = []
    done = threading.Event()

    def reader():
        while not done.is_set():
            seen.append(read_serving(serving)["version"])

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(reader)
        list(pool.map(lambda n: write_serving(serving, document(n)), [k ^ 3 for k in range(80)]))
        done.set()
        reading.result()
    assert seen == sorted(seen)
    assert read_serving(serving)["version"] == 79


def test_a_full_disk_leaves_the_old_file_and_the_next_run_heals(warehouse, serving, monkeypatch):
    carry_out(warehouse, serving, [proposal("p1")])
    old = serving.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ledger.os, "fchmod", full)
        with pytest.raises(OSError, match="No space left"):
            carry_out(warehouse, serving, [proposal("p2", DE)])
    assert serving.read_bytes() == old
    assert [path.name for path in serving.parent.iterdir()] == ["thresholds.json"]
    result = carry_out(warehouse, serving, [proposal("p2", DE)])
    assert (result.outcome, result.serving) == ("already_published", "thresholds.json was older: version 3 was written")
    assert read_serving(serving)["version"] == 3


def test_repair_says_what_it_found(warehouse, serving):
    assert repair_serving(warehouse, serving, CONFIG) == "nothing published yet"
    carry_out(warehouse, serving, [proposal("p1")])
    sound = serving.read_bytes()
    assert repair_serving(warehouse, serving, CONFIG) == "thresholds.json holds version 2"
    tampered_document = json.loads(sound)
    tampered_document["cells"][0]["remove_at"] = 0.99
    for content, found in (
        (None, "was missing"),
        (sound[:100], "was unusable"),
        (json.dumps(tampered_document).encode(), "differed from the ledger"),
        (json.dumps({**tampered_document, "version": 1}).encode(), "was older"),
    ):
        serving.unlink()
        if content is not None:
            serving.write_bytes(content)
        assert found in repair_serving(warehouse, serving, CONFIG)
        assert serving.read_bytes() == sound


def test_a_ledger_that_lost_its_end_is_not_built_on(warehouse, serving):
    three_versions(warehouse, serving)
    next((warehouse.root / "threshold_ledger").glob("ds=2026-11-11/*.parquet")).unlink()
    assert verify(warehouse.read("threshold_ledger")) == []
    for attempt in (
        lambda: repair_serving(warehouse, serving, CONFIG),
        lambda: carry_out(warehouse, serving, [proposal("p9", DE)]),
    ):
        with pytest.raises(LedgerError, match="is version 3 but the ledger ends at 2"):
            attempt()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", "3", "version: expected int"),
        ("version", True, "version: expected int"),
        ("cells", {}, "cells: expected list"),
        ("cells", [{"policy": "violence"}], r"cells\[0\]: expected policy, market, model_version"),
        ("cells", [{**dict(zip(CELL, BR, strict=True)), "remove_at": 0.5, "review_at": 0.6}], "review_at <= remove_at"),
        ("cells", [{**dict(zip(CELL, BR, strict=True)), "remove_at": "1", "review_at": 0.6}], "review_at <= remove_at"),
        ("policies", {"violence": {}}, "policies.violence: expected no_score"),
        ("policies", {"violence": {"no_score": "allow"}}, "policies.violence.default"),
    ],
)
def test_a_serving_file_of_another_form_is_refused_by_key(serving, key, value, message):
    serving.parent.mkdir()
    serving.write_text(json.dumps({**document(3), key: value}))
    with pytest.raises(LedgerError, match=message):
        read_serving(serving)
    serving.write_text("[]")
    with pytest.raises(LedgerError, match="expected an object"):
        read_serving(serving)
