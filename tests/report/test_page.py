"""The daily report, on a made-up day of three policies in three markets."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from include import wording
from include.config.load import load_config
from include.contract.cell import by_cell, cell_of, records
from include.contract.change import Bucket, Change
from include.contract.grid import ThresholdPair
from include.contract.schema import empty_frame
from include.contract.tables import CELL, TABLES
from include.ledger.canaries import Canary
from include.report import cells as cells_in_words
from include.report import decisions, figures
from include.report.cells import MOST_DETAILED
from include.report.data import CURVE_COLUMNS, ENFORCEMENT_COLUMNS, SAMPLE_COUNT_COLUMNS, ReportData
from include.report.page import build_report
from include.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Figure, svg
from tests.browsing import browser
from tests.waiting import HANG, wait_for

pytestmark = pytest.mark.slow

DAY = date(2026, 11, 3)
_SHIPPED = load_config()
CONFIG = _SHIPPED.model_copy(
    update={
        "markets": {
            market: setting.model_copy(update={"reviewer_minutes": minutes})
            for (market, setting), minutes in zip(_SHIPPED.markets.items(), (9_000, 6_000, 12_000), strict=True)
        }
    }
)
CELLS = [
    (policy, market, version)
    for policy, setting in CONFIG.policies.items()
    for market in CONFIG.markets
    for version in setting.model_versions
]
_STATUSES = (
    *("within_limits", "unchanged", "refused", "approved", "awaiting_approval", "refused"),
    *("held", "unchanged", "refused", "within_limits", "timed_out", "refused"),
)
_HOSTILE = "<script>alert(1)</script>\"'&</script><img src=http://example.com/x onerror=alert(1)>"


def _cell(cell: tuple[str, str, str]) -> dict[str, Any]:
    return dict(zip(("policy", "market", "model_version"), cell, strict=True))


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(TABLES[table].column_names)) if rows else empty_frame(TABLES[table])


def _population(position: int) -> np.ndarray:
    """Harmless and violating videos in each of the 1,000 bins."""
    edges = np.linspace(0, 1, 1001)
    total = 150_000 + 60_000 * (position % 5)
    harmless = np.diff(0.9994 * beta(0.6, 9).cdf(edges) + 0.0006 * beta(1.2, 1.4).cdf(edges)) * total
    violating = np.diff(beta(2.2, 0.75).cdf(edges)) * total * (0.006 + 0.002 * (position % 4))
    return np.stack([harmless, violating]).round().astype(int)


def _curve(position: int, cell: tuple[str, str, str], confidence: float) -> pd.DataFrame:
    harmless, violating = _population(position)
    bins = np.arange(995, 499, -5)
    removes = np.array([(harmless + violating)[b:].sum() for b in bins])
    truth = np.array([violating[b:].sum() for b in bins]) / removes
    n = (removes * (0.04 if _STATUSES[position] == "refused" else 0.5)).astype(int)
    right = (n * truth).astype(int)
    return pd.DataFrame(
        {
            **_cell(cell),
            "threshold": bins / 1000,
            "estimate": right / n,
            "bound": np.where(right > 0, beta.ppf(1 - confidence, np.maximum(right, 1), n - right + 1), 0),
            "removes": removes,
        },
        columns=list(CURVE_COLUMNS),
    )


def _proposal(position: int, cell: tuple[str, str, str], curve: pd.DataFrame) -> dict[str, Any]:
    policy, status = CONFIG.policies[cell[0]], _STATUSES[position]
    videos = _population(position).sum(axis=0)
    good = curve[curve["bound"] >= policy.target_precision]
    best = good.iloc[-1] if len(good) else curve.iloc[8]
    refused = status == "refused"
    new = 0.98 if status == "unchanged" else float(best["threshold"])
    at = curve.iloc[(curve["threshold"] - new).abs().argmin()]
    return {
        "proposal_id": f"proposal-{position}",
        "origin": "daily",
        **_cell(cell),
        "current_remove_at": 0.98,
        "current_review_at": 0.80,
        "proposed_remove_at": None if refused else new,
        "proposed_review_at": None if refused else (0.80 if status == "unchanged" else 0.45),
        "target": policy.target_precision,
        "confidence": policy.confidence,
        "population": "cell" if position % 2 else "region europe",
        "basis": "golden",
        "method": None if refused else "exact binomial",
        "estimate": None if refused else float(at["estimate"]),
        "bound": None if refused else float(at["bound"]),
        "n": 31 + position if refused else 200 + 17 * position,
        "refusal": "too few labels at or above 0.980 to reach the target" if refused else None,
        "labels_needed": 420 + position if refused else None,
        "removes_before": int(videos[980:].sum()),
        "removes_after": None if refused else int(videos[round(new * 1000) :].sum()),
        "reviews_before": int(videos[800:980].sum()),
        "reviews_after": None if refused else int(videos[450 : round(new * 1000)].sum()),
        "canary_share": None,
        "forecast": json.dumps(_effect(position)),
        "verdicts": json.dumps(
            [
                {"name": "min_evidence", "outcome": "publish", "reason": "212 labels at or above it; 30 are asked for"},
                {
                    "name": "volume_change",
                    "outcome": {"held": "hold", "awaiting_approval": "ask"}.get(status, "publish"),
                    "reason": "removals a day go from 311 to 2840",
                },
            ]
        ),
        "status": status,
        "answered_by": "ada" if status == "approved" else None,
    }


def _effect(position: int) -> dict[str, Any]:
    """A forecast, as `include.forecasts.forecast` words it."""
    pair = {"before": 1_000.0, "after": 1_250.0 + position}
    stated = {"estimate": 0.981, "low": 0.96, "high": 0.99, "labels": 120}
    return {
        **dict.fromkeys(("removes", "remove_views", "reviews", "reviewer_minutes"), pair),
        "precision": {"before": stated, "after": {**stated, "estimate": 0.957}},
        "recall": {"before": stated, "after": {**stated, "estimate": None}},
        "wrongful_removals_change": {"estimate": 3.25, "low": -1.04, "high": 12.6, "labels_needed": 140},
        "violative_views_prevented_change": {"estimate": None, "low": 0.0, "high": 18_250.0, "labels_needed": 0},
        "precision_change": {"estimate": -0.024, "low": -0.05, "high": 0.001, "labels_needed": None},
        "appeals_overturned_change": {"estimate": None, "low": None, "high": None, "refusal": "no appeal to go by"},
        "flips": {
            "videos": 41,
            "violating": 0.9,
            "examples": [
                {
                    "sample_id": _HOSTILE,
                    "score": 0.9612,
                    "views": 12_345,
                    "p_violating": 1.0,
                    "old": "review",
                    "new": "remove",
                }
            ],
        },
    }


def _outcomes() -> pd.DataFrame:
    """Version 3 removed a fifth more than was forecast of one cell, compared today, and twice as much of another."""
    shared = {"version": 3, "horizon_days": 7, "measured_on": DAY - timedelta(days=3), "in_force": True, "labels": 40}
    ends = dict.fromkeys(("forecast_low", "forecast_high", "happened_low", "happened_high"))
    counted = {**shared, **ends, "measure": "removes", "refusal": None, "labels": 0}
    judged = {**shared, **_cell(CELLS[0]), "measure": "wrongful_removals_change", "forecast": 3.0, "forecast_low": 1.0}
    judged |= {"forecast_high": 9.0, "happened": None, "happened_low": None, "happened_high": None}
    rows = [
        {**counted, **_cell(CELLS[0]), "forecast": 1000.0, "happened": 1200.0, "ds": DAY},
        {**judged, "refusal": "no label since", "ds": DAY},
        {**counted, **_cell(CELLS[1]), "forecast": 1000.0, "happened": 2000.0, "ds": DAY - timedelta(days=28)},
    ]
    return pd.DataFrame(rows, columns=["ds", *TABLES["forecast_outcomes"].column_names])


def _metrics(position: int, cell: tuple[str, str, str]) -> list[dict[str, Any]]:
    rows = []
    rng = np.random.default_rng(position)
    for back in range(13, -1, -1):
        for metric, value, width in (
            ("precision", 0.90 if position == 4 else 0.972, 0.03),
            ("recall", 0.61, 0.09),
            ("false_positive_rate", 0.0004, 0.0001),
            ("prevalence", 0.004 + 0.002 * (position % 4), 0.0011),
            ("violative_view_rate", 0.0021 + 0.001 * (position % 4), 0.0007),
        ):
            refused = (metric, position) == ("recall", 2) or (metric == "prevalence" and back == 6)
            moved = float(value * (1 + 0.06 * rng.standard_normal() * (metric not in ("precision", "recall"))))
            rows.append(
                {
                    "ds": DAY - timedelta(days=back),
                    **_cell(cell),
                    "population": "cell",
                    "metric": metric,
                    "value": None if refused else moved,
                    "low": None if refused else moved - width,
                    "high": None if refused else moved + min(width, 0.025),
                    "n": 300 + position,
                    "refusal": "effective sample size 18 is below 30" if refused else None,
                    "threshold": 0.98,
                    "corrected": None if refused else moved,
                    "corrected_low": None if refused else 0.9 * moved,
                    "corrected_high": None if refused else min(1.1 * moved, 1.0),
                    "correction": "the metric itself is not stated" if refused else None,
                }
            )
    return rows


def _histogram(position: int, cell: tuple[str, str, str]) -> list[dict[str, Any]]:
    videos = _population(position).sum(axis=0)
    rows = [{**_cell(cell), "bin": b, "n_videos": int(v), "n_views": int(v) * 40} for b, v in enumerate(videos) if v]
    return [{**_cell(cell), "bin": -1, "n_videos": 512, "n_views": 900}, *rows]


def _design(cell: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [
        {
            "design_id": "d1",
            "programme": "audit",
            **_cell(cell),
            "stratum": f"s{k}",
            "region": region,
            "first_bin": first,
            "last_bin": last,
            "score_low": first / 1000,
            "score_high": (last + 1) / 1000,
            "population": 1000,
            "population_views": 40_000,
            "programme_probability": 0.02,
            "inclusion_probability": 0.02,
            "expected_labels": 20.0,
            "expected_minutes": 30.0,
            "reason": "Neyman",
        }
        for k, (region, first, last) in enumerate((("allow", 0, 799), ("review", 800, 979), ("remove", 980, 999)))
    ]


def _check(
    gate: str, position: int, *, success: bool = True, severity: str = "critical", **other: str
) -> dict[str, Any]:
    return {
        "gate": gate,
        "table_name": "score_profile",
        "position": position,
        "expectation": "null scores are at most 20 % of a cell's rows",
        "column_name": "null_scores",
        "severity": severity,
        "success": success,
        "observed": "0.4 %",
        **other,
    }


def _reviewers() -> list[dict[str, Any]]:
    """Good ones; one below the floor and left out; one who changed."""
    rows: list[dict[str, Any]] = []
    for name, sensitivity, recent in (("ana", 0.96, 0.95), ("dud", 0.31, 0.7), ("mo", 0.93, 0.62), ("new", None, 1)):
        for basis in ("consensus", "golden"):
            golden = basis == "golden"
            rows.append(
                {
                    "policy": "violence",
                    "reviewer_id": name,
                    "labels": 400,
                    "golden_labels": 60,
                    "sensitivity": sensitivity,
                    "sensitivity_low": 0.0 if sensitivity is None else round(sensitivity - 0.04, 2),
                    "sensitivity_high": 1.0 if sensitivity is None else round(sensitivity + 0.03, 2),
                    "specificity": 0.97,
                    "specificity_low": 0.94,
                    "specificity_high": 0.98,
                    "agreement": 0.95,
                    "basis": basis,
                    "seconds_per_answer": None if name == "mo" else 41.6,
                    "recent_labels": 120,
                    "recent_agreement": recent,
                    "earlier_agreement": 0.94,
                    "drift_p_value": 0.003 if name == "mo" else 0.8,
                    "drifted": name == "mo" and golden,
                    "below_floor": name == "dud" and golden,
                    "action": "leave_out" if name == "dud" else "keep",
                }
            )
    return rows


def _agreement() -> list[dict[str, Any]]:
    counts = {"items": 5200, "shared_items": 1410, "reviewers": 4}
    return [
        {"policy": "fraud", **counts, "krippendorff_alpha": None, "gwet_ac1": None},
        {"policy": "violence", **counts, "krippendorff_alpha": 0.714, "gwet_ac1": 0.9482},
    ]


@pytest.fixture(scope="module")
def data() -> ReportData:
    return report_data()


def report_data() -> ReportData:
    """A busy day: every status, one gate warning, one critical failure, refused labels, a market over capacity."""
    curves = {cell: _curve(k, cell, CONFIG.policies[cell[0]].confidence) for k, cell in enumerate(CELLS)}
    proposals = _frame("threshold_proposals", [_proposal(k, cell, curves[cell]) for k, cell in enumerate(CELLS)])
    enforced = []
    for row in proposals.to_dict("records"):
        cell = {name: row[name] for name in ("policy", "market", "model_version")}
        off = 25 if cell["model_version"] == "fraud-v3" and cell["market"] == "DE" else 0
        enforced += [
            {**cell, "action": "remove", "threshold_version": 6, "n_videos": row["removes_before"] - off},
            {**cell, "action": "review", "threshold_version": 6, "n_videos": row["reviews_before"] + off},
            {**cell, "action": "allow", "threshold_version": 6, "n_videos": 40_000},
        ]
    quality = [_check("scores", k) for k in range(1, 13)]
    quality.append(
        _check("scores", 13, success=False, severity="warning", observed="2.31 times the trailing week in fraud, IN")
    )
    quality += [_check("sample", k, table_name="review_sample") for k in range(1, 7)]
    quality.append(
        _check("labels", 1, success=False, table_name="label_events", observed="reject rate 0.26, limit 0.20")
    )
    failures = [
        {**_check("sample", 4, table_name="review_sample", observed="412 draws, 300 expected"), "attempt": 1},
        {**_check("labels", 1, table_name="label_events", observed="reject rate 0.91, limit 0.20"), "attempt": 1},
        {**_check("labels", 1, table_name="label_events", observed="reject rate 0.26, limit 0.20"), "attempt": 2},
    ]
    rejects = [
        {"source_file": "events.jsonl", "source_line": k, "reason": reason, "detail": detail, "raw": "{}"}
        for k, (reason, detail) in enumerate(
            [("unknown_video", "video_id 7361 was never sampled")] * 14
            + [("unreadable_line", "line is not JSON")] * 3
            + [("duplicate_event", "event_id e-17 was accepted before")] * 5,
            start=1,
        )
    ]
    ledger = {
        "version": 7,
        "hash": "9f2c4be1" * 8,
        "previous_hash": "03ad5577" * 8,
        "published_at": pd.Timestamp(datetime(2026, 11, 4, 6, 12, tzinfo=UTC)),
        "thresholds": "[]",
        "changes": "[]",
        "proposal_ids": "[]",
        "evidence": "{}",
        "code_version": "0.1.0",
        "requester": "recalibrate_thresholds",
        "approver": "ada",
        "reason": "daily recalibration",
    }
    counts = [
        {**_cell(cell), "ds": DAY - timedelta(days=back), "drawn": 60, "labelled": 60 if back > 2 else 45, "final": 50}
        for cell in CELLS
        for back in range(14)
    ]
    appeals = [
        {
            "event_id": f"a{k}",
            "video_id": k,
            "policy": "fraud" if k % 3 else "violence",
            "outcome": "overturned" if k % 4 == 0 else "upheld",
            "decided_at": pd.Timestamp(datetime(2026, 11, 3, 9, tzinfo=UTC)),
        }
        for k in range(40)
    ]
    return ReportData(
        day=DAY,
        config=CONFIG,
        proposals=proposals,
        metrics=pd.DataFrame([row for k, cell in enumerate(CELLS) for row in _metrics(k, cell)]),
        histogram=_frame("score_histogram", [row for k, cell in enumerate(CELLS) for row in _histogram(k, cell)]),
        design=_frame("sampling_design", [row for cell in CELLS for row in _design(cell)]),
        quality=_frame("quality_results", quality),
        failures=_frame("gate_failures", failures),
        rejects=_frame("label_rejects", rejects),
        ledger=_frame("threshold_ledger", [ledger]),
        reviewers=_frame("reviewer_quality", _reviewers()),
        agreement=_frame("label_agreement", _agreement()),
        curves=pd.concat(curves.values(), ignore_index=True),
        outcomes=_outcomes(),
        sample_counts=pd.DataFrame(counts, columns=list(SAMPLE_COUNT_COLUMNS)),
        appeals=_frame("appeals", appeals),
        enforcement=pd.DataFrame(enforced, columns=list(ENFORCEMENT_COLUMNS)),
    )


_VOID = {"meta", "link", "img", "br", "hr", "input"}


class _Page(HTMLParser):
    """Every tag, each section's text and table rows, and the contents of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.rows: dict[str, list[list[str]]] = {}
        self._stack: list[tuple[str, str | None]] = []
        self.feed(page)
        assert not self._stack, f"unclosed: {self._stack}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag in _VOID:
            return
        self._stack.append((tag, given.get("id") if tag in ("section", "div") else None))
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag in ("td", "th"):
            self.rows[self._section][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._stack, f"stray </{tag}>"
        assert self._stack[-1][0] == tag, f"</{tag}> closes {self._stack[-1]}"
        self._stack.pop()

    def handle_data(self, data: str) -> None:
        open_tags = {tag for tag, _ in self._stack}
        if "style" in open_tags:
            return
        words = " ".join(data.split())
        self.text[self._section] = f"{self.text.get(self._section, '')} {words}".strip()
        if open_tags & {"td", "th"}:
            self.rows[self._section][-1][-1] = f"{self.rows[self._section][-1][-1]} {words}".strip()

    @property
    def _section(self) -> str:
        return next((id_ for tag, id_ in reversed(self._stack) if id_), "head")

    def row(self, section: str, start: str) -> list[str]:
        """The one row of the section whose first cell starts so."""
        (found,) = [row for row in self.rows[section] if row[0].startswith(start)]
        return found

    def ids(self) -> list[str]:
        return [given["id"] or "" for _, given in self.tags if "id" in given]


@pytest.fixture(scope="module")
def html(data: ReportData) -> str:
    return build_report(data)


@pytest.fixture(scope="module")
def page(html: str) -> _Page:
    return _Page(html)


def _by_status(data: ReportData, status: str) -> list[dict[str, Any]]:
    return data.proposals[data.proposals["status"] == status].to_dict("records")  # type: ignore[return-value]


def test_nothing_in_the_page_points_to_the_network(page: _Page):
    loading = [
        v for _, given in page.tags for k, v in given.items() if k in ("src", "href", "srcset", "action", "data")
    ]
    assert loading
    assert all(value and (value.startswith("#") or value == "data:,") for value in loading), loading
    assert {tag for tag, _ in page.tags} & {"img", "iframe", "object", "embed", "form", "video"} == set()
    style = (Path(__file__).parents[2] / "include/report/templates/page.css").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_nothing_in_the_page_runs(page: _Page):
    (policy,) = [given["content"] or "" for _, given in page.tags if given.get("http-equiv")]
    rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == ["'none'"]
    assert rules.keys() & {"script-src", "connect-src"} == set()
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, given in page.tags for name in given)


