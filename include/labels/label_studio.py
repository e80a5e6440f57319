"""Label Studio's exports as label events: JSON, JSON-MIN and CSV, as the tool writes them.

The tasks are those of the exported queue (`include.sampling.label_studio`): their `data` hold video_id, policy,
guideline_version and sample_id, and the question's choices are named `decision`. The rules:

- *One annotation, one event*; predictions, drafts and tasks nobody annotated are none.
- *event_id* is `label-studio:<annotation id>:<updated_at>`: the same in all three formats. An annotation exported again
  is the same event, which counts once; an annotation that was changed is a new event of the same reviewer on the same
  video, and the later answer stands.
- *reviewer_id* is the annotator's e-mail address, or the number where the export has no more. *labelled_at* is
  `updated_at`.
- *A skipped (cancelled) annotation* is no answer: JSON lists it and it is refused as `skipped_annotation`; the other
  formats leave it out.
- *No choice or several* is for the ingestion to refuse: `missing_field` and `unknown_decision`.

Sources: HumanSignal/label-studio docs, "Export annotations" and "Task format"; label-studio-sdk,
converter/converter.py and converter/exports/csv2.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

CONTROL: Final = "decision"
"""Name of the choices in the labelling configuration; in JSON-MIN and CSV it names the column."""

FROM_TASK: Final = ("video_id", "policy", "guideline_version", "sample_id")
ROW_COLUMNS: Final = ("annotation_id", "annotator", "updated_at", CONTROL, *FROM_TASK)
"""What a row of JSON-MIN or CSV must have to become an event."""


class Skipped(ValueError):
    """An annotation whose annotator skipped the task."""


def is_task(record: Mapping[str, Any]) -> bool:
    """Whether a record is a task of a JSON export."""
    return isinstance(record.get("data"), dict) and isinstance(record.get("annotations"), list)


def is_annotation(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of `annotated`, which is how `label_rejects` keeps a refused annotation."""
    return isinstance(record.get("annotation"), dict) and isinstance(record.get("data"), dict)


def is_row(columns: Iterable[str]) -> bool:
    """Whether these are the columns of a JSON-MIN or CSV export."""
    return {"annotation_id", "annotator"} <= set(columns)


def annotated(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The annotations of a task, each with its task's data, or the row of a JSON-MIN or CSV export if it is one."""
    if is_task(record):
        for annotation in record["annotations"]:
            yield {"annotation": annotation, "data": record["data"]}
    elif record.get("annotation_id") not in (None, ""):
        yield record


def event(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `reviewer_labels` of one of `annotated`; absent ones are None.

    Raises Skipped, and ValueError where the annotation is not made as Label Studio makes them.
    """
    if "annotation_id" in record:
        return _fields(record, record, record.get("annotation_id"), record.get("annotator"), record.get(CONTROL))
    annotation = record["annotation"]
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result") or [], list):
        raise ValueError("an annotation is an object with a list of results")
    if annotation.get("was_cancelled") is True:
        raise Skipped(f"annotation {annotation.get('id')!r} was skipped by its annotator")
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return _fields(annotation, record["data"], annotation.get("id"), who, _choice(annotation.get("result") or []))


def _fields(times: Mapping[str, Any], data: Mapping[str, Any], number: Any, who: Any, choice: Any) -> dict[str, Any]:
    when = times.get("updated_at") or times.get("created_at")
    return {
        **{name: data.get(name) for name in FROM_TASK},
        "event_id": None if number in (None, "") or not when else f"label-studio:{number}:{when}",
        "reviewer_id": who,
        "decision": choice,
        "labelled_at": when,
        "supersedes": None,
    }


def _choice(results: list[Any]) -> str | None:
    """What was chosen; several choices joined, which is no decision; None: nothing."""
    chosen: list[str] = []
    for result in results:
        if isinstance(result, dict) and result.get("type") == "choices" and result.get("from_name") == CONTROL:
            value = result.get("value")
            choices = value.get("choices") if isinstance(value, dict) else None
            chosen += [str(choice) for choice in choices] if isinstance(choices, list) else []
    return " and ".join(chosen) or None
