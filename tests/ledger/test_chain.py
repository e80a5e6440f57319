"""The chain: what is in force, and which version and column was changed."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.files import canonical_json
from include.ledger.chain import column_hashes, in_order, verify
from include.project import Project
from tests.ledger.publishing import DAY, INITIAL, in_force, project_in, three_versions


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_in(tmp_path)


def test_thresholds_in_force_are_those_of_earlier_days(project):
    three_versions(project)
    days = [DAY + timedelta(days=n) for n in range(3)]
    assert [in_force(project, day) for day in days] == [(0.98, 0.8), (0.95, 0.7), (0.93, 0.7)]


def test_a_cell_outside_the_ledger_has_the_initial_thresholds_and_an_unknown_policy_none(project):
    three_versions(project)
    assert in_force(project, cell=("violence", "BR", "violence-v9")) == (INITIAL.remove_at, INITIAL.review_at)
    with pytest.raises(ValueError, match=r"'spam'.*not configured"):
        in_force(project, cell=("spam", "BR", "v1"))


def test_a_sound_ledger_has_no_problems_in_any_order(project):
    rows = three_versions(project)
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
        ("expires_on", date(2026, 12, 1)),
        ("request", '{"kind":"ad_hoc"}'),
    ],
)
def test_any_changed_column_is_found_and_its_version_named(project, column, value):
    problems = verify(tampered(three_versions(project), 2, column, value))
    assert f"version 2: column {column} was changed" in problems
    if column in ("thresholds", "changes"):
        assert any(p.startswith("version 2: column thresholds or changes: violence/BR/violence-v3") for p in problems)


def test_every_column_has_a_hash_of_its_own(project):
    row = in_order(three_versions(project))[-1]
    assert json.loads(row["column_hashes"]) == column_hashes(row)
    assert set(column_hashes(row)) == {*row} - {"hash", "column_hashes"}


def test_a_changed_hash_is_told_from_a_changed_content(project):
    rows = three_versions(project)
    problems = verify(tampered(rows, 2, "hash", "f" * 64))
    assert "version 2: column hash was changed; the content is what the next version was built on" in problems
    assert verify(tampered(rows, 3, "hash", "f" * 64))[0].startswith("version 3: content or hash was changed")
    assert verify(tampered(rows, 3, "reason", "another")) == ["version 3: column reason was changed"]
    assert verify(tampered(rows, 2, "column_hashes", "{}")) == ["version 2: column column_hashes was changed"]


def test_a_content_changed_together_with_its_hashes_breaks_the_chain(project):
    rows = tampered(three_versions(project), 2, "reason", "another")
    hashes = column_hashes(next(row for row in in_order(rows) if row["version"] == 2))
    rows = tampered(rows, 2, "column_hashes", canonical_json(hashes))
    assert verify(rows)[0].startswith("version 2: content and column_hashes were changed")
    sealed = hashlib.sha256(canonical_json(hashes).encode()).hexdigest()
    problems = verify(tampered(rows, 2, "hash", sealed))
    assert problems
    assert all(problem.startswith("version 3: previous_hash") for problem in problems)


def test_a_missing_version_a_repeated_one_and_broken_json_are_named(project):
    rows = three_versions(project)
    assert any("version 2 was expected" in p for p in verify(rows[rows["version"] != 2]))
    assert any("version 3: a gap or a repetition" in p for p in verify(pd.concat([rows, rows[rows["version"] == 3]])))
    assert "version 2: column changes is not JSON" in verify(tampered(rows, 2, "changes", "[{"))
    assert "version 2: column evidence is not in canonical form" in verify(tampered(rows, 2, "evidence", '{ "a":"b"}'))


def test_canonical_json_is_one_form_for_equal_values():
    assert canonical_json({"b": 1.5, "a": ["ü", None]}) == '{"a":["ü",null],"b":1.5}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