MOST_BYTES = 1_500_000


def test_the_page_fits_a_mail_also_with_as_many_cells_as_it_shows(data: ReportData, html: str):
    assert len(html.encode()) < 400_000
    busiest = data.proposals[data.proposals["status"] == "awaiting_approval"].iloc[:1]
    versions = [f"v{k}" for k in range(decisions.MOST_CELLS + 1)]
    many: dict[str, Any] = {
        name: pd.concat([rows.assign(model_version=version) for version in versions], ignore_index=True)
        for name, rows in (
            ("proposals", busiest),
            *((name, _of(getattr(data, name), CELLS[4])) for name in ("curves", "histogram", "metrics")),
        )
    }
    page = build_report(replace(data, **many, enforcement=None))
    assert len(page.encode()) < MOST_BYTES
    assert page.count('<svg viewBox="0 0 440') == 3 * MOST_DETAILED
    assert page.count('<details class="cell"') == decisions.MOST_CELLS
    assert "More of it is on the page of the cell" in page


def test_the_first_screen_says_what_changed_and_what_that_does(data: ReportData, page: _Page):
    head = page.text["head"]
    assert "Tuesday, 3 November 2026" in head
    verdict = "Thresholds changed in 3 of 12 cells; 1 change waits for approval; 1 thing is wrong."
    assert verdict in head
    for row in _by_status(data, "approved") + _by_status(data, "within_limits"):
        assert f"{row['policy']}, {row['market']}: removes at {row['proposed_remove_at']:.3f}, was 0.980" in head
    assert "was 0.800, approved by ada" in head
    assert "fraud, IN stays: approval timed out" in head
    before, later = data.proposals["removes_before"].sum(), 0
    for row in records(data.proposals):
        later += row["removes_after" if row["status"] in ("approved", "within_limits") else "removes_before"]
    assert f"Removed {before:,.0f} → {later:,.0f}" in head
    assert "Wrongly removed about +9.8" in head  # three changes of +3.25
    assert "Violative views prevented about" not in head  # no estimate is stated
    unknown = json.loads(data.proposals["forecast"].iloc[0])
    unknown["wrongful_removals_change"]["estimate"] = None
    first = data.proposals["status"].eq("within_limits").idxmax()
    forecasts = data.proposals["forecast"].where(data.proposals.index != first, json.dumps(unknown))
    partly = _Page(build_report(replace(data, proposals=data.proposals.assign(forecast=forecasts))))
    assert "Wrongly removed about +6.5 not known for 1 cell" in partly.text["head"]


