"""What the Dags share that a person starts from a form."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from airflow.sdk import get_current_context, task

from include.orchestration.dags import COMMON, opened

ANSWER = "answer"
"""XCom key of a run's short answer, which plugins/run_notes.py makes the run's note."""

LONGEST_NOTE = 1000
"""Characters that Airflow lets a run's note have."""

FORM: dict[str, Any] = {
    **{name: COMMON[name] for name in ("start_date", "catchup", "default_args")},
    "schedule": None,
    "max_active_runs": 16,  # a run that waits for an answer keeps nobody else waiting
}


def form_step(module: str, name: str, *, task_id: str | None = None, answers: bool = False, **options: Any) -> Any:
    """A task that calls include.thresholds.<module>.<name>(project, asked, *more) and returns what it returns.

    With `answers`, what it returns is the run's short answer; a form that cannot be carried out is answered, too.
    """

    @task(task_id=task_id or name, **options)
    def run(*more: Any) -> Any:
        from airflow.sdk.exceptions import AirflowFailException

        from include.thresholds.request import RequestError

        context = get_current_context()
        function: Callable[..., Any] = getattr(import_module(f"include.thresholds.{module}"), name)
        try:
            with opened() as project:
                found = function(project, _asked(context), *more)
        except RequestError as error:
            context["ti"].xcom_push(ANSWER, f"Not done. {error}")
            raise AirflowFailException(str(error)) from error
        if answers:
            context["ti"].xcom_push(ANSWER, found)
        return found

    return run


def as_note(answer: str) -> str:
    """A short answer as a note: whole if it fits, else its first lines and how many are left out."""
    if len(answer) <= LONGEST_NOTE:
        return answer
    lines = answer.splitlines()
    for kept in range(len(lines) - 1, 0, -1):
        left = len(lines) - kept
        text = "\n".join([*lines[:kept], f"- … {left} more; the return value of the last task has all"])
        if len(text) <= LONGEST_NOTE:
            return text
    return f"{answer[: LONGEST_NOTE - 2]} …"


def _asked(context: Any) -> Any:
    from include.thresholds.request import Asked, RequestError

    run = context["dag_run"]
    if not run.triggering_user_name:
        raise RequestError("the run names nobody who started it; start it from its form while logged in")
    return Asked(run.run_id, run.triggering_user_name, dict(context["params"]))
