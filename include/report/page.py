"""Puts words and charts into one HTML file, small enough for a mail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include import wording
from include.report import autonomy, cells, decisions, headline, operations, outlook, reviewers
from include.report.data import ReportData

_HERE = Path(__file__).parent


def build_report(data: ReportData) -> str:
    """The daily report as one HTML document that needs no network and runs no script; write it as UTF-8.

    The same data gives the same bytes.
    """
    rows = decisions.daily(data)
    listed = decisions.rows_shown(data, rows)
    moved = [row for row in listed if not decisions.stays(row)]
    kept = [row for row in listed if decisions.stays(row)]
    stay = wording.plural(len(kept), "cell stays as it is", "cells stay as they are")
    bars = operations.loads(data, rows)
    return rendered(
        "day.html.j2",
        title=wording.day_in_words(data.day),
        first=headline.first_screen(data, rows),
        n_cells=len(rows),
        n_listed=len(listed),
        moved=decisions.thresholds(moved, data.config, "Changed, waiting or stopped"),
        kept=decisions.thresholds(kept, data.config, stay),
        cells=cells.cells(listed, curves=data.curves, histogram=data.histogram, metrics=data.metrics, today=data.today),
        loads=bars,
        load_table=operations.load_table(bars),
        sections=[
            autonomy.autonomy(data, rows),
            outlook.watch(data),
            outlook.forecasts(data),
            operations.labels(data),
            operations.second_look(data),
            reviewers.reviewers(data),
            operations.gates(data),
            operations.enforcement(data, rows),
            operations.appeals(data),
            decisions.requests(data),
            operations.ledger(data),
            *([] if data.usage is None else [operations.usage(data.usage)]),
        ],
    )


def rendered(template: str, **values: Any) -> str:
    """A template filled in; what comes from outside is escaped. Nothing in the page may be fetched or run."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = Markup((_HERE / "templates" / "page.css").read_text(encoding="utf-8"))  # noqa: S704  (our own file)
    return environment.get_template(template).render(css=css, **values)