def test_what_needs_whom_and_what_is_wrong_come_red_first(page: _Page):
    kinds = [given["class"] or "" for tag, given in page.tags if tag == "li" and given.get("class") in KINDS]
    needs, wrong = kinds[:5], kinds[5:]
    assert needs == sorted(needs, key=KINDS.index)
    assert wrong == ["bad", "warn", "warn"]
    head = page.text["head"]
    assert "labels : reject rate 0.26" not in head
    assert "labels: reject rate 0.26, limit 0.20" in head
    assert "Whoever may approve : 1 change waits for an answer: pornography, DE" in head
    assert "Who sets the limits : 1 change is held back: fraud, BR. removals a day go from 311 to 2840" in head
    assert "Reviewers : about 1,706 more labels, 53.4 h, would decide 4 cells without a certificate" in head


KINDS = ("bad", "warn", "info")


def test_nothing_but_details_speaks_as_statisticians_do(html: str):
    before, details = html.split('<h2 id="details-title">')
    for word in ("e-value", "e_value", "SHA", "Krippendorff", "exact binomial", "Clopper", "null_scores", "hash"):
        assert word.lower() not in before.partition("<body>")[2].lower(), word
    assert "exact binomial" in details


def test_a_low_estimate_of_one_day_is_no_alarm(data: ReportData):
    precision = data.metrics["metric"] == "precision"
    low = data.metrics.assign(
        value=data.metrics["value"].mask(precision, 0.5), high=data.metrics["high"].mask(precision, 0.6)
    )
    assert _Page(build_report(replace(data, metrics=low))).text["head"] == _Page(build_report(data)).text["head"]


