"""The steps of `accept_model`: a challenger beside the champion, thresholds for it, and only then the alias.

The order is what keeps a half-done acceptance harmless: the answer is recorded, thresholds for the challenger's cells
are certified and published, the alias in MLflow moves, and last the acceptance is recorded as done. A process killed in
between is taken up where it was. The champion's thresholds stay as they are throughout.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from include.contract.cell import Row, cell_of, records
from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.people import may_be_one
from include.contract.tables import CELL, TABLES
from include.contract.terms import AcceptanceStatus, ProposalStatus, Ruling, VersionKind
from include.evidence.accepted import scored_cells, window_start
from include.evidence.fingerprints import config_digest
from include.evidence.sample import labelled_sample
from include.files import canonical_json, digest_of
from include.ledger.acceptance import accepted_in
from include.ledger.chain import TABLE, thresholds_of
from include.ledger.in_force import thresholds_in_force
from include.ledger.publication import Act, publish_changes, read_chain
from include.project import Project
from include.proposals.approval import (
    Answer,
    Question,
    effect_in_words,
    objection_to,
    question_table,
    with_answer,
    without_outdated,
)
from include.proposals.holds import respecting
from include.report.places import address_of
from include.retraining.comparison import Comparison, Terms, compare
from include.retraining.paired import paired_sample
from include.retraining.registry import (
    Meeting,
    Registered,
    challenged,
    demote,
    in_service,
    meeting,
    promote,
    registered_name,
)
from include.retraining.required import required_on_labels
from include.retraining.tracking import MlflowRefused
from include.thresholds.newest import newest_day
from include.thresholds.proposals import proposals_for
from include.thresholds.request import (
    ACCEPT_MODES,
    COMPARE,
    UNDO,
    FormRun,
    NothingToDo,
    RequestError,
    check_fields,
    reason_of,
)
from include.thresholds.run import Run
from include.wording import as_text, percent, plural

log = logging.getLogger(__name__)

FIELDS = ("policy", "challenger", "mode", "reason")
"""Of the form `accept_model`."""

COMPARISONS = "model_comparisons"
FOUND = "found in the registry by the daily look"
"""The reason where nobody filled in the form."""

_ASKED_BEFORE = (
    AcceptanceStatus.AWAITING_APPROVAL,
    AcceptanceStatus.APPROVED,
    AcceptanceStatus.ACCEPTED,
    AcceptanceStatus.REJECTED,
)


def read_request(project: Project, form: FormRun) -> str:
    """The newest day with data, on which the form is answered, once the form was checked.

    Raises:
        RequestError: naming the field, or what the registry lacks.
        NothingToDo: the daily look found no challenger that nobody was asked about.
    """
    check_fields(form.form, FIELDS)
    _ = form.origin, _reason(form)
    day, policy = newest_day(project), form.form["policy"]
    mode, number = form.form["mode"], form.form["challenger"]
    if mode not in ACCEPT_MODES:
        raise RequestError(f"mode: {mode!r} is unknown; there are {', '.join(ACCEPT_MODES)}")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise RequestError(f"challenger: {number!r} is no version of a registered model: 1, 2, 3, ...")
    if policy is not None and policy not in project.config.on(day).policies:
        raise RequestError(f"policy: {policy!r} is unknown; there are {', '.join(sorted(project.config.policies))}")
    with _named():
        if mode == UNDO:
            if policy is None:
                raise RequestError("policy: is empty; say whose new model version is to be taken back")
            in_service(project.settings.mlflow, policy)
        else:
            _meeting(project, form, day)
    return day.isoformat()


def compare_models(project: Project, form: FormRun, day: str) -> str:
    """Records in model_comparisons how the challenger compares, and proposes thresholds for it if it passed."""
    if form.form["mode"] == UNDO:
        return "an undo compares nothing"
    about = date.fromisoformat(day)
    with _named():
        policy, both = _meeting(project, form, about)
    found = _compared(project, policy, both, about)
    row = _row(form, policy, both, found, project.config.policies[policy].confidence)
    if form.form["mode"] == COMPARE:
        row["status"] = AcceptanceStatus.COMPARED
    elif found.outcome == "better":
        run = _run(project, form, about, row)
        run.propose()
        lacking = _lacking(project, run, row)
        if lacking is not None:
            row |= lacking | {"status": AcceptanceStatus.REFUSED}
    _record(project, about, row)
    log.info("%s %s: %s, %s", policy, row["challenger"], row["outcome"], row["reason"])
    return str(row["reason"])


def gate_request(project: Project, form: FormRun, day: str) -> None:
    """Whether the proposals may be published at all; the day's own gate results stay. Raises GateFailed."""
    about = date.fromisoformat(day)
    row = _recorded(project, form, about)
    run = None if row is None else _run(project, form, about, row)
    if run is not None and len(run.proposals()):  # else it was not found better, or an acceptance is undone
        run.gate()


