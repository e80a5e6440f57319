"""What the page says, section by section, of tables and runs as they are; without Airflow."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.load import DEFAULT_CONFIG, load_config
from include.config.settings import PROJECT_ROOT
from include.console import cells, days, findings, history, questions, state, usage
from include.console.past import past
from include.console.people import DAILY_DAGS, Person
from include.console.runs import DagRun, Question
from include.console.standing import standing
from include.contract.grid import ThresholdPair
from include.contract.terms import APPROVE, CONFIRM, REJECT, EventKind
from include.files import write_whole
from include.notifications.events import Event
from include.orchestration.runbook import TASK_OF_GATE, Advice, advice
from include.proposals.approval import Question as Asked
from include.proposals.questions import asked_by_task, first_shown
from include.report import written
from include.report.versions import newcomers
from include.retraining.approval import approval
from tests.loop import LAST, Loop

NOW = datetime(2026, 11, 7, 9, tzinfo=UTC)
DUE = date(2026, 11, 6)
CONFIG = load_config(DEFAULT_CONFIG)


def run(dag_id: str, day: date, status: str, *failed: str) -> DagRun:
    return DagRun(dag_id, f"{dag_id} {day}", day, status, NOW, NOW, failed)


def doc_of(dag_id: str) -> str:
    source = (PROJECT_ROOT / "dags" / f"{dag_id}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


@pytest.mark.parametrize("task", TASK_OF_GATE.values())
def test_every_gate_has_advice_in_the_doc_of_its_dag(task: str) -> None:
    dag_id, _, name = task.partition("/")
    found = advice(doc_of(dag_id), name)
    assert found is not None
    assert len(found.means) > 10
    assert len(found.todo) > 10
    assert "`" not in found.means + found.todo


def test_the_gates_are_those_of_the_dags() -> None:
    gates = {
        f"{dag_id}/{line.split('`')[1]}"
        for dag_id in DAILY_DAGS
        for line in doc_of(dag_id).splitlines()
        if line.startswith("| `gate_")
    }
    both = "recalibrate_thresholds/gate_enforcement_log"  # shares a row with gate_appeals
    warns = "sample_for_review/look_up_details"  # stops nobody
    assert gates | {both, warns} == set(TASK_OF_GATE.values())


def test_a_task_without_a_row_has_no_advice() -> None:
    assert advice(doc_of("sample_for_review"), "no_such_task") is None
    assert advice("| `other`, `one` | broke | mend `it` |", "one") == Advice("Broke.", "Mend it.")


def test_the_day_that_is_due_ends_at_two() -> None:
    assert state.due_day(datetime(2026, 11, 7, 1, 59, tzinfo=UTC)) == date(2026, 11, 5)
    assert state.due_day(datetime(2026, 11, 7, 2, 0, tzinfo=UTC)) == DUE


def test_each_dag_says_how_far_it_has_come() -> None:
    sample, labels, thresholds, retraining = DAILY_DAGS
    runs = [
        run(sample, DUE, "failed", "gate_scores"),
        run(labels, DUE, "success"),
        run(thresholds, DUE, "running"),
        run(retraining, DUE - timedelta(days=2), "success"),
    ]
    waiting = frozenset({(thresholds, f"{thresholds} {DUE}")})
    found = state.dag_states(runs, waiting, NOW, CONFIG.notifications, since=DUE)
    assert [(dag.word, dag.kind) for dag in found] == [
        ("Failed at gate_scores", "bad"),
        ("Done", "good"),
        ("Waits for a person", "warn"),
        ("Late", "bad"),
    ]
    assert found[0].task == "gate_scores"
    (*_, running, _) = state.dag_states(runs, frozenset(), NOW, CONFIG.notifications, since=DUE)
    assert running.word == "Running late"
    failed = state.dag_states(
        [run(sample, DUE - timedelta(days=9), "failed", "scan_scores")], waiting, NOW, CONFIG.notifications, since=DUE
    )
    assert failed[0].word == "Failed at scan_scores"  # which is why it is late
    early = datetime(2026, 11, 7, 3, tzinfo=UTC)
    assert [dag.word for dag in state.dag_states(runs, frozenset(), early, CONFIG.notifications, since=DUE)][2:] == [
        "Running",
        "Late",
    ]
    yesterday = [run(dag, DUE - timedelta(days=1), "success") for dag in DAILY_DAGS]
    assert {dag.word for dag in state.dag_states(yesterday, frozenset(), early, CONFIG.notifications, since=DUE)} == {
        "Due"
    }
    assert {dag.word for dag in state.dag_states([], frozenset(), NOW, CONFIG.notifications)} == {"Never run"}


def test_a_late_day_is_told_whether_or_not_it_has_a_run() -> None:
    event = Event(
        EventKind.DAY_LATE, "day_late/1", DUE, "2026-11-06 is late: ...", "It has no run.", "Make one.", "days"
    )
    (found,) = findings.late_findings([event])
    assert (found.kind, found.verdict, found.todo) == ("bad", event.what, event.todo)
    assert found.where == ("day", "2026-11-06")


def test_messages_that_could_not_be_sent_are_told_once_they_failed_for_good_or_again_and_again() -> None:
    columns = ["subject", "recipient", "status", "attempts", "problem"]
    rows = [
        ("A gate stops a day", "ana@x.org", "sent", 1, None),
        ("A gate stops a day", "ben@x.org", "waiting", 2, "no answer"),
        ("A gate stops a day", "cleo@x.org", "waiting", 3, "no answer"),
        ("A question waits", "gone@x.org", "given_up", 1, "550 no such person"),
    ]
    (found,) = findings.message_findings(pd.DataFrame(rows, columns=columns))
    assert found.verdict == (
        "2 messages could not be sent: no answer (for cleo@x.org); 550 no such person (for gone@x.org)"
    )
    assert found.reasons == ("A gate stops a day", "A question waits")
    assert findings.message_findings(pd.DataFrame(rows[:2], columns=columns)) == []


def question(dag_id: str, asker: str | None, *options: str) -> Question:
    return Question(dag_id, "run", "task", "subject", options, NOW, None, asker, None)


def test_who_may_answer_is_offered_it_and_nobody_else() -> None:
    request = question("recalibrate_ad_hoc", "ana", APPROVE, REJECT)
    may = {"answers": frozenset({"recalibrate_ad_hoc", "roll_back_thresholds"})}
    ana, ben, viewer = Person("ana", "1", **may), Person("ben", "2", **may), Person("vic", "3")
    assert questions.offer(request, ben, CONFIG) == ((APPROVE, REJECT), "")
    assert questions.offer(request, ana, CONFIG)[0] == ()
    assert "somebody else" in questions.offer(request, ana, CONFIG)[1]
    assert questions.offer(request, viewer, CONFIG)[0] == ()
    back = question("roll_back_thresholds", "ana", CONFIRM, "Cancel")
    assert questions.offer(back, ana, CONFIG)[0] == (CONFIRM, "Cancel")
    named = CONFIG.model_copy(update={"approval": CONFIG.approval.model_copy(update={"assigned_users": ["id:2"]})})
    assert questions.offer(request, ben, named)[0] == (APPROVE, REJECT)
    assert questions.offer(request, Person("cleo", "4", **may), named)[0] == ()
    assert questions.offer(request, Person("id:2", "4", **may), named)[0] == ()
    assert questions.offer(request, Person("Ana", "9", **may), CONFIG)[0] == ()
    assert "does not say who you are" in questions.offer(request, Person("", "5", **may), CONFIG)[1]


@pytest.mark.airflow
def test_questions_about_models_say_what_yes_would_do_as_the_run_recorded_it(ended: Loop) -> None:
    project, day = ended.project, ended.day(LAST)
    ana = Person("ana", "1", answers=frozenset({"accept_model", "hand_off_retraining"}))
    leaves = replace(question("hand_off_retraining", None, APPROVE, REJECT), day=day)
    undo = replace(question("accept_model", "ana", APPROVE, REJECT), form={"policy": "fraud", "mode": "undo"})
    for asks, effect in ((leaves, "1 training snapshot would leave."), (undo, "v2 gets its place back.")):
        asked_in = asked_by_task(asks.dag_id, asks.run_id, asks.task_id)
        first_shown(approval(project, day), Asked(asks.subject, "text", "digest", effect), asked_in, NOW)
        (found,) = questions.asked(project, [asks], [], ana)
        assert (found.effect, found.address, list(found.lines)) == (effect, f"days/{day}", [])
        assert found.offered == (APPROVE, REJECT), "who asked may take an acceptance back"
    accept = replace(undo, form={"policy": "fraud", "mode": "accept"})
    assert questions.offer(accept, ana, CONFIG)[0] == ()


def proposal(version: str, market: str, remove_at: float, *verdicts: str) -> dict[str, Any]:
    said = json.dumps([{"name": name, "outcome": "hold", "reason": ""} for name in verdicts])
    row = {"policy": "fraud", "market": market, "model_version": version}
    return row | {"current_remove_at": remove_at, "verdicts": said}


def test_a_version_that_nobody_announced_is_told_loudly_and_a_challenger_is_not() -> None:
    acting = [proposal("v2", "BR", 0.9), proposal("v2", "DE", 1.0)]
    assert findings.version_findings(acting) == []
    (found,) = findings.version_findings([*acting, proposal("v3", "BR", 1.0), proposal("v3", "DE", 1.0)])
    assert found.verdict == "v3 scores fraud videos, and no threshold of it is certified"
    assert found.reasons == ("It removes nothing; what it would remove is reviewed. v2 goes on as before.",)
    assert "policies.fraud.challengers" in found.todo
    announced = [*acting, proposal("v3", "BR", 1.0, "challenger")]
    assert findings.version_findings(announced) == []
    assert [new.challenger for new in newcomers(announced)] == [True]
    new_policy = [proposal("v1", "BR", 1.0), proposal("v2", "BR", 1.0)]
    assert findings.version_findings(new_policy) == [], "no version of it removes: the policy is in shadow mode"


def test_thresholds_now_are_the_ledgers_with_their_certificates(ended: Loop) -> None:
    now = standing(ended.project)
    shown = cells.cells_now(now.in_force, now.past, now.daily, {}, now.config)
    assert now.day == ended.day(LAST)
    served = {
        (row["policy"], row["market"], row["model_version"]): (row["remove_at"], row["review_at"])
        for row in json.loads(now.chain[-1]["thresholds"])
    }
    assert {cell.cell: tuple(cell.pair) for cell in shown} == served
    certified = [cell for cell in shown if cell.certified is not None]
    assert certified, "no cell of the history earned a certificate"
    for cell in certified:
        assert not cell.shadow
        assert (cell.certified or 0) >= cell.target
        assert cell.changed == ended.day(LAST)
    shadows = [cell for cell in shown if cell.shadow]
    assert shadows
    assert {cell.certified for cell in shadows} == {None}
    scored = {(row["policy"], row["market"], row["model_version"]) for row in now.daily}
    assert {cell.why.startswith("Shadow mode: it removes nothing") for cell in shadows if cell.cell in scored} == {True}
    assert {cell.why for cell in shadows if cell.cell not in scored} <= {"No scores of this cell have arrived."}
    only = cells.Choice(policy=certified[0].cell[0], changed=True).of(shown, now.day)
    assert certified[0] in only
    assert {cell.cell[0] for cell in only} == {certified[0].cell[0]}
    by_labels = cells.Choice(sort="labels").of(shown, now.day)
    missing = [cell.labels or -1 for cell in by_labels]
    assert missing == sorted(missing, reverse=True)


@pytest.mark.airflow
def test_a_served_file_or_ledger_that_was_changed_is_told(ended: Loop) -> None:
    project = ended.project
    path = project.settings.thresholds
    whole = path.read_bytes()

    def told() -> list[str]:
        now = standing(project)
        return [found.verdict for found in findings.ledger_findings(project, now.past)]

    assert told() == []
    document = json.loads(whole)
    document["cells"][0]["review_at"] = 0.123
    write_whole(path, json.dumps(document).encode())
    assert told() == ["The file that the platform reads was changed by hand"]
    write_whole(path, b"{}")
    assert told() == ["The file that the platform reads cannot be read"]
    path.unlink()
    assert told() == ["The file that the platform reads is missing"]
    write_whole(path, whole)
    now = standing(project)
    edited = now.ledger.assign(reason="another reason")
    (found,) = findings.ledger_findings(project, past(edited))
    assert found.verdict == "The ledger of thresholds was changed by hand"
    assert "column reason was changed" in " ".join(found.reasons)


@pytest.mark.airflow
def test_the_timeline_and_the_comparison_are_the_ledgers(ended: Loop) -> None:
    chain = standing(ended.project).chain
    assert len(chain) > 1
    newest = history.version_of(chain[-1])
    assert (newest.number, newest.day) == (len(chain), ended.day(LAST))
    assert newest.whom == "by the daily run, approved by manager"
    changed = {change.cell for change in newest.changes}
    assert {row.cell for row in history.differences(chain, len(chain) - 1, len(chain))} == changed
    assert history.differences(chain, 1, 1) == []
    with pytest.raises(IndexError):
        history.differences(chain, 0, 1)


@pytest.mark.airflow
def test_a_market_with_fewer_minutes_than_work_is_told_with_what_would_relieve_it(ended: Loop) -> None:
    now = standing(ended.project)
    assert findings.queue_findings(now.daily, now.design, now.config) == []
    markets = {name: market.model_copy(update={"reviewer_minutes": 10}) for name, market in now.config.markets.items()}
    short = now.config.model_copy(update={"markets": markets})
    found = findings.queue_findings(now.daily, now.design, short)
    assert [finding.verdict.split(":")[0] for finding in found] == sorted(markets)
    assert "markets.BR.reviewer_minutes" in found[0].todo


def judged(*rows: tuple[str, str, bool]) -> pd.DataFrame:
    """quality_results of DUE: gate, severity, success."""
    names = ("gate", "severity", "success")
    common = {"ds": DUE, "expectation": "holds", "observed": "<b>9</b> of 10", "position": 1}
    return pd.DataFrame([common | dict(zip(names, row, strict=True)) for row in rows])


def failed_attempts(gate: str, n: int) -> pd.DataFrame:
    rows = [{"ds": DUE, "gate": gate, "attempt": attempt} for attempt in range(1, n + 1)]
    return pd.DataFrame(rows, columns=["ds", "gate", "attempt"])


def test_a_healed_failure_stays_visible() -> None:
    quality = judged(("scores", "critical", True), ("labels", "warning", False), ("consensus", "critical", False))
    failures = pd.concat([failed_attempts("scores", 1), failed_attempts("consensus", 1)])
    (day,) = days.newest_days(quality, failures, {DUE}, 14)
    assert {gate: (found.word, found.remark) for gate, found in day.gates.items()} == {
        "scores": ("passed", "failed first, healed on the second attempt"),
        "labels": ("warning", ""),
        "consensus": ("failed", ""),
    }
    assert (day.verdict, day.has_report) == ("Stopped at consensus", True)
    healed = days.day_of(DUE, judged(("scores", "critical", True)), failed_attempts("scores", 1), has_report=False)
    assert healed.verdict == "Passed after a failure"


def test_a_failed_gate_is_told_with_what_to_do_and_where() -> None:
    states = [state.DagState("sample_for_review", "Sample", DUE, "Failed", "", "bad", "run 1", "gate_scores")]

    def ask(dag_id: str, task: str) -> Advice | None:
        return advice(doc_of(dag_id), task)

    (gate,) = findings.gate_findings(judged(("scores", "critical", False)), [DUE], states, ask)
    assert (gate.kind, gate.verdict) == ("bad", f"{DUE} is stopped at the gate scores")
    assert gate.reasons == ("<b>9</b> of 10. Must hold: holds.",)
    assert "have the feed repaired" in gate.todo
    assert gate.run == ("sample_for_review", "run 1", "gate_scores")
    assert findings.run_findings(states, [gate], ask) == []
    (storage,) = findings.run_findings([replace(states[0], task="scan_scores")], [gate], ask)
    assert storage.verdict == f"Sample of {DUE} failed at scan_scores"
    assert storage.todo.startswith("Read the log")


def test_markets_whose_draws_stay_unanswered_are_told() -> None:
    row = {"policy": "fraud", "market": "BR", "region": "remove", "age_days": 3, "counted": True}
    assert findings.label_findings(pd.DataFrame([row | {"drawn": 100, "answered": 80}])) == []
    (found,) = findings.label_findings(pd.DataFrame([row | {"drawn": 100, "answered": 20}]))
    assert (found.verdict, found.reasons[0]) == (
        "fraud in BR: labels are late or missing",
        "Of 100 draws that should be final, 20% were answered.",
    )


@pytest.mark.airflow
def test_pages_are_found_by_name_and_nothing_else_is(ended: Loop, tmp_path: Path) -> None:
    settings = ended.settings
    day = ended.day(LAST)
    assert written.report_days(settings) == {day}
    found = written.report(settings, day)
    assert found is not None
    assert found.name == f"{day}.html"
    assert written.report(settings, day + timedelta(days=1)) is None
    assert "scores" in written.gates(settings, day)
    assert written.gate(settings, day, "scores") is not None
    (settings.quality_docs / "secret.html").write_text("outside the day")
    for name in ("../secret", "..", "", "%2e%2e/secret", "/etc/passwd", "index"):
        assert written.gate(settings, day, name) is None
    folder = settings.reports / "ad_hoc"
    folder.mkdir(parents=True, exist_ok=True)
    outside = tmp_path / "outside.html"
    outside.write_text("not a report")
    (folder / f"{day} mine 00000001.html").write_text("mine")
    (folder / f"{day} linked 00000002.html").symlink_to(outside)
    assert written.answers(settings, day) == [("00000001", "mine")]
    assert written.answer(settings, day, "00000001") == folder / f"{day} mine 00000001.html"
    for key in ("00000002", "*", "../00000001", "mine 00000001"):
        assert written.answer(settings, day, key) is None


def test_a_reason_why_a_cell_is_not_moved_is_a_sentence() -> None:
    row: dict[str, Any] = {
        "status": "awaiting_approval",
        "refusal": None,
        "current_remove_at": 0.98,
        "proposed_remove_at": 0.9,
        "current_review_at": 0.8,
        "proposed_review_at": 0.8,
        "certified_remove_at": 0.9,
        "answered_by": None,
        "verdicts": json.dumps([{"name": "volume", "outcome": "ask", "reason": "removals rise by 30%"}]),
    }
    pair = ThresholdPair(0.98, 0.8)
    moved = "A move (removes at 0.980 → 0.900)"
    assert cells.why(row, pair) == f"{moved} waits for approval: removals rise by 30%."
    assert cells.why(row | {"status": "rejected", "answered_by": "ben"}, pair) == f"{moved} was rejected by ben."
    assert cells.why(row | {"status": "unchanged"}, pair) == "The labels call for these thresholds."
    refused = row | {"status": "refused", "refusal": "needs about 40 more labels"}
    assert cells.why(refused, ThresholdPair(1.0, 0.8)) == (
        "Shadow mode: it removes nothing until a threshold is certified. Needs about 40 more labels."
    )
    assert cells.why(None, pair) == "No scores of this cell have arrived."


def test_what_was_billed_is_summed_up_by_day_with_its_largest_task() -> None:
    rows = pd.DataFrame(
        [(1, "scan_scores", 5, 600), (1, "draw_sample", 2, 700), (1, "scan_scores", 3, 300), (2, "", 1, 10)],
        columns=["day", "task", "jobs", "bytes_billed"],
    )
    rows = rows.assign(ds=[date(2026, 11, day) for day in rows["day"]], slot_ms=100)
    newest, before = usage.billed(rows, 14)
    assert (newest.day, newest.most, newest.bytes_billed) == (date(2026, 11, 2), "", 10)
    assert (before.jobs, before.bytes_billed, before.slot_ms) == (10, 1600, 300)
    assert (before.most, before.most_bytes) == ("scan_scores", 900)
    assert usage.billed(rows, 1) == [newest]
    assert usage.billed(rows.iloc[:0], 14) == []
