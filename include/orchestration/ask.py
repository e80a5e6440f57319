"""The operator that puts a question to a person, and settles the answer itself.

Airflow hands the answer, with the name of who gave it, to the operator that asked; nothing of it passes through an
XCom, which whoever may edit the run could change. What was shown is bound to it by its digest, which Airflow keeps
beside the waiting task. An answer that does not count, such as somebody's approval of their own request, leaves the
question open.

Where an answer comes in the moment the question appears, Airflow 3.3 may fail the task that was just about to wait. The
task is tried again, and a trigger finds the answer that Airflow recorded: it counts once, however early it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import TaskAwaitingInput

from include.orchestration.dags import StopsItsQuery, answer_within, opened
from include.orchestration.day import run_day
from include.orchestration.early_answer import NEVER_ASKED, EarlyAnswer
from include.orchestration.ending import ended
from include.orchestration.links import page_link
from include.orchestration.steps import ANSWER, form_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.proposals.approval import Question
    from include.proposals.questions import Asks

TRIES: dict[str, Any] = {"retries": 5, "retry_delay": timedelta(seconds=2), "retry_policy": None}
"""For an answer that came too early, and for storage that fails while it is settled; each is taken up where it was."""


_OUTDATED = (
    "What would be approved has changed since the question was first shown, and Airflow goes on showing the first one. "
    "Nothing was settled. Start a new run of the day, or the request again"
)


def _asked_in(context: Context) -> str:
    from include.proposals.questions import asked_by_task

    return asked_by_task(context["dag_run"].dag_id, context["dag_run"].run_id, context["ti"].task_id)


class AskAPerson(StopsItsQuery, HITLOperator):
    """Asks what include.<module>.approval(project, day or form_run, asked_in, *given) asks, and settles the answer.

    The task is skipped where nobody needs to be asked. It returns what the answer came to, in words.

    Args:
        module: below include.
        form: whether the run was started from a form, else it is about a day.
        options: that a person chooses from; the last is what counts if nobody answers in time.
        given: values that earlier tasks returned.
        answers: whether what it returns is the run's short answer, and what Airflow calls the Dag's result.
    """

    template_fields: Sequence[str] = ("given",)

    def __init__(
        self,
        *,
        module: str,
        options: list[str],
        form: bool = False,
        given: Sequence[Any] = (),
        answers: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(
            subject="", options=options, defaults=options[-1:], response_timeout=answer_within(), **TRIES | more
        )
        self.module, self.form, self.given = module, form, list(given)
        self.answers = self.returns_dag_result = answers

    def execute(self, context: Context) -> Any:
        """Asks, unless nothing waits for a person; or settles what was answered before a process was killed."""
        from airflow.sdk.exceptions import AirflowSkipException

        from include.proposals.questions import first_shown

        answer_by = datetime.now(UTC) + answer_within()
        with self._asks(context) as asks:
            unfinished, question = asks.unfinished(), asks.question()
            if question is None:
                if unfinished is None:
                    raise AirflowSkipException("nobody needs to be asked")
                return self._said(context, unfinished)
            if first_shown(asks, question, _asked_in(context), answer_by) != question.digest:
                raise self._refused(context, _OUTDATED)
        self._show(question, asks.address)
        deadline = answer_by.isoformat()
        if context["ti"].try_number > 1:  # an answer may be there already
            self._look(context, question.digest, deadline)
        return self._wait(context, question.digest, deadline)

    def execute_complete(  # type: ignore[override]
        self, context: Context, event: dict[str, Any], digest: str, deadline: str
    ) -> Any:
        """Settles the answer that Airflow hands over, if it counts; else the question stands."""
        if NEVER_ASKED in event:
            return self._ask_anew(context, digest, deadline)
        user = event["responded_by_user"]
        who = {"name": None, "id": None} if user is None else {"name": user.get("name") or "", "id": user.get("id")}
        answer = {"option": event["chosen_options"][0], **who}
        return self._settle(context, answer, digest, deadline)

    def take_up(
        self,
        context: Context,
        event: object = None,  # noqa: ARG002
        answer: dict[str, Any] | None = None,
        digest: str = "",
        deadline: str = "",
    ) -> Any:
        """Goes on once a query it waited for may be done."""
        return self.execute(context) if answer is None else self._settle(context, answer, digest, deadline)

    def _settle(self, context: Context, answer: dict[str, Any], digest: str, deadline: str) -> Any:
        from include.proposals.approval import Answer
        from include.proposals.questions import note_answer

        given = Answer(**answer)
        with self._asks(context, {"answer": answer, "digest": digest, "deadline": deadline}) as asks:
            question = asks.question()
            objection = None if question is None else asks.objection(given)
            if question is None:
                return self._said(context, asks.unfinished() or "nothing is left to be settled")
            if question.digest != digest:
                raise self._refused(context, _OUTDATED)
            if objection is None:
                now, asked_in = datetime.now(UTC), _asked_in(context)
                note_answer(asks, asked_in, given, now)  # first: a process killed meanwhile leaves it to be told
                outcome = asks.settle(given)
                note_answer(asks, asked_in, given, now, outcome)
                return self._said(context, outcome)
            address = asks.address
        self.log.warning("The answer does not count: %s. The question stands.", objection)
        self._show(question, address)
        return self._wait(context, digest, deadline)

    def _ask_anew(self, context: Context, digest: str, deadline: str) -> Any:
        """Asks what an earlier try was about to ask when it ended."""
        with self._asks(context) as asks:
            question, address = asks.question(), asks.address
        if question is None or question.digest != digest:
            raise self._refused(context, _OUTDATED)
        self._show(question, address)
        return self._wait(context, digest, deadline)

    def _show(self, question: Question, address: str) -> None:
        """Puts the question, with a link to its evidence, where Airflow reads it."""
        self.subject, self.body = question.subject, f"{question.text}\n\n[Evidence]({page_link(address)})"

    def _wait(self, context: Context, digest: str, deadline: str) -> Any:
        """Shows the question and lets the worker go; Airflow then calls `execute_complete`."""
        self.response_timeout = max(datetime.fromisoformat(deadline) - datetime.now(UTC), timedelta(seconds=1))
        try:
            return super().execute(context)
        except TaskAwaitingInput as wait:
            wait.kwargs = {"digest": digest, "deadline": deadline}
            raise

    def _look(self, context: Context, digest: str, deadline: str) -> None:
        """Lets the worker go; Airflow calls `execute_complete` with the answer to what an earlier try asked."""
        self.defer(
            trigger=EarlyAnswer(
                ti_id=context["ti"].id,
                options=self.options,
                params={},
                defaults=self.defaults,
                timeout_datetime=datetime.fromisoformat(deadline),
            ),
            method_name="execute_complete",
            kwargs={"digest": digest, "deadline": deadline},
        )

    @contextmanager
    def _asks(self, context: Context, answer: dict[str, Any] | None = None) -> Iterator[Asks]:
        from include.thresholds.request import RequestError

        about = form_run(context) if self.form else run_day(context)
        day = about.isoformat() if isinstance(about, date) else ""
        try:
            with opened(context, day, taken_up_with=answer) as project:
                self.running = project
                yield import_module(f"include.{self.module}").approval(project, about, *self.given)
        except RequestError as error:
            raise self._refused(context, str(error)) from error

    def _said(self, context: Context, text: str) -> str:
        if self.answers:
            context["ti"].xcom_push(ANSWER, text)
        return text

    def _refused(self, context: Context, why: str) -> Exception:
        if self.answers:
            context["ti"].xcom_push(ANSWER, f"Not done. {why}")
        return ended(context, why)