def write_report(project: Project, form: FormRun, day: str) -> str:
    """The page with the evidence and the forecast of the challenger's thresholds; returns its path."""
    from include.report.answer import build_answer
    from include.report.collect import answer_data

    row = _recorded(project, form, date.fromisoformat(day))
    if row is None:
        return "an undo has no page"
    run = _run(project, form, date.fromisoformat(day), row)
    if run.proposals().empty:
        return "no thresholds are proposed"
    asked = f"{form.user} asks to take {row['challenger']} into service for {row['policy']}, after {row['champion']}."
    return run.write(build_answer(answer_data(run.project, run.day, run.origin, asked=asked, reason=_reason(form))))


def approval(project: Project, form: FormRun, day: str) -> Acceptance | Undo:
    """The question whether the challenger is accepted, or whether an acceptance is undone."""
    kind = Undo if form.form["mode"] == UNDO else Acceptance
    return kind(project, form, date.fromisoformat(day))


def answer(project: Project, form: FormRun, day: str) -> str:
    """The short answer, in Markdown: what became of the challenger, and the comparison."""
    row = _recorded(project, form, date.fromisoformat(day))
    if row is None:
        return Undo(project, form, date.fromisoformat(day)).said()
    status = next(one for one in AcceptanceStatus if one == row["status"])
    name = f"{as_text(row['challenger'])} of {as_text(row['policy'])}"
    lines = [f"{name}: **{status.replace('_', ' ')}**. {status.meaning} {as_text(row['reason'])}."]
    if row["labels_needed"] is not None:
        minutes = row["labels_needed"] * project.config.policies[row["policy"]].minutes_per_label
        lines.append(f"About {row['labels_needed']:,} more labels would decide it, {minutes / 60:,.1f} reviewer-hours.")
    return "\n\n".join([*lines, _table(row)])


