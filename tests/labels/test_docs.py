"""The rules are written down, each of them."""

from __future__ import annotations

import pytest

from include.config.settings import PROJECT_ROOT
from include.contract.terms import Reason

PAGE = (PROJECT_ROOT / "docs" / "labels.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_stands_in_the_docs_as_it_is_in_the_code(reason: Reason) -> None:
    assert f"| `{reason.value}` | {reason.meaning} |\n" in PAGE


def test_the_docs_name_no_other_reason() -> None:
    table = PAGE.split("## Reasons of refusal")[1].split("\n## ")[0]
    named = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert named == [reason.value for reason in Reason]
