"""Puts the page's sections into HTML. What comes from outside is escaped by the templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from include import wording
from include.console import cell as cell_pages
from include.console import cells, days, effects, findings, history, outcomes, questions, runs, state, usage
from include.console.cells import Choice
from include.console.kept import Kept
from include.console.outcomes import Comparison
from include.console.past import digest
from include.console.people import DAILY_DAGS, REQUEST_DAG, ROLL_BACK_DAG, SHOWN_DAGS, Person
from include.console.standing import FORTNIGHT, Standing, standing
from include.contract.cell import Cell
from include.forecasts.effects import Effect
from include.notifications.collect import late_days
from include.orchestration.runbook import Advice, advice
from include.project import Project
from include.report import written

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
TOLD_DAYS = timedelta(days=3)
"""Messages that were noticed longer ago and could not be sent are no news."""
NEWEST_VERSIONS = 12
"""Versions that the timeline shows unfolded."""

_WORDINGS = (
    *("percent", "count", "signed", "score", "duration", "day_in_words", "moment_in_words", "plural"),
    *("gigabytes", "slot_time"),
)

_EFFECTS: Kept[dict[Cell, Effect]] = Kept(4)
_COMPARISONS: Kept[list[Comparison]] = Kept(4)


@cache
def environment() -> Environment:
    """The templates, with the project's wording as filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in _WORDINGS:
        made.filters[name] = getattr(wording, name)
    made.filters["part"] = lambda text: quote(str(text), safe="")
    made.globals["titles"] = state.TITLES
    return made


def main_page(project: Project, who: Person, now: datetime, choice: Choice, *, root: str, airflow: str) -> str:
    """The page that is opened every morning."""
    now_read = standing(project)
    readable = [dag for dag in SHOWN_DAGS if dag in who.reads]
    waiting = runs.open_questions(readable)
    states = state.dag_states(
        runs.newest_runs([dag for dag in DAILY_DAGS if dag in who.reads]),
        frozenset((question.dag_id, question.run_id) for question in waiting),
        now,
        project.config.notifications,
        since=now_read.day,
    )
    asked = questions.asked(project, waiting, now_read.chain, who)
    shown = cells.cells_now(now_read.in_force, now_read.past, now_read.daily, kept_effects(now_read), project.config)
    kept = choice.of(shown, now_read.day)
    return _rendered(
        "main.html.j2",
        root=root,
        airflow=airflow,
        who=who,
        standing=now_read,
        in_force=state.in_force(now_read.chain),
        states=states,
        asked=asked,
        findings=_findings(now_read, states, now),
        cells=kept[: cells.MOST],
        n_cells=len(shown),
        n_kept=len(kept),
        n_shadow=sum(cell.shadow for cell in shown),
        choice=choice,
        sorts=cells.SORTS,
        versions=now_read.past.versions,
        newest=NEWEST_VERSIONS,
        may_roll_back=ROLL_BACK_DAG in who.starts,
        comparisons=_COMPARISONS.get(digest(now_read.outcomes), lambda: outcomes.comparisons(now_read.outcomes)),
        days=days.newest_days(now_read.quality, now_read.failures, written.report_days(project.settings), FORTNIGHT),
        gates=days.GATES,
        billed=usage.billed(now_read.usage, FORTNIGHT),
    )


def cell_page(project: Project, who: Person, cell: Cell, *, root: str, airflow: str) -> str:
    """A cell. Raises LookupError: there is no such cell, or no day yet."""
    now_read = standing(project)
    page = cell_pages.cell_page(now_read, cell)
    pair = page.now.pair
    return _rendered(
        "cell.html.j2",
        root=root,
        airflow=airflow,
        who=who,
        cell=cell,
        day=now_read.day,
        description=project.config.policies[cell[0]].description,
        page=page,
        may_ask=REQUEST_DAG in who.starts,
        data={
            "curve": page.curve,
            "trend": page.trend,
            "certified_from": page.certified_from,
            "remove_at": pair.remove_at,
            "target": page.now.target,
        },
    )


def compare(project: Project, who: Person, one: int, other: int, *, root: str, airflow: str) -> str:
    """Two versions beside each other."""
    now_read = standing(project)
    return _rendered(
        "compare.html.j2",
        root=root,
        airflow=airflow,
        who=who,
        one=one,
        other=other,
        newest=len(now_read.chain),
        differences=history.differences(now_read.chain, one, other),
        versions=[now_read.past.versions[-number] for number in (one, other)],
        may_roll_back=ROLL_BACK_DAG in who.starts,
    )