@dataclass(frozen=True)
class Acceptance:
    """The question whether a challenger is accepted, and the answer's consequences."""

    project: Project
    form: FormRun
    day: date

    @property
    def address(self) -> str:
        return address_of(self.form.origin, self.day)

    def unfinished(self) -> str | None:
        """Carries out what was approved before the process was killed; None: nothing was."""
        row = _recorded(self.project, self.form, self.day)
        if row is None or row["status"] != AcceptanceStatus.APPROVED:
            return None
        return self._carry_out(row, str(row["answered_by"]))

    def question(self) -> Question | None:
        """What accepting it does; None: it was not found better, or was answered already."""
        row = _recorded(self.project, self.form, self.day)
        if row is None or row["status"] != AcceptanceStatus.AWAITING_APPROVAL:
            return None
        proposals = _run(self.project, self.form, self.day, row).proposals()
        subject = f"Accept {row['challenger']} as the model of {row['policy']}"
        text = "\n".join([_preface(self.form, row), "", _table(row), "", question_table(proposals)])
        shown = {"subject": subject, "text": text, "proposals": sorted(proposals["proposal_id"])}
        waiting = proposals[proposals["status"] == ProposalStatus.AWAITING_APPROVAL]
        effect = f"{effect_in_words(records(waiting))} Reason: {_reason(self.form)}"
        return Question(subject, text, digest_of(shown), effect)

    def objection(self, answer: Answer) -> str | None:
        """Why the answer of this person does not count; None: it does."""
        return objection_to(answer, self.project.config, asked_by=self.form.user)

    def settle(self, answer: Answer) -> str:
        """Records the answer, and carries an approval out as long as what was shown still holds."""
        row = _recorded(self.project, self.form, self.day)
        if row is None:
            raise RequestError("this run compared nothing on that day; start it again")
        run = _run(self.project, self.form, self.day, row)
        proposals = with_answer(run.proposals(), answer)
        if not answer.approves:
            run.record(proposals)
            status = AcceptanceStatus.TIMED_OUT if answer.name is None else AcceptanceStatus.REJECTED
            _record(self.project, self.day, row | {"status": status, "answered_by": answer.name})
            return "Not accepted: " + ("nobody answered in time." if answer.name is None else "it was rejected.")
        with _named():
            _, now = _meeting(self.project, self.form, self.day, policy=str(row["policy"]))
        shown = (row["registered_champion"], row["registered_challenger"])
        if (now.champion.number, now.challenger.number) != shown:
            return self._stale(row, answer, "champion or challenger in the registry are others than those compared")
        proposals = without_outdated(proposals, run.compute(), set())
        run.record(proposals)
        if (proposals["status"] == ProposalStatus.STALE).any():
            return self._stale(row, answer, "the labels, the scores or the thresholds changed after the question")
        approved = row | {"status": AcceptanceStatus.APPROVED, "answered_by": answer.name}
        _record(self.project, self.day, approved)
        return self._carry_out(approved, str(answer.name))

    def _stale(self, row: Row, answer: Answer, why: str) -> str:
        changed = {"status": AcceptanceStatus.STALE, "answered_by": answer.name, "reason": f"stale: {why}"}
        _record(self.project, self.day, row | changed)
        return f"Not accepted: {why}. Start the request again."

    def _carry_out(self, row: Row, approver: str) -> str:
        """Thresholds first, then the alias."""
        run = _run(self.project, self.form, self.day, row)
        proposals = run.proposals()
        carried = proposals[proposals["status"] == ProposalStatus.APPROVED]
        said = run.publish(carried, f"{row['challenger']} accepted: {_reason(self.form)}", approver)
        stale = run.proposals()["status"] == ProposalStatus.STALE
        if stale.any():
            return self._stale(row, Answer("", approver), "the thresholds in force changed before they were published")
        policy = str(row["policy"])
        champion, challenger = (Registered(row[f"registered_{role}"], row[role]) for role in ("champion", "challenger"))
        with _named():
            promote(self.project.settings.mlflow, policy, challenger, champion)
        _record(self.project, self.day, row | {"status": AcceptanceStatus.ACCEPTED})
        return (
            f"{challenger.model_version} is the champion of {policy} now, {champion.model_version} the one before "
            f"(version {challenger.number} and {champion.number} of {registered_name(policy)}). {said}"
        )


