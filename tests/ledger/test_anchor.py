"""An insider who can write every file of the ledger is found by what was noted in a second place."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.contract.change import changes_of
from include.ledger.anchor import anchor, anchor_problems
from include.ledger.chain import LedgerError, in_order, next_version, verify
from include.ledger.publication import Act, publish, read_chain
from include.ledger.serving import serving_document, write_serving
from include.project import Project
from include.verification.__main__ import findings
from tests.ledger.publishing import DAY, DE, NOW, carry_out, project_in, proposal, rows_of


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three versions, noted in a second place."""
    made = project_in(tmp_path)
    project = replace(made, settings=replace(made.settings, anchor=tmp_path / "elsewhere"))
    for later, (remove_at, current) in enumerate(((0.95, None), (0.93, (0.95, 0.7)))):
        day = DAY + timedelta(days=later)
        rows = pd.DataFrame([proposal(f"p{later}", remove_at=remove_at, current=current, status="approved")])
        request = {"kind": "daily", "day": day.isoformat()}
        act = Act(day=day, requester="recalibrate_thresholds", approver="ana", reason="daily", request=request)
        publish(project, rows, act, NOW + timedelta(days=later))
    return project


def forge(project: Project, *, versions: int, approver: str = "eva") -> None:
    """Writes another chain, sound in itself, over the ledger, and serves its end."""
    assert isinstance(project.settings.warehouse, Path)
    forged: list[dict] = []
    for row in in_order(rows_of(project))[:versions]:
        values = {name: json.loads(row[name]) for name in ("thresholds", "proposal_ids", "evidence", "request")} | {
            name: row[name] for name in ("code_version", "requester", "reason", "expires_on", "published_at")
        }
        changed = approver if row["approver"] else None
        previous = forged[-1] if forged else None
        forged.append(next_version(previous, day=row["ds"], changes=changes_of(row), approver=changed, **values))
    for file in (project.settings.warehouse / "threshold_ledger").rglob("*.parquet"):
        file.unlink()
    for row in forged:
        assert project.warehouse.append_version(
            "threshold_ledger", row["ds"], {k: v for k, v in row.items() if k != "ds"}
        )
    assert verify(rows_of(project)) == []
    project.settings.thresholds.unlink()
    write_serving(project.settings.thresholds, serving_document(forged[-1], project.config))


def test_a_chain_written_anew_from_the_beginning_stops_publication_and_is_found(project: Project) -> None:
    forge(project, versions=3)
    with pytest.raises(LedgerError, match=r"version 3: its hash is .*, and was .* when it was published"):
        carry_out(project, [proposal("p9", DE)], day=DAY + timedelta(days=2))
    _, problems = findings(project, None)
    assert any("version 3: its hash is" in problem for problem in problems)
    assert len(rows_of(project)) == 3


def test_a_chain_whose_end_was_cut_off_stops_publication_and_is_found(project: Project) -> None:
    forge(project, versions=2)
    with pytest.raises(LedgerError, match="version 3: was published, and the ledger ends at 2"):
        read_chain(project)
    _, problems = findings(project, None)
    assert any("version 3: was published, and the ledger ends at 2" in problem for problem in problems)


def test_without_a_second_place_it_is_not_found_and_that_is_said(project: Project) -> None:
    forge(project, versions=2)
    alone = replace(project, settings=replace(project.settings, anchor=None))
    assert len(read_chain(alone)) == 2
    held, _ = findings(alone, None)
    assert any("no plumbline_anchor is set" in sentence for sentence in held)


def test_a_version_that_was_published_and_not_noted_is_noted_by_the_next_publication(project: Project) -> None:
    folder = project.settings.anchor
    assert folder is not None
    (folder / "v000000003.json").unlink()  # as if the process had been killed in between
    carry_out(project, [proposal("p9", DE)], day=DAY + timedelta(days=2))
    assert sorted(path.name for path in folder.iterdir()) == [f"v{n:09d}.json" for n in range(1, 5)]
    assert anchor_problems(folder, read_chain(project)) == []


def test_what_was_noted_is_never_written_again_and_damage_is_named(project: Project) -> None:
    folder = project.settings.anchor
    assert folder is not None
    chain = read_chain(project)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}
    anchor(folder, [row | {"hash": "another"} for row in chain])
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()} == before
    assert len(before) == 3
    (folder / "v000000002.json").chmod(0o600)
    (folder / "v000000002.json").write_text('{"hash":')
    assert [text.split(":")[0] for text in anchor_problems(folder, chain)] == ["version 2"]


def test_any_number_of_decisions_is_recomputed(project: Project) -> None:
    for last, recomputed in ((1, [3]), (2, [2, 3]), (9, [1, 2, 3])):
        held, problems = findings(project, None, last)
        said = pd.Series([*held, *problems])
        assert [n for n in (1, 2, 3) if said.str.startswith(f"version {n}: ").any()] == recomputed


def test_a_version_published_while_the_ledger_is_read_is_no_tampering(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else publishes, and notes it, between the reading of the ledger and its comparison."""
    read, waiting = project.warehouse.read, [proposal("p9", remove_at=0.96, current=(0.93, 0.7))]

    def slow(table: str, *given: Any, **named: Any) -> pd.DataFrame:
        rows = read(table, *given, **named)
        if table == "threshold_ledger" and waiting:
            carry_out(project, [waiting.pop()], DAY + timedelta(days=2), now=NOW + timedelta(days=2))
        return rows

    monkeypatch.setattr(type(project.warehouse), "read", lambda _, *given, **named: slow(*given, **named))
    assert [row["version"] for row in read_chain(project)] == [1, 2, 3]
    assert [row["version"] for row in read_chain(project)] == [1, 2, 3, 4]
