"""The serving file: whole, never older, of one form."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.contract.tables import CELL
from include.ledger.chain import LedgerError, next_version
from include.ledger.serving import read_serving, serving_document, write_serving
from include.project import Project
from tests.ledger.publishing import BR, CONFIG, DAY, NOW, project_in


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_in(tmp_path)


@pytest.fixture
def path(project: Project) -> Path:
    return project.settings.thresholds


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
        expires_on=None,
        request={},
        published_at=NOW,
    )
    return {**serving_document(row, CONFIG), "version": version}


def test_a_canary_is_served_and_read_back(path):
    canary = {"remove_at": 0.85, "review_at": 0.4, "share": 0.01, "salt": 7}
    served = document(3)
    served["cells"][0]["canary"] = canary
    write_serving(path, served)
    assert read_serving(path)["cells"][0]["canary"] == canary


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"share": 1.0}, "expected a share between 0 and 1, found 1.0"),
        ({"share": None}, "expected a share between 0 and 1, found None"),
        ({"salt": -1}, "expected a salt"),
        ({"review_at": 0.9}, "expected 0 <= review_at <= remove_at <= 1"),
    ],
)
def test_a_canary_of_another_form_is_refused(path, wrong, said):
    served = document(3)
    served["cells"][0]["canary"] = {"remove_at": 0.85, "review_at": 0.4, "share": 0.01, "salt": 7, **wrong}
    write_serving(path, served)
    with pytest.raises(LedgerError, match=rf"cells\[0\]\.canary: {said}"):
        read_serving(path)


def test_an_older_version_never_replaces_a_newer_one(path):
    assert write_serving(path, document(5))
    assert not write_serving(path, document(4))
    assert read_serving(path)["version"] == 5
    assert write_serving(path, document(5, 0.8))
    assert read_serving(path)["cells"][0]["remove_at"] == 0.8
    assert [file.name for file in path.parent.iterdir()] == ["thresholds.json"]


def test_a_reader_sees_whole_documents_with_rising_versions(path):
    write_serving(path, document(0))
    seen: list[int] = []
    done = threading.Event()

    def reader():
        while not done.is_set():
            seen.append(read_serving(path)["version"])

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(reader)
        list(pool.map(lambda n: write_serving(path, document(n)), [k ^ 3 for k in range(80)]))
        done.set()
        reading.result()
    assert seen == sorted(seen)
    assert read_serving(path)["version"] == 79


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
def test_a_serving_file_of_another_form_is_refused_by_key(path, key, value, message):
    path.parent.mkdir()
    path.write_text(json.dumps({**document(3), key: value}))
    with pytest.raises(LedgerError, match=message):
        read_serving(path)
    path.write_text("[]")
    with pytest.raises(LedgerError, match="expected an object"):
        read_serving(path)
