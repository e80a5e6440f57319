"""Puts the day's words and charts into one HTML file."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from include.thresholds.report import figures, view, wording
from include.thresholds.report.data import ReportData, by_cell, records

_HERE = Path(__file__).parent


def build_report(data: ReportData) -> str:
    """The daily report as one HTML document that needs no network; write it as UTF-8.

    The same data gives the same bytes. Scripts run only if they are the ones built in (Content-Security-Policy by
    hash), and nothing can be fetched.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    rows = view.daily(data)
    listed = view.shown(data, rows)
    cells, charts = _cells(data, listed)
    bars = view.loads(data, rows)
    scripts = [get_plotlyjs(), (_HERE / "page.js").read_text(encoding="utf-8")]
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    by_hand = records(data.proposals[data.proposals["origin"] != "daily"])
    return environment.get_template("page.html.j2").render(
        title=f"Thresholds on {wording.day_in_words(data.day)}",
        headline=view.headline(rows),
        tiles=view.tiles(rows),
        notices=view.notices(data, rows),
        n_cells=len(rows),
        n_listed=len(listed),
        thresholds=view.thresholds(listed, "Thresholds old and new"),
        by_hand=view.thresholds(by_hand, "Asked for by hand; not counted above") if by_hand else None,
        refusals=view.refusals(data, listed),
        policies=[
            (policy, data.config.policies[policy].description, [c for c in cells if c.cell[0] == policy])
            for policy in sorted({c.cell[0] for c in cells})
        ],
        loads=bars,
        load_table=view.load_table(bars),
        sections=[
            view.labels(data),
            view.gates(data),
            view.enforcement(data, rows),
            view.appeals(data),
            view.ledger(data),
        ],
        charts={"template": figures.template(), "figures": charts},
        css=Markup((_HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
        scripts=[Markup(script) for script in scripts],  # noqa: S704  (plotly's and our own)
        script_hashes=" ".join(f"'sha256-{b64encode(sha256(s.encode()).digest()).decode()}'" for s in scripts),
    )


def _cells(data: ReportData, rows: list[dict[str, Any]]) -> tuple[list[view.CellView], dict[str, Any]]:
    """Every cell in detail, and its figures by the id of the element they are drawn into."""
    curves, histograms, metrics = by_cell(data.curves), by_cell(data.histogram), by_cell(data.metrics)
    cells, charts = [], {}
    for position, row in enumerate(rows):
        item = view.cell_view(data, row, position)
        curve, bins, trend = (frames.get(item.cell) for frames in (curves, histograms, metrics))
        for id_, (figure, title, remark, missing) in {
            "precision": (
                None if curve is None else _precision(curve, row),
                "Precision against volume",
                "Removing more videos costs precision. The certified line has to stay above the target.",
                "No threshold of this cell could be judged: there is no certified curve.",
            ),
            "scores": (
                None if bins is None else _scores(bins, row),
                "Scores",
                "" if bins is None else f"The day's videos by score. {view.without_score(bins)}",
                "The day has no score histogram for this cell.",
            ),
            "trend": (
                None if trend is None else figures.rate_trend(trend),
                "Violating content",
                "Its share of videos and of views by day, with 95% intervals.",
                "Neither prevalence nor violative view rate could be stated in the window.",
            ),
        }.items():
            name = f"{item.id}-{id_}"
            described = f"{view.name_of(item.cell)}. {title}. {item.summary if id_ == 'precision' else remark}"
            if figure is None:
                item.charts.append(view.Chart(name, title, "", "", missing))
            else:
                charts[name] = figure
                item.charts.append(view.Chart(name, title, remark, described))
        cells.append(item)
    return cells, charts


def _precision(curve: pd.DataFrame, row: dict[str, Any]) -> dict[str, Any]:
    new = (row["proposed_remove_at"], row["removes_after"])
    return figures.precision_against_volume(
        curve,
        target=row["target"],
        confidence=row["confidence"],
        now=(row["current_remove_at"], row["removes_before"]),
        proposed=None if None in new or new[0] == row["current_remove_at"] else new,
        proposed_name=view.proposed_name(row),
    )


def _scores(bins: pd.DataFrame, row: dict[str, Any]) -> dict[str, Any]:
    return figures.score_histogram(
        bins,
        now=(row["current_review_at"], row["current_remove_at"]),
        proposed=(row["proposed_review_at"], row["proposed_remove_at"]) if view.moves(row) else None,
        proposed_name=view.proposed_name(row),
    )