def test_a_quiet_day_says_so(data: ReportData):
    quiet = replace(
        data,
        proposals=data.proposals[data.proposals["status"] == "unchanged"],
        quality=data.quality[data.quality["success"].astype(bool)],
        reviewers=data.reviewers[data.reviewers["reviewer_id"].isin(["ana", "new"])],
        enforcement=None,
    )
    head = _Page(build_report(quiet)).text["head"]
    assert "Nothing needs anybody." in head
    assert "No threshold changed; 2 cells were considered; nothing is wrong." in head


def test_thresholds_are_shown_old_and_new_with_what_is_certified_and_why(data: ReportData, page: _Page):
    for row in data.proposals.to_dict("records"):
        shown = page.row("thresholds", f"{row['policy']}, {row['market']} {row['model_version']}")
        if row["status"] == "refused":
            hours = row["labels_needed"] * data.config.policies[row["policy"]].minutes_per_label / 60
            lacks = f"{row['labels_needed']:.0f} labels missing, {hours:.1f} h of review"
            assert shown[2:5] == ["0.980", "0.800", f"not certified asked: {row['target']:.0%}"]
            assert shown[6] == f"{row['refusal']} {lacks}"
            continue
        new = "0.980 unchanged" if row["status"] == "unchanged" else f"0.980 → {row['proposed_remove_at']:.3f}"
        assert shown[2] == new
        stated = float(re.findall(r"([\d.]+)%", shown[4])[0]) / 100
        assert row["bound"] - 0.001 < stated <= row["bound"], "a bound is rounded down"
        asks = row["status"] in ("awaiting_approval", "held")
        assert shown[6] == ("removals a day go from 311 to 2840" if asks else "")
        whose = "this cell" if row["population"] == "cell" else "region europe"
        assert f"It rests on {row['n']} labels of {whose}, judged by the exact binomial." in page.text["cells"]
    statuses = [row[1] for row in page.rows["thresholds"][1:]]
    assert statuses[0] == "Waiting for approval"
    assert statuses[3] == "Changed, approved by ada"
    assert statuses[-1] == "Kept"
    assert "6 cells stay as they are" in page.text["thresholds"]


def test_every_cell_is_there_with_three_charts_that_say_what_they_show(data: ReportData, page: _Page):
    places = [given for _, given in page.tags if given.get("class") == "chart"]
    assert len(places) == 36
    assert all(place["role"] == "img" and place["aria-label"] for place in places)
    for cell in CELLS:
        assert sum((place["aria-label"] or "").startswith(", ".join(cell)) for place in places) == 3
    assert len(page.ids()) == len(set(page.ids()))


def _of(frame: pd.DataFrame, cell: tuple[str, str, str]) -> pd.DataFrame:
    return frame[(frame["policy"] == cell[0]) & (frame["market"] == cell[1]) & (frame["model_version"] == cell[2])]


def _figure(data: ReportData, cell: tuple[str, str, str], kind: str) -> Figure:
    """What is drawn of a cell, as the page draws it."""
    (row,) = records(_of(data.proposals, cell))
    return {
        "precision": lambda: cells_in_words._precision(_of(data.curves, cell), row),
        "scores": lambda: cells_in_words._scores(_of(data.histogram, cell), row),
        "trend": lambda: figures.rate_trend(_of(data.metrics, cell)),
    }[kind]()  # type: ignore[return-value]


