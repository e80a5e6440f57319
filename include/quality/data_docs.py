"""The Data Docs site: a page for every gate and day, rendered by Great Expectations, and an index of them.

Layout: `<docs>/index.html`, `<docs>/ds=YYYY-MM-DD/<gate>.html`. Pages need no network and depend on nothing but the
outcome, so a rerun writes the same bytes. Several processes may write at once.
"""

from __future__ import annotations

import html
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include import wording
from include.files import locked, write_whole

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd

    from include.quality.checks import GateOutcome

_TEMPLATES = Path(__file__).parent / "templates"
_STATUS = re.compile(r'<meta name="gate-status" content="(\w+)">(?:\s*<meta name="gate-remark" content="([^"]*)">)?')
_ENTRY = re.compile(r'<a class="status \w+" href="(?P<link>[^"]+)">\w+</a>(?: <small>[^<]*</small>)?')
_HEAD = 512
"""Characters of a page within which its status stands."""


def write_page(docs: Path, outcome: GateOutcome, earlier: pd.DataFrame) -> Path:
    """Write the outcome's page and the index below `docs`; both are replaced atomically. Returns the page's path.

    `earlier`: the gate's other failures of the day, rows of gate_failures.
    """
    page = docs / f"ds={outcome.day}" / f"{outcome.gate}.html"
    write_whole(page, _page(outcome, earlier).encode())
    with locked(docs):  # listed and written under one lock: the last index written has seen every page
        write_whole(docs / "index.html", _index(docs, outcome.day).encode())
    return page


def _page(outcome: GateOutcome, earlier: pd.DataFrame) -> str:
    from great_expectations.render import RenderedDocumentContent

    status = "fail" if outcome.failures else "warning" if outcome.warnings else "pass"
    document = RenderedDocumentContent(
        renderer_type="ValidationResultsPageRenderer",
        page_title=f"{outcome.gate}, {outcome.day}",
        sections=[section for validation in outcome.validations for section in _sections(validation)],
    )
    messages = [*outcome.failures, *outcome.warnings]
    suites = [validation.suite_name for validation in outcome.validations]
    failures = earlier["attempt"].nunique()
    remark = ""
    if failures:
        remark = (wording.healed if outcome.passed else wording.failed_before)(failures)
    page = _view().render(
        document,
        template="gate_page.j2",
        status=status,
        messages=messages,
        suites=suites,
        remark=remark,
        earlier=earlier.to_dict("records"),
    )
    return re.sub(r"(</?h)([56])\b", lambda tag: f"{tag[1]}{int(tag[2]) - 3}", str(page))  # below the page's own h1


@cache
def _view() -> Any:
    """Great Expectations' writer of pages, which compiles its templates once a process."""
    from great_expectations.render.view import DefaultJinjaPageView

    return DefaultJinjaPageView(custom_views_directory=str(_TEMPLATES))


def _sections(validation: Any) -> list[Any]:
    """Great Expectations' rendering of one validation, without its batch details, which need a script to unfold."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    sections = list(ValidationResultsPageRenderer(run_info_at_end=True).render(validation).sections[:-1])
    header = sections[0].content_blocks[0]
    del header.subheader.string_template["styling"]["params"]["expectation_suite_name"]  # a link to a page not written
    sections[0].section_name = validation.suite_name
    for section in sections:
        _escape(section)
    return sections


def _escape(node: Any) -> None:
    """Escape the plain strings of every table below `node` in place.

    Great Expectations writes them, unexpected values among them, into the page as they are; its templates escape
    only string templates.
    """
    from great_expectations.render import RenderedContent

    if isinstance(node, list):
        for index, value in enumerate(node):
            if isinstance(value, str):
                node[index] = html.escape(value)
            else:
                _escape(value)
    elif isinstance(node, RenderedContent):
        for value in vars(node).values():
            _escape(value)


def _index(docs: Path, written: date) -> str:
    """The table of days, newest first, by gates, each entry linking to its page.

    Entries of days other than the one that was `written` to are those of the index there is: a year has thousands of
    pages, and opening each for every gate would take longer the longer Plumbline runs.
    """
    there = {folder.name for folder in docs.glob("ds=*")}
    entries = {place: entry for place, entry in _indexed(docs).items() if place[0] in there - {f"ds={written}"}}
    for day in there - {day for day, _ in entries}:
        entries |= {(day, page.stem): _entry(page) for page in (docs / day).glob("*.html")}
    gates, days = sorted({gate for _, gate in entries}), sorted({day for day, _ in entries}, reverse=True)
    rows = "\n".join(
        f"<tr><th>{day.removeprefix('ds=')}</th>"
        + "".join(f"<td>{entries.get((day, gate), '')}</td>" for gate in gates)
        + "</tr>"
        for day in days
    )
    heads = "".join(f"<th>{html.escape(gate)}</th>" for gate in gates)
    style = (_TEMPLATES / "gate_docs.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Gates</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<style>{style}</style>\n</head>\n<body>\n'
        '<header><h1>All gates</h1></header>\n<main>\n<div class="show-scrollbars"><table>\n'
        f"<tr><th>day</th>{heads}</tr>\n{rows}\n</table></div>\n</main>\n</body>\n</html>\n"
    )


def _indexed(docs: Path) -> dict[tuple[str, str], str]:
    """The entries of the index as it stands, by folder of the day and gate; none if there is none."""
    try:
        text = (docs / "index.html").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    found = {}
    for entry in _ENTRY.finditer(text):
        day, _, name = html.unescape(entry["link"]).partition("/")
        found[day, name.removesuffix(".html")] = entry[0]
    return found


def _entry(page: Path) -> str:
    with page.open(encoding="utf-8") as file:
        status = _STATUS.search(file.read(_HEAD))
    word, remark = status.groups() if status else ("unknown", "")
    link = html.escape(f"{page.parent.name}/{page.name}")
    return f'<a class="status {word}" href="{link}">{word}</a>' + (f" <small>{remark}</small>" if remark else "")
