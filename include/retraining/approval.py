"""The question whether training data may be handed over, where the configuration has a person asked (`approval`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from include.contract.cell import Row, records
from include.files import digest_of
from include.project import Project
from include.proposals.approval import Answer, Question, objection_to
from include.retraining.decision import answered, is_answered
from include.retraining.stage import DECISIONS, manifest_of_day
from include.wording import as_text, plural


def approval(project: Project, day: date) -> Consent:
    """The question about the day's hand-overs."""
    return Consent(project, day)


@dataclass(frozen=True)
class Consent:
    """Whether the day's snapshots may leave. What is declined is asked for again after `retraining.cooldown_days`."""

    project: Project
    day: date

    @property
    def address(self) -> str:
        """Of the day, within the page in the Airflow UI."""
        return f"days/{self.day}"

    def unfinished(self) -> str | None:
        """Nothing is carried out here that could be cut short: `hand_over` follows."""
        return None

    def question(self) -> Question | None:
        """What would be handed over; None: nothing, or it was answered."""
        rows = self._waiting()
        if not rows:
            return None
        manifests = {row["model_version"]: manifest_of_day(self.project, self.day, row) for row in rows}
        subject = f"Hand over training data for {', '.join(manifests)}"
        lines = ["| model | labelled videos | violating | of days |", "|---|---|---|---|"]
        for version, manifest in manifests.items():
            profile = manifest["profile"]
            days = f"{profile['first_day']} to {profile['last_day']}"
            lines.append(f"| {as_text(version)} | {profile['rows']:,} | {profile['positive']:,} | {days} |")
        why = [f"- **{as_text(row['model_version'])}**: {as_text(json.loads(row['reasons'])['why'])}" for row in rows]
        asked = f"*Approve* hands {plural(len(rows), 'training snapshot')} over to the model team, in MLflow."
        wait = self.project.config.retraining.cooldown_days
        text = "\n".join(
            [
                *lines,
                "",
                "Why retraining is asked for:",
                "",
                *why,
                "",
                f"{asked} *Reject* keeps them here for {wait} days.",
            ]
        )
        shown = {"subject": subject, "text": text, "digests": sorted(one["digest"] for one in manifests.values())}
        effect = f"{plural(len(rows), 'training snapshot')} would leave for the model team, in MLflow."
        return Question(subject, text, digest_of(shown), effect)

    def objection(self, answer: Answer) -> str | None:
        """Why the answer of this person does not count; None: it does."""
        return objection_to(answer, self.project.config)

    def settle(self, answer: Answer) -> str:
        """Records the answer beside the decision."""
        decisions = self.project.warehouse.read(DECISIONS, self.day, self.day).drop(columns="ds")
        settled = answered(decisions, approved=answer.approves, by=answer.name)
        self.project.warehouse.replace(DECISIONS, self.day, settled)
        if answer.approves:
            return f"Approved by {answer.name}: the training data are handed over."
        return "Nothing is handed over: " + ("nobody answered in time." if answer.name is None else "it was declined.")

    def _waiting(self) -> list[Row]:
        decisions = self.project.warehouse.read(DECISIONS, self.day, self.day)
        return [row for row in records(decisions[decisions["decision"] == "retrain"]) if not is_answered(row)]