def _drawn(html: str, figure: Figure) -> list[str]:
    """The paths of a figure's series, in their order; the figure must be in the page."""
    drawing = str(svg(figure))
    assert drawing in html
    return re.findall(r'<path class="(?:line|bars|band) [^"]*" d="([^"]*)"', drawing)


def test_the_curve_shows_bound_target_and_both_thresholds(data: ReportData, html: str):
    cell = ("pornography", "DE", "pornography-v5")
    row = _of(data.proposals, cell).iloc[0]
    figure = _figure(data, cell, "precision")
    series = {series.name: series.points for series in figure.series}
    curve = _of(data.curves, cell)
    bound = dict(series["Certified at 90%"])
    expected = dict(zip(curve["removes"], curve["bound"], strict=True))
    assert all(value == pytest.approx(expected[volume], abs=1e-6) for volume, value in bound.items())
    assert len(bound) > 50
    assert {y for _, y in series["Target 95%"]} == {0.95}
    assert {x for x, _ in series["Today 0.980"]} == {row["removes_before"]}
    assert {x for x, _ in series[f"Proposed {row['proposed_remove_at']:.3f}"]} == {row["removes_after"]}
    paths = dict(zip((series.name for series in figure.series), _drawn(html, figure), strict=True))
    points = [tuple(map(float, at.split())) for at in paths["Certified at 90%"].strip("M").split("L")]
    assert len(points) == len(bound)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in points)
    low, high = figure.y.low, figure.y.high
    for (_, y), value in zip(points, bound.values(), strict=True):
        shown = high - (high - low) * (y - TOP) / (HEIGHT - TOP - BOTTOM)
        assert shown == pytest.approx(value, abs=0.001)


def test_the_histogram_counts_every_scored_video_once(data: ReportData, html: str, page: _Page):
    cell = ("violence", "BR", "violence-v3")
    figure = _figure(data, cell, "scores")
    bars = [series for series in figure.series if series.kind == "bars"]
    rows = _of(data.histogram, cell)
    scored = rows[rows["bin"] >= 0]
    assert sum(y or 0 for bar in bars for _, y in bar.points) == scored["n_videos"].sum()
    (removed,) = [bar for bar in bars if bar.name == "Removed"]
    assert sum(y or 0 for _, y in removed.points) == scored.loc[scored["bin"] >= 980, "n_videos"].sum()
    assert figure.y.log
    assert {0.98, 0.80} < {series.points[0][0] for series in figure.series if series.kind == "line"}
    assert sum(path.count("z") for path in _drawn(html, figure)) == 100
    assert "512 videos" in page.text["cells"]


def test_the_trend_has_intervals_and_leaves_refused_days_out(data: ReportData, html: str):
    figure = _figure(data, ("fraud", "IN", "fraud-v3"), "trend")
    rows = _of(data.metrics, ("fraud", "IN", "fraud-v3"))
    rows = rows[rows["metric"] == "prevalence"].sort_values("ds")
    band, line = figure.series[:2]
    assert line.name == "Prevalence"
    assert [x for x, _ in line.points] == [day.toordinal() for day in rows["ds"]]
    assert [y is None for _, y in line.points] == rows["value"].isna().tolist()
    assert sum(y is None for _, y in line.points) == 1
    assert line.points[-1][1] == pytest.approx(rows["value"].iloc[-1], abs=1e-6)
    assert [y for _, y in band.points].count(None) == 2, "one outline on either side of the gap"
    assert max(y for _, y in band.points if y is not None) == pytest.approx(rows["high"].max(), abs=1e-6)
    assert [path.count("M") for path in _drawn(html, figure)[:2]] == [2, 2]


def test_a_cell_shows_its_metrics_forecast_and_guardrails(page: _Page):
    assert "not stated effective sample size 18 is below 30" in page.text["cells"]
    rows = page.rows["cells"]
    assert ["Wrongful removals", "", "", "+3.2 −1 to +13; about 140 more labels would settle it"] in rows
    assert ["Violative views prevented", "", "", "not stated 0 to +18,250"] in rows
    assert ["Change of precision", "", "", "−2.4 points −5.0 to +0.1"] in rows
    assert ["Appeals overturned", "", "", "not stated no appeal to go by"] in rows
    assert "41 drawn videos would be treated otherwise; the 1 most viewed" in page.text["cells"]
    assert any(row[1:] == ["0.9612", "review → remove", "violating", "12,345"] for row in rows)
    assert ["Videos removed", "1,000", "1,250", "+25%"] in rows
    assert ["volume change", "Asks a person", "removals a day go from 311 to 2840"] in rows
    assert ["volume change", "Holds", "removals a day go from 311 to 2840"] in rows
    assert any(row[:2] == ["Precision of automatic removal", "97.2% true: 97.2% (87.5% to 100%)"] for row in rows)
    assert "Guardrails: 1 of 2 do not pass" in page.text["cells"]
    assert "would move from 0.980" in page.text["cells"]


def test_taking_back_what_nothing_allows_is_not_called_certified(data: ReportData):
    taken = data.proposals.iloc[:1].assign(
        refusal="too few labels", bound=None, method=None, status="awaiting_approval", proposed_remove_at=1.0
    )
    page = _Page(build_report(replace(data, proposals=taken, uncertified=frozenset({cell_of(records(taken)[0])}))))
    assert "would move from 0.980 to none. Nothing is certified: too few labels." in page.text["cells"]
    assert [row[1] for row in page.rows["autonomy"][1:]] == ["Uncertified"]


def test_shadow_mode_is_told_with_what_becomes_of_the_videos(data: ReportData):
    """Of the videos from 0.98 on, those from the review_at in force on are reviewed, the others are allowed."""
    shadow = data.proposals.iloc[:1].assign(
        current_remove_at=1.0, proposed_remove_at=None, refusal="too few labels", bound=None, status="refused"
    )
    cell = cell_of(records(shadow)[0])
    histogram = by_cell(data.histogram)[cell]
    would = int(histogram.loc[histogram["bin"] >= 980, "n_videos"].sum())
    first = int(histogram.loc[histogram["bin"] >= 990, "n_videos"].sum())
    assert 0 < first < would
    for review_at, reviewed in ((0.8, would), (0.99, first)):
        page = _Page(build_report(replace(data, proposals=shadow.assign(current_review_at=review_at))))
        (row,) = page.rows["autonomy"][1:]
        counts = [f"{n:,}" for n in (would, reviewed, would - reviewed, 0)]
        assert row[1:] == ["Shadow mode", *counts]
    assert "Shadow mode: nothing is removed automatically, what would be is reviewed." in page.text["cells"]
    assert "Too few labels." in page.text["cells"]
    certified = shadow.assign(certified_remove_at=0.95, refusal=None)
    page = _Page(build_report(replace(data, proposals=certified.assign(bound=0.96))))
    text = page.text["cells"]
    assert "at least 96" not in page.text["thresholds"], "nothing is removed that it would speak for"
    assert "0.950 and above is certified today, but not on enough days in a row" in text
    assert "Every cell removes by a certificate." in _Page(build_report(data)).text["autonomy"]


