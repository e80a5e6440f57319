"""Publication over the real embedded warehouse: conflict, tampering, a full disk, a process killed half way."""

from __future__ import annotations

import json
import resource
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from include.contract.tables import CELL
from include.ledger import serving
from include.ledger.chain import LedgerError, verify
from include.ledger.serving import read_serving
from include.project import Project
from include.warehouse.duckdb import DuckDBWarehouse
from tests.kills import in_a_process, killed
from tests.ledger.publishing import (
    BR,
    CONFIG,
    DAY,
    DE,
    INITIAL,
    NOW,
    carry_out,
    in_force,
    project_in,
    proposal,
    rows_of,
    three_versions,
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_in(tmp_path)


@pytest.fixture
def path(project: Project) -> Path:
    return project.settings.thresholds


def test_the_first_publication_lays_down_the_initial_thresholds(project):
    result = carry_out(project, [proposal("p1"), proposal("p2", DE, status="awaiting_approval")])
    assert (result.outcome, result.version, result.published) == ("published", 2, ("p1",))
    rows = rows_of(project).sort_values("version")
    assert list(rows["version"]) == [1, 2]
    assert verify(rows) == []
    first = rows.iloc[0]
    assert (first["proposal_ids"], first["previous_hash"]) == ("[]", "")
    n_cells = sum(len(policy.model_versions) for policy in CONFIG.policies.values()) * len(CONFIG.markets)
    assert len(json.loads(first["thresholds"])) == n_cells
    assert in_force(project) == (0.95, 0.7)
    assert in_force(project, cell=DE) == (INITIAL.remove_at, INITIAL.review_at)
    change = json.loads(rows.iloc[1]["changes"])[0]
    assert change["old"] == INITIAL.model_dump()
    assert change["new"] == {"remove_at": 0.95, "review_at": 0.7}
    assert change["certificate"]["bound"] == 0.955
    assert change["forecast"]["removes"] == {"before": 10, "after": 12}


def test_serving_holds_the_last_version(project, path):
    carry_out(project, [proposal("p1")])
    document = read_serving(path)
    last = rows_of(project).iloc[-1]
    assert (document["version"], document["hash"], document["ds"]) == (2, last["hash"], "2026-11-10")
    assert document["policies"]["fraud"] == {
        "no_score": "allow",
        "default": CONFIG.policies["fraud"].initial.model_dump(),
    }
    assert {"remove_at": 0.95, "review_at": 0.7, **dict(zip(CELL, BR, strict=True))} in document["cells"]


def test_with_nothing_to_publish_only_the_initial_version_appears(project, path):
    held = [proposal("p1", status="held"), proposal("p2", DE, status="rejected")]
    for _ in range(2):
        result = carry_out(project, held)
        assert (result.outcome, result.version) == ("nothing_to_publish", 1)
    assert list(rows_of(project)["version"]) == [1]
    assert read_serving(path)["version"] == 1


def test_a_repetition_publishes_nothing_again(project):
    carry_out(project, [proposal("p1")])
    before = rows_of(project)
    result = carry_out(project, [proposal("p1")], now=NOW + timedelta(hours=5))
    assert (result.outcome, result.version) == ("already_published", 2)
    pd.testing.assert_frame_equal(rows_of(project), before)
    result = carry_out(project, [proposal("p1"), proposal("p2", DE)])
    assert (result.outcome, result.published) == ("published", ("p2",))


def test_an_older_day_never_overwrites_a_newer_one(project):
    three_versions(project)
    result = carry_out(project, [proposal("late")], day=DAY)
    assert result.outcome == "superseded"
    assert "rests on 2026-11-11" in result.refused["late"]
    assert in_force(project) == (0.93, 0.7)


def test_a_proposal_from_thresholds_no_longer_in_force_is_refused_and_the_others_pass(project):
    carry_out(project, [proposal("p1")])
    stale, sound = proposal("stale", remove_at=0.9), proposal("sound", DE, remove_at=0.97)
    result = carry_out(project, [stale, sound], day=DAY + timedelta(days=1))
    assert (result.outcome, result.published) == ("published", ("sound",))
    assert "was proposed from 0.98 and 0.8, but 0.95 and 0.7 are in force" in result.refused["stale"]
    assert in_force(project) == (0.95, 0.7)


def test_the_daily_run_revises_its_own_change_of_the_day_but_nobody_elses(project):
    carry_out(project, [proposal("p1"), proposal("p2", DE)])
    revised = carry_out(project, [proposal("p3", remove_at=0.94)])
    assert (revised.outcome, in_force(project)) == ("published", (0.94, 0.7))
    asked = proposal("p4", DE, remove_at=0.97, current=(0.95, 0.7), origin="manual__1")
    assert carry_out(project, [asked], kind="ad_hoc", requester="ana").outcome == "published"
    result = carry_out(project, [proposal("p5", DE, remove_at=0.9)])
    assert result.outcome == "refused"
    assert result.refused["p5"] == "conflict: version 4 changed violence/DE/violence-v3 the same day (manual__1)"
    assert in_force(project, cell=DE) == (0.97, 0.7)


def test_a_request_on_an_older_day_changes_its_cell_on_top_of_what_came_since(project):
    three_versions(project)
    asked = proposal("p9", DE, remove_at=0.97, origin="manual__1")
    result = carry_out(project, [asked], kind="ad_hoc", requester="ana")
    assert (result.outcome, in_force(project, cell=DE), in_force(project)) == ("published", (0.97, 0.7), (0.93, 0.7))
    assert list(rows_of(project).sort_values("version")["ds"])[-1] == DAY + timedelta(days=1)
    late = carry_out(project, [proposal("p10", DE, remove_at=0.9, origin="manual__2")], kind="ad_hoc", requester="eva")
    assert "stale: violence/DE/violence-v3 was proposed from 0.98 and 0.8, but 0.97" in late.refused["p10"]


@pytest.mark.parametrize("cells", [(BR, DE), (BR, BR)])
def test_a_request_and_the_daily_run_at_once_lose_no_update(project, cells):
    carry_out(project, [])
    start = threading.Barrier(2)

    def writer(number, kind, origin):
        start.wait()
        change = proposal(f"p{number}", cells[number], remove_at=0.95 + number / 100, origin=origin)
        return carry_out(project, [change], kind=kind, requester=kind)

    with ThreadPoolExecutor(2) as pool:
        daily, asked = pool.map(writer, (0, 1), ("daily", "ad_hoc"), ("daily", "manual__1"))
    assert verify(rows_of(project)) == []
    if cells[0] != cells[1]:
        assert (daily.outcome, asked.outcome) == ("published", "published")
        assert (in_force(project), in_force(project, cell=DE)) == ((0.95, 0.7), (0.96, 0.7))
        return
    outcomes = {"p0": daily, "p1": asked}
    (lost,) = [name for name, result in outcomes.items() if result.outcome == "refused"]
    assert outcomes[lost].refused[lost].startswith(("stale: ", "conflict: "))
    assert in_force(project) == ((0.96, 0.7) if lost == "p0" else (0.95, 0.7))


@pytest.mark.parametrize(
    ("approver", "status", "why"),
    [("ana", "within_limits", "self-approval"), (None, "approved", "without the name")],
)
def test_who_may_approve(project, approver, status, why):
    result = carry_out(project, [proposal("p1", status=status)], requester="ana", approver=approver)
    assert result.outcome == "refused"
    assert why in result.refused[""]
    assert in_force(project) == (INITIAL.remove_at, INITIAL.review_at)


def test_publications_at_once_lose_no_update(project, path):
    markets = list(CONFIG.markets)
    cells = [(p, m, v) for p, policy in CONFIG.policies.items() for v in policy.model_versions for m in markets]
    start = threading.Barrier(4)

    def writer(part):
        start.wait()
        return [carry_out(project, [proposal(f"p{cells.index(cell)}", cell)]) for cell in cells[part::4]]

    with ThreadPoolExecutor(4) as pool:
        results = [result for part in pool.map(writer, range(4)) for result in part]
    assert {result.outcome for result in results} == {"published"}
    rows = rows_of(project)
    assert sorted(rows["version"]) == list(range(1, len(cells) + 2))
    assert verify(rows) == []
    assert all(in_force(project, cell=cell) == (0.95, 0.7) for cell in cells)
    assert read_serving(path)["version"] == len(cells) + 1


def test_a_version_number_taken_meanwhile_is_tried_again_on_what_is_there_now(project):
    carry_out(project, [proposal("p0", DE)])

    class Overtaken(DuckDBWarehouse):
        overtaken = False

        def append_version(self, table, day, row):
            if not self.overtaken:
                self.overtaken = True
                carry_out(project, [proposal("first", BR, remove_at=0.96)])
            return super().append_version(table, day, row)

    other = replace(project, warehouse=Overtaken(project.settings.landing, project.settings.warehouse))
    result = carry_out(other, [proposal("second", ("violence", "IN", "violence-v3"))])
    assert (result.outcome, result.version) == ("published", 4)
    assert in_force(project) == (0.96, 0.7)
    assert verify(rows_of(project)) == []


def test_nothing_is_appended_to_a_broken_ledger(project):
    rows = three_versions(project)
    file = next((project.settings.warehouse / "threshold_ledger").glob("ds=2026-11-11/*.parquet"))
    pd.read_parquet(file).assign(reason="another").to_parquet(file)
    with pytest.raises(LedgerError, match="threshold_ledger: version 3: column reason was changed"):
        carry_out(project, [proposal("p9", DE)], day=DAY + timedelta(days=5))
    assert len(rows_of(project)) == len(rows)


def test_a_ledger_that_lost_its_end_is_not_built_on(project):
    three_versions(project)
    next((project.settings.warehouse / "threshold_ledger").glob("ds=2026-11-11/*.parquet")).unlink()
    assert verify(rows_of(project)) == []
    with pytest.raises(LedgerError, match="is version 3 but the ledger ends at 2"):
        carry_out(project, [proposal("p9", DE)])


def test_a_version_needs_a_reason_and_a_time_zone(project):
    with pytest.raises(ValueError, match="published_at"):
        carry_out(project, [proposal("p1")], now=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="reason: is blank"):
        carry_out(project, [proposal("p1")], reason=" ")


def test_a_clock_that_was_set_back_breaks_no_chain(project):
    carry_out(project, [proposal("p1")])
    carry_out(project, [proposal("p2", DE)], now=NOW - timedelta(hours=5))
    assert verify(rows_of(project)) == []


# Tampering and repair


def changed_document(path: Path, **values) -> str:
    return json.dumps({**json.loads(path.read_text()), **values})


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda path: path.read_text()[:100], "not valid JSON"),
        (lambda path: changed_document(path, hash="0" * 64), "differs from version 2 of the ledger: hash is 0000"),
        (lambda path: changed_document(path, version=1), "differs from version 1 of the ledger: hash is"),
        (lambda path: changed_document(path, version=9), "is version 9 but the ledger ends at 2"),
        (lambda path: changed_document(path, version=0), "is version 0 but the ledger ends at 2"),
        (
            lambda path: path.read_text().replace("0.95", "0.90"),
            r"BR/violence-v3 is \(0.9, 0.7\) and should be",
        ),
    ],
)
def test_a_serving_file_changed_by_hand_stops_publication_until_it_is_removed(project, path, tamper, said):
    carry_out(project, [proposal("p1")])
    sound = path.read_bytes()
    path.write_text(tamper(path))
    found = path.read_bytes()
    with pytest.raises(LedgerError, match=said):
        carry_out(project, [proposal("p2", DE)])
    assert (len(rows_of(project)), path.read_bytes()) == (2, found)
    path.unlink()
    result = carry_out(project, [])
    assert result.serving == "thresholds.json was missing: version 2 was written"
    assert path.read_bytes() == sound


