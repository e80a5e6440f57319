"""Puts the day's words and charts into one HTML file."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from include import wording
from include.report import autonomy, cells, decisions, figures, headline, operations, outlook, reviewers
from include.report.data import ReportData

_HERE = Path(__file__).parent


def build_report(data: ReportData) -> str:
    """The daily report as one HTML document that needs no network; write it as UTF-8.

    The same data gives the same bytes. Scripts run only if they are the ones built in (Content-Security-Policy by
    hash), and nothing can be fetched.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    rows = decisions.daily(data)
    listed = decisions.rows_shown(data, rows)
    items, charts = cells.cells(data, listed)
    bars = operations.loads(data, rows)
    scripts = [get_plotlyjs(), (_HERE / "page.js").read_text(encoding="utf-8")]
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        title=data.title or f"Thresholds on {wording.day_in_words(data.day)}",
        headline=headline.headline(rows),
        tiles=headline.tiles(rows),
        notices=headline.notices(data, rows),
        n_cells=len(rows),
        n_listed=len(listed),
        thresholds=decisions.thresholds(listed, "Thresholds old and new"),
        by_hand=decisions.by_hand(data),
        refusals=decisions.refusals(data, listed),
        policies=[
            (policy, data.config.policies[policy].description, [item for item in items if item.cell[0] == policy])
            for policy in sorted({item.cell[0] for item in items})
        ],
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
            operations.ledger(data),
        ],
        charts={"template": figures.template(), "figures": charts},
        css=Markup((_HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
        scripts=[Markup(script) for script in scripts],  # noqa: S704  (plotly's and our own)
        script_hashes=" ".join(f"'sha256-{b64encode(sha256(s.encode()).digest()).decode()}'" for s in scripts),
    )