def test_forecasts_are_set_against_what_happened(data: ReportData, page: _Page):
    rows = page.rows["forecasts"]
    assert ["Videos removed after 7 days", "2", "+20.0%", "+60.0%", "counted"] in rows
    assert ["violence, BR violence-v3", "version 3 after 7 days", "Videos removed", "1,000", "1,200"] in rows
    assert any(row[4] == "not stated no label since" for row in rows if len(row) == 5)
    none = _Page(build_report(replace(data, outcomes=data.outcomes.iloc[:0])))
    assert "No forecast is old enough to compare" in none.text["forecasts"]


def test_review_load_is_set_against_capacity(data: ReportData, page: _Page):
    for market, setting in data.config.markets.items():
        mine = data.proposals[data.proposals["market"] == market].to_dict("records")
        queue = sum(
            row["reviews_after" if row["status"] in ("approved", "within_limits") else "reviews_before"]
            * data.config.policies[row["policy"]].minutes_per_label
            for row in mine
        )
        audit = data.design.loc[data.design["market"] == market, "expected_minutes"].sum()
        shown = page.row("load", market)
        assert shown[1:5] == [
            f"{minutes / 60:.1f} h" for minutes in (audit, queue, audit + queue, setting.reviewer_minutes)
        ]


def test_the_second_looks_of_experts_are_counted_beside_their_minutes(data: ReportData):
    look: dict[str, Any] = {
        "programme": "second_look",
        "region": "any",
        "inclusion_probability": 1.0,
        "probability_per_view": np.nan,
    }
    strata = data.design[data.design["market"] == "BR"].head(2).assign(**look)
    strata = strata.assign(stratum=["decisive", "random"], expected_labels=[50, 25], expected_minutes=[75.0, 44.5])
    looked = replace(data, design=pd.concat([data.design, strata], ignore_index=True))
    page = _Page(build_report(looked))
    assert page.row("second-look", "BR")[1:] == ["50", "25", "120 min", "100% of 2.0 h"]
    assert page.row("second-look", "DE")[1:] == ["0", "0", "0 min", "0% of 2.0 h"]
    assert page.row("load", "BR") == _Page(build_report(data)).row("load", "BR")  # no minute of the reviewers'
    markets = {name: market.model_copy(update={"experts": None}) for name, market in data.config.markets.items()}
    none = replace(data, config=data.config.model_copy(update={"markets": markets}))
    assert "No market has experts" in _Page(build_report(none)).text["second-look"]


def test_a_market_over_capacity_is_urgent(data: ReportData):
    market = data.config.markets["BR"].model_copy(update={"reviewer_minutes": 100})
    config = data.config.model_copy(update={"markets": {**data.config.markets, "BR": market}})
    head = _Page(build_report(replace(data, config=config))).text["head"]
    assert re.search(r"Who staffs review : BR: [\d.,]+ h a day more review than there is time for \([\d.,]+%\)", head)


def test_a_platform_that_ignores_a_canary_is_told_from_one_that_honours_it(data: ReportData):
    cell = ("violence", "BR", "violence-v3")
    change = Change(cell, ThresholdPair(0.98, 0.8), ThresholdPair(0.7, 0.6), "daily", canary=Bucket(0.1, 5))
    canary = Canary(cell, 3, DAY, DAY, 0.1, change)
    data = replace(data, histogram=data.histogram[data.histogram["bin"] >= 0])  # the made-up queue is of scored videos
    assert data.enforcement is not None
    own = (data.enforcement[list(CELL)] == cell).all(axis=1)
    bins = data.histogram[(data.histogram[list(CELL)] == cell).all(axis=1)].set_index("bin")["n_videos"]
    more = {
        "remove": bins.loc[700:979].sum() // 10,
        "review": (bins.loc[600:799].sum() - bins.loc[700:979].sum()) // 10,
    }
    honouring = data.enforcement.copy()
    for action, n in more.items():
        honouring.loc[own & (honouring["action"] == action), "n_videos"] += n
    for enforced, verdict in ((data.enforcement, "differs"), (honouring, "agrees")):
        page = _Page(build_report(replace(data, enforcement=enforced, canaries={cell: canary})))
        row = page.row("enforcement", "violence, BR")
        assert row[-1] == verdict
        assert " to " in row[3]


def test_labels_gates_enforcement_appeals_and_ledger(page: _Page):
    assert "9,540 of 10,080 videos drawn" in page.text["labels"]
    assert page.row("labels", "pornography, DE")[1:] == ["840", "795", "700", "94.6%"]
    assert "22 label events were refused." in page.text["labels"]
    reasons = [
        row[:2] for row in page.rows["labels"] if row[0] in ("unknown_video", "duplicate_event", "unreadable_line")
    ]
    assert reasons == [["unknown_video", "14"], ["duplicate_event", "5"], ["unreadable_line", "3"]]
    assert "18 of 20 data quality checks held." in page.text["gates"]
    assert [row[2] for row in page.rows["gates"][1:3]] == ["critical", "warning"]
    assert ["labels", "label_events", "0 of 1", "Stopped the run Failed once before"] in page.rows["gates"]
    healed = "Passed Failed first, healed on the second attempt"
    assert ["sample", "review_sample", "6 of 6", healed] in page.rows["gates"]
    told = [row[1:] for row in page.rows["gates"] if row[1:2] in (["sample"], ["labels"]) and len(row) == 4]
    assert ["sample", "1", "412 draws, 300 expected"] in told
    assert ["labels", "1", "reject rate 0.91, limit 0.20"] in told
    assert ["labels", "2", "reject rate 0.26, limit 0.20"] not in told  # is what fails now
    assert ["scores", "score_profile", "12 of 13", "Passed with warnings"] in page.rows["gates"]
    assert page.row("enforcement", "fraud, DE fraud-v3")[-1] == "differs"
    assert page.row("enforcement", "violence, BR")[-1] == "agrees"
    assert page.row("appeals", "violence")[1:] == ["14", "4", "28.6%"]
    ledger = page.row("ledger", "Version 7")
    assert ledger == [
        "Version 7 4 November 2026, 06:12 UTC",
        f"{'9f2c4be1' * 8} after {'03ad5577' * 8}",
        "recalibrate_thresholds Approved by ada",
        "daily recalibration",
    ]