@dataclass(frozen=True)
class Undo:
    """The question whether the champion before gets its place back, and the answer's consequences."""

    project: Project
    form: FormRun
    day: date

    @property
    def policy(self) -> str:
        return str(self.form.form["policy"])

    @property
    def address(self) -> str:
        return "thresholds"

    def unfinished(self) -> str | None:
        """Moves the alias where the thresholds went back before the process was killed; None: they did not."""
        request = self._published()
        if request is None:
            return None
        now, before = (Registered(*request[role]) for role in ("now", "before"))
        with _named():
            demote(self.project.settings.mlflow, self.policy, now, before)
        return self.said()

    def question(self) -> Question | None:
        """What undoing changes; None: this run did it already."""
        if self._published() is not None:
            return None
        with _named():
            now, before = in_service(self.project.settings.mlflow, self.policy)
        changes = undone(read_chain(self.project), self.policy, now.model_version)
        subject = f"Give {before.model_version} the place of {now.model_version} back"
        moved = [f"| {' '.join(one.cell)} | {_level(one.old)} | {_level(one.new)} |" for one in changes]
        text = "\n".join(
            [
                f"{as_text(self.form.user)} takes the acceptance of {as_text(now.model_version)} back: "
                f"{as_text(_reason(self.form))}. The thresholds of {as_text(before.model_version)} stay as they are.",
                "",
                "| cell | remove_at | afterwards |",
                "|---|---|---|",
                *(moved or ["| none changes | | |"]),
            ]
        )
        shown = {"subject": subject, "text": text, "changes": [change.to_json() for change in changes]}
        cells = plural(len(changes), "cell")
        effect = f"{cells} of {now.model_version} would change back. Reason: {_reason(self.form)}"
        return Question(subject, text, digest_of(shown | {"aliases": [now.number, before.number]}), effect)

    def objection(self, answer: Answer) -> str | None:
        """Why the answer of this person does not count; None: it does.

        Who asked may confirm it, as a rollback, unless more would be removed than now.
        """
        with _named():
            now, _ = in_service(self.project.settings.mlflow, self.policy)
        changes = undone(read_chain(self.project), self.policy, now.model_version)
        riskier = any(change.new.remove_at < change.old.remove_at for change in changes)
        return objection_to(answer, self.project.config, asked_by=self.form.user if riskier else None)

    def settle(self, answer: Answer) -> str:
        """Takes the thresholds back, then the alias."""
        if not answer.approves:
            return "The champion stays: " + ("nobody answered in time." if answer.name is None else "it was rejected.")
        with _named():
            now, before = in_service(self.project.settings.mlflow, self.policy)
        chain = read_chain(self.project)
        request = {
            "kind": VersionKind.ACCEPTANCE,
            "origin": self.form.origin,
            "policy": self.policy,
            "challenger": now.model_version,
            "undo": True,
            "now": [now.number, now.model_version],
            "before": [before.number, before.model_version],
        }
        act = Act(
            day=chain[-1]["ds"] if chain else self.day,
            requester=self.form.user,
            approver=None if may_be_one(str(answer.name), self.form.user) else answer.name,
            reason=_reason(self.form),
            request=request,
        )
        result = publish_changes(
            self.project, lambda newer: undone(newer, self.policy, now.model_version), act, datetime.now(UTC)
        )
        log.info("%s", result)
        with _named():
            demote(self.project.settings.mlflow, self.policy, now, before)
        return f"{before.model_version} is the champion of {self.policy} again, not {now.model_version}. {result}"

    def said(self) -> str:
        """What the run came to."""
        request = self._published()
        if request is None:
            return "No thresholds were taken back."
        return f"{request['before'][1]} is the champion of {self.policy} again, not {request['now'][1]}."

    def _published(self) -> dict[str, Any] | None:
        for row in read_chain(self.project):
            request: dict[str, Any] = json.loads(row["request"])
            if request.get("origin") == self.form.origin:
                return request
        return None


def undone(chain: Sequence[Row], policy: str, model_version: str) -> list[Change]:
    """The changes that give the accepted version's cells the thresholds back that they had before the acceptance."""
    version = accepted_in(chain).get((policy, model_version))
    if version is None:
        return []
    before, now = thresholds_of(chain[version - 2]), thresholds_of(chain[-1])
    cells = [cell for cell in sorted(now) if cell[::2] == (policy, model_version)]
    return [
        Change(cell, now[cell], before[cell], VersionKind.ACCEPTANCE)
        for cell in cells
        if cell in before and before[cell] != now[cell]
    ]


def acceptance_proposals(project: Project, stored: Mapping[str, Any], ledger: pd.DataFrame) -> pd.DataFrame:
    """Thresholds for the challenger's cells, from the partitions as they are; a person answers about all of them.

    Args:
        stored: the request as a version of the ledger holds it.
        ledger: threshold_ledger, sound, at whose end the thresholds are that it starts from.
    """
    day = date.fromisoformat(stored["day"])
    cells = scored_cells(project, day)
    chosen = cells[(cells["policy"] == stored["policy"]) & (cells["model_version"] == stored["challenger"])]
    rows = proposals_for(project, day, stored["origin"], ledger, chosen)
    why = f"a person decides whether {stored['challenger']} takes the place of {stored['champion']}"
    return respecting(
        rows, {cell_of(row): why for row in records(chosen)}, ProposalStatus.AWAITING_APPROVAL, "acceptance"
    )