def test_other_policies_in_the_configuration_are_served_by_the_next_publication(project, path):
    carry_out(project, [proposal("p1")])
    fraud = CONFIG.policies["fraud"].model_copy(update={"no_score": "review"})
    config = CONFIG.model_copy(update={"policies": {**CONFIG.policies, "fraud": fraud}})
    result = carry_out(replace(project, config=config), [])
    assert "had other policies than the configuration" in result.serving
    assert read_serving(path)["policies"]["fraud"]["no_score"] == "review"


def test_a_process_killed_between_ledger_and_file_leaves_what_the_next_run_repairs(project, path, tmp_path):
    carry_out(project, [proposal("p1")])
    old, at = path.read_bytes(), 0
    while len(rows_of(project)) == 2:
        assert killed(lambda: carry_out(project, [proposal("p2", DE)]), tmp_path, at)
        at += 1
    assert (list(rows_of(project)["version"]), path.read_bytes()) == ([1, 2, 3], old)
    result = carry_out(project, [proposal("p2", DE)])
    assert str(result) == (
        "already_published: the ledger is at version 3; thresholds.json was at version 2: version 3 was written"
    )
    assert read_serving(path)["version"] == 3


def test_a_disk_without_room_for_the_version_publishes_nothing(project, path):
    carry_out(project, [proposal("p1")])
    old = path.read_bytes()

    def with_little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
        carry_out(project, [proposal("p2", DE)])

    with pytest.raises(AssertionError, match="File too large"):
        in_a_process(with_little_room)
    assert list((project.settings.warehouse / ".staging").iterdir()) == []
    assert (list(rows_of(project)["version"]), path.read_bytes()) == ([1, 2], old)
    assert carry_out(project, [proposal("p2", DE)]).outcome == "published"


def test_a_disk_without_room_for_the_file_keeps_the_old_one_and_the_next_run_heals(project, path, monkeypatch):
    carry_out(project, [proposal("p1")])
    old = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(serving.os, "fchmod", full)
        with pytest.raises(OSError, match="No space left"):
            carry_out(project, [proposal("p2", DE)])
    assert path.read_bytes() == old
    assert [file.name for file in path.parent.iterdir()] == ["thresholds.json"]
    result = carry_out(project, [proposal("p2", DE)])
    assert (result.outcome, result.serving) == (
        "already_published",
        "thresholds.json was at version 2: version 3 was written",
    )
