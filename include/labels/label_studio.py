"""Label Studio's annotations as label events, in every shape the tool writes: its exports as JSON, JSON-MIN and CSV,
what it puts into target storage (a file an annotation, or a task), and the payload of its webhooks.

The tasks are those of the exported queue (`include.sampling.label_studio`): their `data` hold video_id, policy,
guideline_version and sample_id, and the question's choices are named `decision`. The rules:

- *One annotation, one event*; predictions, drafts and tasks nobody annotated are none.
- *event_id* is `label-studio:<annotation id>:<updated_at>`: the same in all shapes. An annotation exported again is the
  same event, which counts once; an annotation that was changed is a new event of the same reviewer on the same video,
  and the later answer stands.
- *reviewer_id* is the annotator's e-mail address, which webhooks have in `created_username`, or the number where there
  is no more. *labelled_at* is `updated_at`. Where somebody else changed the annotation (`updated_by`), the answer is
  theirs: of them most shapes tell the number alone, and JSON-MIN and CSV nothing.
- *A skipped (cancelled) annotation* is no answer: JSON lists it and it is refused as `skipped_annotation`; JSON-MIN and
  CSV leave it out.
- *A webhook about anything else* than a created or changed annotation is refused as `no_answer`. A deleted annotation
  stays what it was: its reviewer answers `unsure` to take a vote back.
- *No choice or several* is for the ingestion to refuse: `missing_field` and `unknown_decision`.

Sources: HumanSignal/label-studio docs, "Export annotations", "Task format" and "Webhook event reference"; io_storages
(StorageAnnotationSerializer, get_key) and webhooks/models.py; label-studio-sdk, converter/converter.py and
converter/exports/csv2.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

CONTROL: Final = "decision"
"""Name of the choices in the labelling configuration; in JSON-MIN and CSV it names the column."""

FROM_TASK: Final = ("video_id", "policy", "guideline_version", "sample_id")
ROW_COLUMNS: Final = ("annotation_id", "annotator", "updated_at", CONTROL, *FROM_TASK)
"""What a row of JSON-MIN or CSV must have to become an event."""


_ACTION = re.compile(r"[A-Z]+(_[A-Z]+)+")
_ANSWERS = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED")
_ADDRESS = re.compile(r"(\S+@\S+), \d+")
_VERSION = re.compile(r"(label-studio:[^:\s]+:)\S+")


class Skipped(ValueError):
    """An annotation whose annotator skipped the task."""


class NoAnswer(ValueError):
    """A webhook about something else than an annotation that was created or changed."""


def is_export(record: Mapping[str, Any]) -> bool:
    """Whether a record has one of Label Studio's shapes, or is one of `annotated`."""
    return is_task(record) or is_row(record) or _is_annotation(record) or _is_stored(record) or _is_webhook(record)


def is_task(record: Mapping[str, Any]) -> bool:
    """Whether a record is a task of a JSON export."""
    return isinstance(record.get("data"), dict) and isinstance(record.get("annotations"), list)


def is_row(columns: Iterable[str]) -> bool:
    """Whether these are the columns of a JSON-MIN or CSV export."""
    return {"annotation_id", "annotator"} <= set(columns)


def _is_annotation(record: Mapping[str, Any]) -> bool:
    """One of `annotated`, which is how `label_rejects` keeps a refused annotation."""
    return "annotation" in record and isinstance(record.get("data"), dict)


def _is_stored(record: Mapping[str, Any]) -> bool:
    """An annotation as target storage has it, with its task in it."""
    return "result" in record and _data_of(record.get("task")) is not None


def _is_webhook(record: Mapping[str, Any]) -> bool:
    return isinstance(action := record.get("action"), str) and _ACTION.fullmatch(action) is not None


def annotated(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The annotations of an `is_export`, each with its task's data; a row of a JSON-MIN or CSV export as it is.

    Raises NoAnswer, and ValueError for a webhook without what it is about.
    """
    if is_task(record):
        for annotation in record["annotations"]:
            yield {"annotation": annotation, "data": record["data"]}
    elif _is_stored(record):
        yield {
            "annotation": {name: value for name, value in record.items() if name != "task"},
            "data": _data_of(record["task"]),
        }
    elif _is_annotation(record):
        yield record
    elif _is_webhook(record):
        yield from _of_webhook(record)
    elif record.get("annotation_id") not in (None, ""):
        yield record


def _of_webhook(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if (action := record["action"]) not in _ANSWERS:
        raise NoAnswer(f"webhook {action} brings no answer")
    annotations, tasks = (_listed(record.get(name)) for name in ("annotation", "task"))
    data = {str(task.get("id")): _data_of(task) for task in tasks if isinstance(task, dict)}
    for annotation in annotations:
        if not isinstance(annotation, dict):
            raise ValueError(f"webhook {action}: an annotation is an object")
        about = next(iter(data.values()), None) if len(data) == 1 else data.get(str(annotation.get("task")))
        if about is None:
            raise ValueError(f"webhook {action}: annotation {annotation.get('id')!r} comes without its task's data")
        yield {"annotation": annotation, "data": about}
    if not annotations:
        raise ValueError(f"webhook {action} comes without payload: switch send_payload on")


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _data_of(task: object) -> dict[str, Any] | None:
    data = task.get("data") if isinstance(task, dict) else None
    return data if isinstance(data, dict) else None


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
    who, choice = _answered_by(annotation), _choice(annotation.get("result") or [])
    return _fields(annotation, record["data"], annotation.get("id"), who, choice)


def annotation_of(event_id: str) -> str | None:
    """What the event_ids of an annotation's versions begin with; None: an event of another tool."""
    found = _VERSION.fullmatch(event_id)
    return None if found is None else found[1]


def _answered_by(annotation: Mapping[str, Any]) -> Any:
    """Who gave the answer as it stands: whoever changed the annotation, else its annotator."""
    author, editor = annotation.get("completed_by"), annotation.get("updated_by")
    if editor not in (None, "") and _number(editor) != _number(author):
        return _name(editor)
    if not isinstance(author, dict) and (address := _ADDRESS.search(str(annotation.get("created_username")))):
        return address[1]
    return _name(author)


def _number(person: Any) -> Any:
    return person.get("id") if isinstance(person, dict) else person


def _name(person: Any) -> Any:
    return person.get("email") or person.get("id") if isinstance(person, dict) else person


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
