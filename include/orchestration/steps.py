"""Operators that call the steps of the packages: those of the daily Dags, of the forms, and of what goes by the clock.

Which day a run is about, who started it and what they filled in is read from the run itself, in every task: a value
handed from task to task (an XCom) can be edited by whoever may edit the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.orchestration.assets import OWN
from include.orchestration.dags import StopsItsQuery, opened
from include.orchestration.day import run_day
from include.orchestration.links import page_link

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.project import Project
    from include.thresholds.request import FormRun

_BY_SCHEDULE = ("scheduled", "asset_triggered")

ANSWER = "answer"
"""XCom key of a form's short answer, which plugins/run_notes.py makes the run's note."""


class Step(StopsItsQuery, BaseOperator):
    """Calls include.<module>.<function>(project, day, *given) for the day of the run, and returns what it returns."""

    template_fields: Sequence[str] = ("given",)

    def __init__(self, *, module: str, function: str, given: Sequence[Any] = (), **options: Any) -> None:
        super().__init__(**options)
        self.module, self.function, self.given = module, function, list(given)

    def execute(self, context: Context) -> Any:
        """Runs the step."""
        function, day = getattr(import_module(f"include.{self.module}"), self.function), run_day(context)
        with opened(context, day.isoformat()) as project:
            self.running = project
            found = function(project, day, *self.given)
            self._tell(context, project, day)
            return found

    def _tell(self, context: Context, project: Project, day: date) -> None:
        """What monitors, catalogues and those who listen to the assets are told."""
        from include.observability.announce import announced
        from include.observability.tasks import tell

        for asset in self.outlets:
            table = asset.uri.removeprefix(OWN).rstrip("/")  # Airflow puts a slash at the end of an address
            extra = announced(project, day, table, page_link)
            context["outlet_events"][asset].extra = extra
        tell(project)

    def take_up(self, context: Context, event: object = None) -> Any:  # noqa: ARG002
        """Runs the step again once the query it waited for is done; it finds the result, and writes after that."""
        return self.execute(context)


class ClockStep(Step):
    """Calls include.<module>.<function>(project, now, *given), now in UTC, and returns what it returns.

    Of a Dag that looks at how things stand whenever it runs, and not at a day.
    """

    def execute(self, context: Context) -> Any:
        """Runs the step."""
        function = getattr(import_module(f"include.{self.module}"), self.function)
        with opened(context) as project:
            self.running = project
            return function(project, now(), *self.given)


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class FormStep(Step):
    """Calls include.<module>.<function>(project, form_run, *given), and returns what it returns.

    With `answers`, what it returns is the run's short answer, which is the Dag's result to Airflow. A form that cannot
    be carried out is answered, too: the run ends there, as one that was answered, for nobody but who filled it in has
    anything to see to.
    """

    def __init__(self, *, answers: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.answers = self.returns_dag_result = answers

    def execute(self, context: Context) -> Any:
        """Runs the step."""
        from include.observability.tasks import tell
        from include.thresholds.request import Answered, NothingToDo, RequestError

        function = getattr(import_module(f"include.{self.module}"), self.function)
        try:
            with opened(context) as project:
                self.running = project
                found = function(project, form_run(context), *self.given)
                tell(project)
        except NothingToDo as nothing:
            found = Answered(str(nothing))
        except RequestError as error:
            found = Answered(f"Not done. {error}")
        if isinstance(found, Answered):
            raise self._answered(context, found.text)
        if self.answers:
            context["ti"].xcom_push(ANSWER, found)
        return found

    def _answered(self, context: Context, text: str) -> Exception:
        """What ends the run as one that was answered."""
        from airflow.sdk.exceptions import DownstreamTasksSkipped

        self.log.info("%s", text)
        self.returns_dag_result = True  # whichever task ends the run has its answer
        for key in (ANSWER, "return_value"):
            context["ti"].xcom_push(key, text)
        return DownstreamTasksSkipped(tasks=sorted(self.get_flat_relative_ids(upstream=False)))


def step(package: str, function: str, *given: Any, task_id: str | None = None, **options: Any) -> Step:
    """A task of a daily Dag that calls a step of include.<package>.stage."""
    return Step(module=f"{package}.stage", function=function, given=given, task_id=task_id or function, **options)


def clock_step(package: str, function: str, *given: Any, **options: Any) -> ClockStep:
    """A task of a Dag that looks at how things stand, and calls a step of include.<package>.stage."""
    return ClockStep(module=f"{package}.stage", function=function, given=given, task_id=function, **options)


def form_step(module: str, function: str, *given: Any, task_id: str | None = None, **options: Any) -> FormStep:
    """A task of a form that calls a step of include.thresholds.<module>."""
    return FormStep(
        module=f"thresholds.{module}", function=function, given=given, task_id=task_id or function, **options
    )


def form_run(context: Context) -> FormRun:
    """The run as Airflow recorded it when it was started; one that its own schedule started is in its Dag's name.

    Raises:
        RequestError: nobody started it, so that nothing could be asked in somebody's name.
    """
    from include.thresholds.request import FormRun, RequestError

    run: Any = context["dag_run"]
    user = str(run.triggering_user_name or (run.dag_id if run.run_type in _BY_SCHEDULE else ""))
    if not user.strip():
        raise RequestError("the run names nobody who started it; start it from its form while logged in")
    return FormRun(run.dag_id, run.run_id, user, dict(context["params"]), page_link)