def test_reviewers_who_stand_out_come_first_and_everybody_is_there(page: _Page):
    assert "4 reviewers voted in the window; 1 surely below the floor, 1 changed" in page.text["reviewers"]
    for notice in ("1 reviewer surely below the floor: dud", "1 reviewer changed in the last week: mo"):
        assert notice in page.text["head"]
    assert page.row("reviewers", "violence")[1:] == ["5,200", "1,410", "0.71", "0.95"]
    assert page.row("reviewers", "fraud")[3:] == ["not defined", "not defined"]
    rows = page.rows["reviewers"]
    floor = ["50% and 80%", "votes left out"]
    assert ["dud violence", "golden", "31% 27% to 34%", "97% 94% to 98%", *floor] in rows
    assert ["mo violence", "golden", "94%", "62% 120 votes", "0.30%"] in rows
    assert ["ana violence", "golden", "400", "96% 92% to 99%", "97% 94% to 98%", "95%", "42 s"] in rows
    assert ["new violence", "golden", "400", "not known", "97% 94% to 98%", "95%", "42 s"] in rows
    assert sum(row[0] == "ana violence" for row in rows) == 2


def test_of_very_many_reviewers_the_busiest_are_shown(data: ReportData):
    one = data.reviewers.iloc[:1]
    many = pd.concat([one.assign(reviewer_id=f"r{k:04}", labels=k, drifted=True) for k in range(1_000)])
    page = _Page(build_report(replace(data, reviewers=many)))
    assert "The 200 records with most votes, of 1,000" in page.text["reviewers"]
    assert any(row[0] == "r0999 violence" and row[2] == "999" for row in page.rows["reviewers"])
    assert len(page.rows["reviewers"]) < 410
    assert "1,000 reviewers changed in the last week: r0000, r0001, r0002 and 997 more" in page.text["head"]


def test_the_watch_shows_both_kinds_of_evidence_and_why_appeals_say_nothing(data: ReportData):
    shared: dict[str, Any] = {"version": 3, "since": DAY, "through": DAY, "remove_at": 0.9, "limit": 0.95, "n": 40}
    shared |= {"share": 1.0, "estimate": 0.96, "e_value": 0.5, "highest_e_value": 1.0, "state": "{}"}
    shared |= {"alarm": False, "action": "none", "safe_remove_at": 0.98, "safe_review_at": 0.8, "reason": None}
    why = "switched off: the platform delivers no appeals"
    off: dict[str, Any] = {"appeals_through": None, "appeals_remark": why, "removals": 0, "overturned": 0}
    off |= {"appeals_e_value": 1.0, "highest_appeals_e_value": 1.0, "alarm_at": 20.0}
    on: dict[str, Any] = {"appeals_through": DAY, "appeals_remark": None, "removals": 4_000, "overturned": 750}
    on |= {"appeals_e_value": 41.7, "highest_appeals_e_value": 41.7, "alarm_at": 40.0}
    on |= {"alarm": True, "action": "ask", "reason": "alarm: since version 3"}
    canary = on | {"share": 0.1, "action": "end_canary", "appeals_remark": "nothing counts yet"}
    rows = [{**_cell(cell), **shared, **more} for cell, more in zip(CELLS, (off, on, canary), strict=False)]
    page = _Page(build_report(replace(data, watch=_frame("threshold_watch", rows))))
    assert "raises the alarm at 20, that of labels or of appeals at 40 where both are watched" in page.text["watch"]
    head = page.text["head"]
    assert f"{', '.join(CELLS[1])} breaks its promise; a person is asked about safer thresholds" in head
    assert f"{', '.join(CELLS[0])} breaks" not in head
    quiet, alarmed, ended = (page.row("watch", f"{cell[0]}, {cell[1]}") for cell in CELLS[:3])
    assert quiet[2:] == ["40", "96.00%", "95.00%", "0.5", f"not watched {why}", "", ""]
    assert alarmed[5:] == ["0.5", "750 of 4,000", "41.7", "Alarm a person is asked about safer thresholds"]
    assert ended[1] == f"version 3 since {DAY}, on 10% of its videos"
    assert ended[6] == "750 of 4,000 nothing counts yet"
    assert ended[8] == "Alarm the canary ends, the thresholds before it act on all videos"


def test_completeness_by_region_and_what_came_too_late(data: ReportData):
    ages = [(1, 24, 0.6, 24, True), (2, 30, 0.75, 7, True), (3, 30, 0.75, 5, False), (4, 30, 0.75, 6, False)]
    columns = ["age_days", "answered", "completeness", "arrived", "counted"]
    rows = pd.DataFrame(ages, columns=columns).assign(policy="fraud", market="BR", region="allow", drawn=40)
    page = _Page(build_report(replace(data, completeness=rows)))
    assert ["fraud, BR allow", "40", "60%", "75%", "11"] in page.rows["labels"]


def test_optional_inputs_are_switched_off_by_name(data: ReportData):
    page = _Page(build_report(replace(data, sample_counts=None, appeals=None, enforcement=None)))
    assert "Switched off: the platform delivers no appeals." in page.text["appeals"]
    assert "Switched off: the platform delivers no enforcement_log." in page.text["enforcement"]
    assert "Label completeness is not available for this day." in page.text["labels"]


def test_an_empty_day_is_a_whole_page(data: ReportData):
    empty = {
        name: getattr(data, name).iloc[:0]
        for name in (
            *("proposals", "metrics", "histogram", "design", "quality", "rejects", "ledger", "curves", "outcomes"),
            *("reviewers", "agreement"),
        )
    }
    optional = {name: getattr(data, name).iloc[:0] for name in ("sample_counts", "appeals", "enforcement")}
    page = _Page(build_report(replace(data, **empty, **optional)))
    for section, said in (
        ("head", "No threshold was considered on this day."),
        ("thresholds", "No threshold was considered on this day."),
        ("cells", "There is no cell to show."),
        ("labels", "No label event was refused."),
        ("gates", "No gate has recorded a result for this day."),
        ("enforcement", "The platform logged no action on this day."),
        ("appeals", "No appeal was decided on this day."),
        ("ledger", "No version of the thresholds was published on this day."),
    ):
        assert said in page.text[section]


def test_a_cell_without_curve_histogram_or_rates_says_why(data: ReportData):
    one = data.proposals.iloc[:1]
    page = _Page(
        build_report(
            replace(
                data,
                proposals=one,
                curves=data.curves.iloc[:0],
                histogram=data.histogram.iloc[:0],
                metrics=data.metrics.assign(value=None, low=None, high=None),
            )
        )
    )
    assert page.text["cells"].count("Precision against volume") == 1
    assert not any(given.get("class") == "chart" for _, given in page.tags)
    for said in ("there is no certified curve", "no score histogram for this cell", "could be stated in the window"):
        assert said in page.text["cells"]