def _meeting(project: Project, form: FormRun, day: date, *, policy: str | None = None) -> tuple[str, Meeting]:
    """The policy that the run is about, and who meets there. Raises NothingToDo where the daily look finds nobody."""
    number = form.form["challenger"]
    wanted = policy or form.form["policy"]
    if wanted is not None:
        both = meeting(project.settings.mlflow, wanted, None if number is None else str(number))
        _configured(project, wanted, both)
        return wanted, both
    if number is not None:
        raise RequestError("policy: is empty; say whose registered model the challenger is a version of")
    asked = project.warehouse.read(COMPARISONS)
    asked = asked[asked["status"].isin(_ASKED_BEFORE) & (asked["origin"] != form.origin)]
    before = set(asked[["policy", "registered_challenger"]].itertuples(index=False, name=None))
    for name in challenged(project.settings.mlflow, sorted(project.config.on(day).policies)):
        both = meeting(project.settings.mlflow, name)
        if (name, both.challenger.number) not in before:
            _configured(project, name, both)
            return name, both
    raise NothingToDo("no registered model has a challenger that nobody was asked about")


def _configured(project: Project, policy: str, both: Meeting) -> None:
    for role, version in (("champion", both.champion), ("challenger", both.challenger)):
        if version.model_version not in project.config.policies[policy].model_versions:
            raise RequestError(
                f"the {role}, version {version.number} of {registered_name(policy)}, is {version.model_version}, which "
                f"policies.{policy}.model_versions does not name: without that nothing of it is sampled or compared"
            )


def _compared(project: Project, policy: str, both: Meeting, day: date) -> Comparison:
    settings, start = project.config.policies[policy], window_start(project, day)
    labelled = labelled_sample(project, day, queue_decisions=False)
    labelled = labelled[labelled["policy"] == policy]
    design = project.warehouse.read("sampling_design", start, day)
    design = design[design["policy"] == policy]
    days = sorted(set(labelled.loc[labelled["model_version"] == both.challenger.model_version, "sampled_on"]))
    found = [project.warehouse.query("scores_of_draws", {"ds": ds, "policy": policy}).assign(ds=ds) for ds in days]
    empty = pd.DataFrame(columns=["ds", "video_id", "market", "model_version", "score", "views"])
    sample = paired_sample(
        labelled,
        pd.concat(found, ignore_index=True) if found else empty,
        design[design["ds"].isin(days)],
        champion=both.champion.model_version,
        challenger=both.challenger.model_version,
    )
    asked = required_on_labels(labelled, settings)
    required = {market: asked.get(market, settings.target_precision) for market in sorted(set(sample["market"]))}
    bars = project.config.retraining.acceptance
    return compare(
        sample,
        required,
        Terms(settings.confidence, bars.market_bound, bars.max_unscored),
        lowest=settings.limits.lowest_remove_at,
    )


def _row(form: FormRun, policy: str, both: Meeting, found: Comparison, confidence: float) -> Row:
    overall = found.overall
    return {
        "origin": form.origin,
        "policy": policy,
        "champion": both.champion.model_version,
        "challenger": both.challenger.model_version,
        "registered_champion": both.champion.number,
        "registered_challenger": both.challenger.number,
        "outcome": found.outcome,
        "status": AcceptanceStatus.AWAITING_APPROVAL if found.outcome == "better" else AcceptanceStatus.REFUSED,
        "reason": found.reason,
        "confidence": confidence,
        "sampled": found.sampled,
        "unscored_champion": found.unscored_champion,
        "unscored_challenger": found.unscored_challenger,
        "recall_champion": None if overall is None else overall.recall_champion,
        "recall_challenger": None if overall is None else overall.recall_challenger,
        "gain": None if overall is None else overall.gain,
        "gain_low": None if overall is None else overall.low,
        "gain_high": None if overall is None else overall.high,
        "markets": canonical_json([asdict(one) for one in found.markets]),
        "labels_needed": found.labels_needed,
        "answered_by": None,
    }


def _lacking(project: Project, run: Run, row: Row) -> dict[str, Any] | None:
    """Why the challenger must not act yet, though it finds more: a threshold that is missing, or held; None: it may."""
    proposals = {row["market"]: row for row in records(run.proposals())}
    ledger = project.warehouse.read(TABLE)
    cells = pd.DataFrame(
        [(row["policy"], market, row["champion"]) for market in sorted(project.config.markets)], columns=list(CELL)
    )
    acting = thresholds_in_force(ledger, cells, project.config, before=date.max)
    needed = [market for market, at in zip(acting["market"], acting["remove_at"], strict=True) if at < 1]
    certified = [market for market, one in proposals.items() if _removes(one)]
    missing = [market for market in needed if market not in certified]
    if not missing and certified:
        return None
    said, labels = [], []
    for market in missing or sorted(proposals):
        one = proposals.get(market)
        said.append(f"{market}: {_why_not(one)}")
        labels.append(None if one is None else one["labels_needed"])
    known = [int(number) for number in labels if number is not None]
    lacks = f"But where the champion removes, no threshold is certified for it: {'; '.join(said)}"
    return {
        "reason": f"{row['reason']}. {lacks}",
        "labels_needed": max(known) if len(known) == len(labels) and known else None,
    }


