"""Pages that tasks write shut nobody out: axe-core finds nothing in them, light or dark, and they fit a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.contract.cell import records
from include.quality.data_docs import write_page
from include.quality.gate import run_gate
from include.report.answer import AnswerData, build_answer
from include.report.page import build_report
from tests.accessible import axe, violations
from tests.browsing import browser
from tests.quality.test_gate import NONE, consensus
from tests.report.test_page import CONFIG, DAY, report_data

pytestmark = pytest.mark.slow


def test_reports_answers_and_gate_pages_shut_nobody_out(tmp_path: Path) -> None:
    script, data = axe(), report_data()
    asked = records(data.proposals[data.proposals["market"] == "BR"].assign(status="what_if"))
    answer = AnswerData(DAY, CONFIG, asked, data.curves, data.histogram, "ana asks.", "election week")
    for name, text in (("report", build_report(data)), ("answer", build_answer(answer))):
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    for day, shares in ((DAY, consensus(1.7)), (DAY.replace(day=9), consensus())):
        write_page(tmp_path, run_gate("consensus", day, shares), NONE)
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) == 5
    with browser() as window:
        for scheme in ("light", "dark"):
            tab = window.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
            for page in pages:
                tab.goto(page.as_uri())
                assert violations(tab, script) == [], (page.name, scheme)
                assert tab.evaluate("document.documentElement.scrollWidth") == 390, page
