"""What the Dags share that a person starts from a form."""

from __future__ import annotations

from typing import Any

from include.orchestration.dags import COMMON
from include.orchestration.ending import LONGEST_NOTE

FORM: dict[str, Any] = {
    **{name: COMMON[name] for name in ("start_date", "catchup", "default_args")},
    "schedule": None,
    "max_active_runs": 16,  # a run that waits for an answer keeps nobody else waiting
}


def as_note(answer: str) -> str:
    """A short answer as a note: whole if it fits, else its first lines and how many are left out."""
    if len(answer) <= LONGEST_NOTE:
        return answer
    lines = answer.splitlines()
    for kept in range(len(lines) - 1, 0, -1):
        left = len(lines) - kept
        text = "\n".join([*lines[:kept], f"- … {left} more; the page has all"])
        if len(text) <= LONGEST_NOTE:
            return text
    return f"{answer[: LONGEST_NOTE - 2]} …"