def _removes(proposal: Row) -> bool:
    if proposal["status"] == ProposalStatus.AWAITING_APPROVAL:
        return proposal["refusal"] is None and proposal["proposed_remove_at"] < 1
    return proposal["status"] == ProposalStatus.UNCHANGED and proposal["current_remove_at"] < 1


def _why_not(proposal: Row | None) -> str:
    if proposal is None:
        return "it has no scores there"
    if proposal["refusal"] is not None:
        return str(proposal["refusal"])
    held = [item["reason"] for item in json.loads(proposal["verdicts"]) if item["outcome"] == Ruling.HOLD]
    return "; ".join(held) or "its labels call for no removal"


def _run(project: Project, form: FormRun, day: date, row: Row) -> Run:
    stored = {
        "origin": form.origin,
        "day": day.isoformat(),
        "undo": False,
        **{name: row[name] for name in ("policy", "champion", "challenger")},
    }
    return Run(
        project=project,
        day=day,
        origin=form.origin,
        kind=VersionKind.ACCEPTANCE,
        requester=form.user,
        request=stored,
        compute=lambda: acceptance_proposals(project, stored, project.warehouse.read(TABLE)),
        config_sha=config_digest(project),
        subject=f"Accept {row['challenger']}",
    )


def _recorded(project: Project, form: FormRun, day: date) -> Row | None:
    rows = records(project.warehouse.read(COMPARISONS, day, day, slice_value=form.origin).drop(columns="ds"))
    return rows[0] if rows else None


def _record(project: Project, day: date, row: Row) -> None:
    frame = pd.DataFrame([row], columns=list(TABLES[COMPARISONS].column_names))
    numbers = ("recall_champion", "recall_challenger", "gain", "gain_low", "gain_high")
    frame = frame.astype({**dict.fromkeys(numbers, float), "labels_needed": "Int64"})
    project.warehouse.replace(COMPARISONS, day, frame, slice_value=row["origin"])


def _reason(form: FormRun) -> str:
    return FOUND if form.user == form.dag_id else reason_of(form.form)


def _preface(form: FormRun, row: Row) -> str:
    name = registered_name(row["policy"])
    return (
        f"**{as_text(row['challenger'])}** (version {row['registered_challenger']} of {as_text(name)}) is to take the "
        f"place of **{as_text(row['champion'])}** (version {row['registered_champion']}), which stays as `previous` "
        f"and keeps its thresholds. {as_text(form.user)}: {as_text(_reason(form))}. As for the challenger, "
        f"{as_text(row['reason'])}."
    )


def _table(row: Row) -> str:
    """The comparison, market by market, as Markdown."""
    markets = json.loads(row["markets"])
    lines = [
        f"Compared on {row['sampled']:,} labelled draws; {row['unscored_champion']:,} of them have no row of "
        f"{as_text(row['champion'])}, {row['unscored_challenger']:,} none of {as_text(row['challenger'])}.",
    ]
    if markets:
        limits = f"gain (limits at {percent(row['confidence'])})"
        lines += ["", f"| market | labels | recall now | recall then | {limits} |", "|---|---|---|---|---|"]
    lines += [
        f"| {as_text(one['market'])} | {one['labels']:,} | {one['recall_champion']:.3f} | "
        f"{one['recall_challenger']:.3f} | {one['gain']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f}) |"
        for one in markets
    ]
    return "\n".join(lines)


def _level(pair: ThresholdPair) -> str:
    return "none" if pair.remove_at == 1 else f"{pair.remove_at:.3f}"


@contextmanager
def _named() -> Iterator[None]:
    """What the registry refuses is what the form cannot carry out."""
    try:
        yield
    except MlflowRefused as error:
        raise RequestError(str(error)) from error