def day_page(project: Project, who: Person, day: date, *, root: str, airflow: str) -> str:
    """A day: what stopped it and what to do, its gates, its report, the answers given on it."""
    quality = project.warehouse.read("quality_results", day, day)
    failures = project.warehouse.read("gate_failures", day, day)
    found = days.day_of(day, quality, failures, has_report=written.report(project.settings, day) is not None)
    return _rendered(
        "day.html.j2",
        root=root,
        airflow=airflow,
        who=who,
        day=found,
        findings=findings.gate_findings(quality, [day], _states_of(who, day), _advice()),
        gate_pages=written.gates(project.settings, day),
        answers=written.answers(project.settings, day),
    )


def _states_of(who: Person, day: date) -> list[state.DagState]:
    """The runs of a day that the person may see."""
    found = runs.newest_runs([dag for dag in DAILY_DAGS if dag in who.reads])
    return [
        state.DagState(run.dag_id, state.TITLES[run.dag_id], day, run.state, "", "plain", run.run_id)
        for run in reversed(found)
        if run.day == day
    ]


def gate_page(project: Project, who: Person, day: date, gate: str, *, root: str, airflow: str) -> str:
    """A gate's page in a frame, below what to do where it stops the day."""
    quality = project.warehouse.read("quality_results", day, day, slice_value=gate)
    return _rendered(
        "written.html.j2",
        root=root,
        airflow=airflow,
        title=f"Gate {gate.replace('_', ' ')} of {day}",
        day=day,
        name=gate,
        findings=findings.gate_findings(quality, [day], _states_of(who, day), _advice()),
    )


def api_page(schema: dict[str, Any], *, root: str, airflow: str) -> str:
    """The JSON API, from its OpenAPI schema."""
    return _rendered("api.html.j2", root=root, airflow=airflow, schema=schema, type_of=_type_of)


def _type_of(about: dict[str, Any]) -> str:
    """The type of a field of a JSON schema, in words."""
    if "anyOf" in about:
        return " or ".join(_type_of(option) for option in about["anyOf"])
    if "$ref" in about:
        return str(about["$ref"]).rpartition("/")[2].removesuffix("Out").lower()
    if about.get("type") == "array":
        return f"list of {_type_of(about['items'])}"
    return str(about.get("format") or about.get("type"))


def shown(title: str, day: date, name: str, *, root: str, airflow: str) -> str:
    """A page that tasks wrote, in a frame of its own; it lies below this one's address, which ends in `name`."""
    return _rendered("written.html.j2", root=root, airflow=airflow, title=title, day=day, name=name, findings=[])


def failure(status: int, detail: str, login: str, *, root: str, airflow: str) -> str:
    """Why there is no page, and what to do."""
    return _rendered("failure.html.j2", root=root, airflow=airflow, status=status, detail=detail, login=login)


def kept_effects(now_read: Standing) -> dict[Cell, Effect]:
    """What the thresholds in force do, computed once for the same thresholds and evidence."""
    if now_read.day is None:
        return {}
    project, day, pairs = now_read.project, now_read.day, now_read.in_force
    key = (str(project.settings.output), day, tuple(pairs.items()), tuple(now_read.proposals["proposal_id"]))
    return _EFFECTS.get(key, lambda: effects.effects(project, day, pairs))


def _findings(now_read: Standing, states: list[state.DagState], now: datetime) -> list[findings.Finding]:
    ask, told_since = _advice(), now.date() - TOLD_DAYS
    gates = findings.gate_findings(now_read.quality, sorted(set(now_read.quality["ds"])), states, ask)
    found = [
        *findings.ledger_findings(now_read.project, now_read.past),
        *gates,
        *findings.run_findings(states, gates, ask),
        *findings.late_findings(late_days(now_read.project, now)),
        *findings.alarm_findings(now_read.watch),
        *findings.version_findings(now_read.daily),
        *findings.queue_findings(now_read.daily, now_read.design, now_read.config),
        *findings.label_findings(now_read.completeness),
        *findings.message_findings(now_read.project.warehouse.read("notifications", told_since, now.date())),
    ]
    return sorted(found, key=lambda finding: finding.kind != "bad")


def _advice() -> Callable[[str, str], Advice | None]:
    """Reads a Dag's doc when it is first asked for."""

    @cache
    def doc(dag_id: str) -> str:
        return runs.runbook_of(dag_id)

    return lambda dag_id, task: advice(doc(dag_id), task)


def _rendered(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)
