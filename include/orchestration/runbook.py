"""What to do about a failed task, read from where it is kept: the table in the doc of the task's Dag. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

TASK_OF_GATE = {
    "scores_input": "sample_for_review/gate_scores_input",
    "scores": "sample_for_review/gate_scores",
    "sample": "sample_for_review/gate_sample",
    "details": "sample_for_review/look_up_details",
    "labels": "ingest_reviewer_labels/gate_labels",
    "golden_labels": "ingest_reviewer_labels/gate_golden_labels",
    "consensus": "ingest_reviewer_labels/gate_consensus",
    "appeals": "recalibrate_thresholds/gate_appeals",
    "enforcement_log": "recalibrate_thresholds/gate_enforcement_log",
    "thresholds": "recalibrate_thresholds/gate_proposals",
    "snapshot": "hand_off_retraining/gate_snapshots",
}
"""Dag and task of each gate, in the order of the day."""


@dataclass(frozen=True)
class Advice:
    """What a task's failure means, and what to do; as text, a sentence each."""

    means: str
    todo: str


def advice(doc: str, task_id: str) -> Advice | None:
    """What the doc of a Dag (Markdown) says about the failure of its task; None: nothing."""
    for line in doc.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 3 and f"`{task_id}`" in cells[0]:
            return Advice(*(_sentence(cell) for cell in cells[1:]))
    return None


def _sentence(markdown: str) -> str:
    text = re.sub(r"[`*]", "", markdown)
    return f"{text[:1].upper()}{text[1:]}."