def test_hostile_names_stay_text(data: ReportData):
    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(model_version=_HOSTILE)

    one = data.proposals[data.proposals["status"] == "refused"].iloc[:1]
    hostile = replace(
        data,
        proposals=renamed(one).assign(
            refusal=_HOSTILE,
            answered_by=_HOSTILE,
            population=_HOSTILE,
            verdicts=json.dumps([{"name": _HOSTILE, "outcome": "hold", "reason": _HOSTILE}]),
        ),
        metrics=renamed(data.metrics).assign(refusal=_HOSTILE),
        histogram=renamed(data.histogram),
        curves=renamed(data.curves),
        failures=data.failures.assign(gate=_HOSTILE, observed=_HOSTILE, expectation=_HOSTILE, table_name=_HOSTILE),
        quality=data.quality.assign(gate=_HOSTILE, observed=_HOSTILE, expectation=_HOSTILE, table_name=_HOSTILE),
        reviewers=data.reviewers.assign(reviewer_id=_HOSTILE, below_floor=True, drifted=True),
        rejects=data.rejects.assign(reason=_HOSTILE, detail=_HOSTILE, source_file=_HOSTILE),
        ledger=data.ledger.assign(reason=_HOSTILE, requester=_HOSTILE, approver=_HOSTILE),
    )
    html = build_report(hostile)
    page = _Page(html)
    assert {tag for tag, _ in page.tags} & {"img", "script"} == set()
    assert page.text["ledger"].count(" ".join(_HOSTILE.split())) >= 3
    assert html.count("<script>alert") == 0


def test_the_same_data_gives_the_same_bytes(data: ReportData, html: str):
    shuffled = {
        name: getattr(data, name).sample(frac=1, random_state=5)
        for name in (
            "proposals",
            "metrics",
            "histogram",
            "design",
            "quality",
            "failures",
            "rejects",
            "curves",
            "enforcement",
        )
    }
    assert build_report(replace(data, **shuffled)) == html


def test_by_hand_requests_are_listed_apart(data: ReportData):
    extra = data.proposals.iloc[3:4].assign(origin="run-17")
    both = replace(data, proposals=pd.concat([data.proposals, extra], ignore_index=True))
    page = _Page(build_report(both))
    assert "of 12 cells" in page.text["head"]
    assert page.row("requests", "run-17")[1] == "changed, approved: 1 cell"


def test_many_cells_are_cut_to_the_largest_and_those_that_changed(data: ReportData, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decisions, "MOST_CELLS", 4)
    base = data.proposals[data.proposals["status"] == "unchanged"].iloc[:1]
    versions = [f"v{k}" for k in range(9)]
    proposals = pd.concat([base.assign(model_version=version) for version in versions], ignore_index=True)
    proposals.loc[7, "status"] = "within_limits"
    bins = data.histogram.iloc[1:2].assign(policy=base["policy"].iloc[0], market=base["market"].iloc[0])
    histogram = pd.concat([bins.assign(model_version=v, n_videos=1000 - k) for k, v in enumerate(versions)])
    page = _Page(build_report(replace(data, proposals=proposals, histogram=histogram, enforcement=None)))
    text = page.text["thresholds"]
    assert "4 of 9 cells are shown one by one" in text
    assert "Thresholds changed in 1 of 9 cells; " in page.text["head"]
    assert set(text.split()) & set(versions) == {"v0", "v1", "v2", "v7"}
    assert sum(given.get("class") == "cell" for _, given in page.tags) == 4


@pytest.mark.parametrize(
    ("frame", "column", "message"),
    [
        ("proposals", "bound", "report: proposals has no column bound"),
        ("metrics", "ds", "report: metrics has no column ds"),
        ("curves", "removes", "report: curves has no column removes"),
        ("enforcement", "action", "report: enforcement has no column action"),
    ],
)
def test_a_missing_column_is_refused_by_name(data: ReportData, frame: str, column: str, message: str):
    with pytest.raises(ValueError, match=message):
        replace(data, **{frame: getattr(data, frame).drop(columns=column)})


def test_a_policy_that_is_not_configured_is_refused_by_name(data: ReportData):
    with pytest.raises(ValueError, match=r"report: proposals.policy 'spam' is not configured"):
        replace(data, proposals=data.proposals.assign(policy="spam"))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.95, "95%"),
        (0.9514, "95.1%"),
        (0.0063, "0.63%"),
        (0.000632, "0.063%"),
        (0.99968, "99.97%"),
        (0.0000004, "under 0.0001%"),
    ],
)
def test_percent(share: float, said: str):
    assert wording.percent(share) == said


def test_a_lower_bound_is_never_rounded_up():
    assert wording.percent(0.94999, down=True) == "94.9%"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(100, 141, "+41%"), (100, 97, "−3.0%"), (0, 5, "+5"), (7, 7, "no change"), (99_999, 100_000, "under +0.1%")],
)
def test_change(before: int, after: int, said: str):
    assert wording.change(before, after) == said


def test_a_browser_shows_it_on_a_phone_and_fetches_nothing(html: str, tmp_path: Path):
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    with browser() as window:
        tab = window.new_page(viewport={"width": 1280, "height": 844})
        tab.set_default_timeout(HANG * 1000)
        problems: list[str] = []
        requests: list[str] = []
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        for box in ("What changed", "What it does in a day", "What needs whom", "What is wrong"):
            place = tab.get_by_role("heading", name=box).bounding_box()
            assert place["y"] + place["height"] < 844, f"{box} is not on the first screen"
        tab.get_by_role("link", name="labels: reject rate").click()
        assert tab.locator("#gates").is_visible(), "a link opens what it leads into"
        assert tab.locator(".chart:visible").count() == 0
        tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert tab.locator(".chart svg:visible").count() == 36
        fits = "document.documentElement.scrollWidth == innerWidth"
        for width in (390, 320):
            tab.set_viewport_size({"width": width, "height": 844})
            wait_for(lambda: tab.evaluate(fits), f"the page fits {width} px", every=0.2)
        assert problems == []
        assert requests == [path.as_uri()]


def test_what_the_warehouse_billed_for_the_day_is_told_by_dag(data: ReportData, page: _Page):
    assert "usage" not in page.text, "the embedded warehouse bills nothing"
    rows = pd.DataFrame(
        [
            ("sample_for_review", "scan_scores", 3, 204 * 10**9, 7_200_000),
            ("recalibrate_thresholds", "measure", 2, 0, 0),
        ],
        columns=["dag", "task", "jobs", "bytes_billed", "slot_ms"],
    ).assign(about_day=DAY)
    told = _Page(build_report(replace(data, usage=rows)))
    assert told.row("usage", "sample_for_review")[1:] == ["3", "204 GB", "2.0 h"]
    assert told.row("usage", "recalibrate_thresholds")[1:] == ["2", "0.00 GB", "0 s"]
    assert "billed 204 GB for 5 jobs" in told.text["usage"]
    assert "is not known yet" in _Page(build_report(replace(data, usage=rows.iloc[:0]))).text["usage"]
