"""Simulated reviewers: who is asked, what they answer and when it arrives. They never see a score.

Every choice hangs on the permanent random number of (sample_id, reviewer): the same question gets the same answer,
whatever else is in the queue and however often a day is landed.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from include.contract.tables import REVIEW_QUEUE, TABLES
from include.simulation.randomness import hashed, keys_of, mixed, uniform
from include.simulation.scenario import ReviewersChange, ReviewQueue, Scenario, SimulatedReviewer

HORIZON_DAYS = 14
"""No answer arrives more than this many days after the day of its queue."""

GOLDEN_DAYS = 2
"""Experts settle their share of a queue this many days after its day."""

QUEUE_COLUMNS = ("sample_id", "video_id", "policy", "market", "guideline_version", "overlap")
"""The columns of an exported queue that reviewers use; assigned_to too, where it is there."""

EXPERT_HOURS = 6.0
"""Median time from the end of a queue's day to an expert's answer."""

GARBAGE = ("unreadable", "unknown_decision", "missing_field", "future_date", "never_sampled")

QUEUE_HOURS = 4.0
"""Median time from the end of a day to the answer of the platform's review queue ..."""
QUEUE_DAYS = 4
"""... which arrives within so many days."""

_HOURS_SIGMA = 0.6
_LATE_DAYS = 4
_COLUMNS = TABLES["reviewer_labels"].column_names


def read_queue(path: Path, scenario: Scenario) -> pd.DataFrame:
    """An exported review queue, sorted by sample_id. Raises ValueError naming file, column and row."""
    texts = dict.fromkeys(("sample_id", "guideline_version", "assigned_to"), "str")
    try:
        queue = pd.read_csv(path, dtype={**texts, "video_id": "int64", "overlap": "int64"})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if missing := [name for name in QUEUE_COLUMNS if name not in queue]:
        raise ValueError(f"{path}: no column {', '.join(missing)}")
    for column, allowed in (("policy", list(scenario.policies)), ("market", list(scenario.markets))):
        for line, name in enumerate(queue[column], start=2):
            if name not in allowed:
                raise ValueError(f"{path}: line {line}: unknown {column} {name}; allowed: {', '.join(allowed)}")
    return queue.sort_values("sample_id", ignore_index=True)


def reviewers_on(scenario: Scenario, index: int) -> dict[str, SimulatedReviewer]:
    """The reviewers as they are for videos of day `index`, sorted by name."""
    reviewers = {name: scenario.reviewers[name] for name in sorted(scenario.reviewers)}
    for event in scenario.events:
        if isinstance(event, ReviewersChange) and event.active(index):
            changed = event.model_dump(exclude_none=True, exclude={"kind", "from_day", "to_day", "reviewers"})
            reviewers |= {name: reviewers[name].model_copy(update=changed) for name in event.reviewers}
    return reviewers


def answers(
    scenario: Scenario,
    queue: pd.DataFrame,
    violating: NDArray[np.bool_],
    hard: NDArray[np.bool_] | None = None,
    *,
    day: date,
    index: int,
) -> pd.DataFrame:
    """All events the queue of `day` will ever cause, in order of arrival.

    `violating`: the truth of each row of `queue`; `hard`: whether it looks otherwise (None: nothing does). Columns:
    those of `reviewer_labels`, and `arrives` (date), `format`, `key` (uint64, of the event). A correction supersedes a
    slip: the opposite of the reviewer's opinion.
    """
    reviewers = reviewers_on(scenario, index)
    rows, who = _asked(queue, reviewers, scenario.seed)
    names = np.array(list(reviewers), dtype=object)
    keys = np.empty(len(rows), dtype=np.uint64)
    question = mixed(keys_of(queue["sample_id"]), scenario.seed)
    for position, name in enumerate(names):
        keys[who == position] = mixed(question[rows[who == position]], "answer", name)

    def of(attribute: str) -> NDArray[np.float64]:
        return np.array([getattr(reviewer, attribute) for reviewer in reviewers.values()])[who]

    unsure_of_violating = [
        reviewer.unsure_share if reviewer.unsure_share_violating is None else reviewer.unsure_share_violating
        for reviewer in reviewers.values()
    ]
    unsure = np.where(violating[rows], np.array(unsure_of_violating)[who], of("unsure_share"))

    correct = uniform(keys, "eye") < np.where(violating[rows], of("sensitivity"), of("specificity"))
    if hard is not None:
        correct &= ~(hard[rows] & (uniform(keys, "deceived") < of("deceived_share")))
    says = violating[rows] == correct
    hours = of("median_hours") * np.exp(_HOURS_SIGMA * ndtri(np.clip(uniform(keys, "hours"), 1e-9, 1 - 1e-9)))
    late = uniform(keys, "late") < scenario.answers.late_share
    named = uniform(keys, "named") >= scenario.answers.without_sample_id_share
    frame = pd.DataFrame(
        {
            "key": keys,
            "video_id": queue["video_id"].to_numpy()[rows],
            "policy": queue["policy"].to_numpy()[rows],
            "reviewer_id": names[who],
            "decision": _decision(says, uniform(keys, "unsure") < unsure),
            "seconds": (np.minimum(hours, (HORIZON_DAYS - _LATE_DAYS - 3) * 24.0) * 3600).astype(np.int64),
            "guideline_version": queue["guideline_version"].to_numpy()[rows],
            "sample_id": queue["sample_id"].to_numpy(dtype=object)[rows],
            "supersedes": None,
            "late": np.where(late, 1 + (uniform(keys, "how late") * _LATE_DAYS).astype(np.int64), 0),
            "format": np.array([reviewer.format for reviewer in reviewers.values()], dtype=object)[who],
            "says": says,
        }
    )
    frame["event_id"] = [f"label-{key:016x}" for key in keys.tolist()]
    frame.loc[~named, "sample_id"] = None
    frame = frame[uniform(keys, "answered") >= scenario.answers.unanswered_share]
    return _delivered(scenario, _with_corrections(scenario, frame), day)


def queue_answers(
    scenario: Scenario,
    settings: ReviewQueue,
    sent: pd.DataFrame,
    violating: NDArray[np.bool_],
    *,
    day: date,
    index: int,
) -> pd.DataFrame:
    """`answers` of the platform's review queue to what serving `sent` there on `day`: columns of a queue."""
    quick = {
        name: reviewer.model_copy(update=_flagged(reviewer, settings))
        for name, reviewer in reviewers_on(scenario, index).items()
    }
    delivered = scenario.answers.model_copy(update={"unanswered_share": settings.left_share, "late_share": 0.0})
    there = scenario.model_copy(update={"reviewers": quick, "answers": delivered, "events": []})
    return answers(there, sent, violating, day=day, index=index).assign(sample_id=REVIEW_QUEUE)


def _flagged(reviewer: SimulatedReviewer, settings: ReviewQueue) -> dict[str, float]:
    return {"specificity": reviewer.specificity * (1 - settings.flagged_share), "median_hours": QUEUE_HOURS}


def expert_answers(scenario: Scenario, queue: pd.DataFrame, violating: NDArray[np.bool_], *, day: date) -> pd.DataFrame:
    """`answers` of experts to the second looks of `day`: always right, given for nearly all; one a row of `queue`."""
    keys = mixed(keys_of(queue["sample_id"]), scenario.seed, "expert")
    hours = EXPERT_HOURS * np.exp(_HOURS_SIGMA * ndtri(np.clip(uniform(keys, "hours"), 1e-9, 1 - 1e-9)))
    assigned = queue["assigned_to"].fillna("").to_numpy(dtype=object)
    frame = pd.DataFrame(
        {
            "key": keys,
            "video_id": queue["video_id"].to_numpy(),
            "policy": queue["policy"].to_numpy(),
            "reviewer_id": np.where(assigned == "", "expert-" + queue["market"].astype(object), assigned),
            "decision": _decision(violating),
            "seconds": (np.minimum(hours, (HORIZON_DAYS - _LATE_DAYS - 3) * 24.0) * 3600).astype(np.int64),
            "guideline_version": queue["guideline_version"].to_numpy(),
            "sample_id": queue["sample_id"].to_numpy(dtype=object),
            "supersedes": None,
            "late": 0,
            "format": "jsonl",
            "event_id": [f"expert-{key:016x}" for key in keys.tolist()],
        }
    )
    return _delivered(scenario, frame[uniform(keys, "answered") >= scenario.answers.unanswered_share], day)


def disputed(queue: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """The rows of `queue` about whose video and policy `events`, its `answers`, disagree."""
    sure = events[events["decision"] != "unsure"]
    opinions = sure.groupby(["video_id", "policy"])["decision"].nunique()
    contested = opinions.index[opinions > 1]
    return queue[pd.MultiIndex.from_frame(queue[["video_id", "policy"]]).isin(contested)]


def golden(scenario: Scenario, queue: pd.DataFrame, violating: NDArray[np.bool_]) -> pd.DataFrame:
    """Rows of `golden_labels`: the share of `queue` that experts settle, without error."""
    chosen = uniform(mixed(keys_of(queue["sample_id"]), scenario.seed), "golden") < scenario.answers.golden_share
    labels = queue.assign(violating=violating)[chosen].drop_duplicates(["video_id", "policy"])
    return labels[list(TABLES["golden_labels"].column_names)].sort_values(["video_id", "policy"], ignore_index=True)


def with_garbage(
    scenario: Scenario, events: pd.DataFrame, unsampled: NDArray[np.int64], *, arrived: date
) -> dict[str, list[dict[str, object] | str]]:
    """The lines of each format's file: the events as they arrived on `arrived`, and useless rows between them.

    `unsampled`: ids of videos nobody asked about, from which some of the garbage is made.
    """
    lines: dict[str, list[dict[str, object] | str]] = {"jsonl": [], "csv": []}
    keys = events["key"].to_numpy(dtype=np.uint64)
    spoilt = uniform(keys, "garbage", arrived) < scenario.answers.garbage_share
    kinds = (uniform(keys, "kind", arrived) * len(GARBAGE)).astype(np.int64)
    for row, bad, kind in zip(_rows(events), spoilt, kinds, strict=True):
        target = lines[str(row.pop("format"))]
        target.append(row)
        if bad:
            target.append(_garbage(row, GARBAGE[kind], unsampled, arrived, csv=target is lines["csv"]))
    return lines


def _asked(
    queue: pd.DataFrame, reviewers: dict[str, SimulatedReviewer], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(row of the queue, position of the reviewer): those the row is assigned to, else `overlap` of the market's.

    Weighted sampling without replacement by exponential ranks (Efraimidis and Spirakis, 2006), the weight being speed.
    """
    keys = mixed(keys_of(queue["sample_id"]), seed)
    rank = np.empty((len(queue), len(reviewers)))
    for position, (name, reviewer) in enumerate(reviewers.items()):
        rank[:, position] = -np.log1p(-uniform(keys, "asked", name)) / reviewer.speed
        rank[~queue["market"].isin(reviewer.markets).to_numpy(), position] = np.inf
    if "assigned_to" in queue:
        for row, names in enumerate(queue["assigned_to"].fillna("")):
            if names:
                rank[row] = [0 if name in names.split(";") else np.inf for name in reviewers]
    place = rank.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    chosen = (place < queue["overlap"].to_numpy()[:, None]) & np.isfinite(rank)
    return np.nonzero(chosen)  # type: ignore[return-value]


def _decision(says: NDArray[np.bool_], unsure: NDArray[np.bool_] | bool = False) -> NDArray[np.object_]:
    return np.where(unsure, "unsure", np.where(says, "violating", "not_violating")).astype(object)


def _with_corrections(scenario: Scenario, frame: pd.DataFrame) -> pd.DataFrame:
    keys = frame["key"].to_numpy(dtype=np.uint64)
    slip = (uniform(keys, "slip") < scenario.answers.correction_share) & (frame["decision"] != "unsure").to_numpy()
    correction = frame[slip].assign(
        event_id=frame.loc[slip, "event_id"] + "-c",
        supersedes=frame.loc[slip, "event_id"],
        key=mixed(keys[slip], "correction"),
        seconds=frame.loc[slip, "seconds"] + 600 + (uniform(keys[slip], "second thoughts") * 43_200).astype(np.int64),
    )
    frame = frame.copy()
    frame.loc[slip, "decision"] = _decision(~frame.loc[slip, "says"].to_numpy(dtype=bool))
    return pd.concat([frame, correction], ignore_index=True)


def _delivered(scenario: Scenario, frame: pd.DataFrame, day: date) -> pd.DataFrame:
    """Sets labelled_at and arrival, and delivers some events twice, the second time that day or the next."""
    ended = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    frame["labelled_at"] = pd.Timestamp(ended) + pd.to_timedelta(frame["seconds"], unit="s")
    frame["after"] = 1 + frame["seconds"] // 86_400 + frame["late"]
    keys = frame["key"].to_numpy(dtype=np.uint64)
    twice = uniform(keys, "twice") < scenario.answers.duplicate_share
    again = frame[twice].assign(
        after=frame.loc[twice, "after"] + (uniform(keys[twice], "again") < 0.5),
        key=mixed(keys[twice], "again"),
    )
    frame = pd.concat([frame, again], ignore_index=True)
    frame["arrives"] = [day + timedelta(days=int(after)) for after in frame["after"]]
    frame = frame.sort_values(["after", "labelled_at", "event_id"], kind="stable", ignore_index=True)
    return frame[["key", "arrives", "format", *_COLUMNS]]


def _rows(events: pd.DataFrame) -> list[dict[str, object]]:
    frame = events[[*_COLUMNS, "format"]].astype(object)
    frame["labelled_at"] = [stamp.strftime("%Y-%m-%dT%H:%M:%SZ") for stamp in events["labelled_at"]]
    return frame.where(frame.notna(), None).to_dict("records")  # type: ignore[return-value]


def _garbage(
    row: dict[str, object], kind: str, unsampled: NDArray[np.int64], arrived: date, *, csv: bool
) -> dict[str, object] | str:
    number = hashed(row["event_id"], "garbage", arrived)
    bad = row | {"event_id": f"label-{number:016x}", "supersedes": None}
    if kind == "unreadable":
        text = ",".join(map(str, bad.values())) if csv else json.dumps(bad)
        return text[: len(text) // 3]
    if kind == "unknown_decision":
        return bad | {"decision": "spam"}
    if kind == "missing_field":
        field = ("event_id", "video_id", "policy", "reviewer_id", "decision", "labelled_at")[number % 6]
        return {name: value for name, value in bad.items() if name != field}
    if kind == "future_date":
        return bad | {"labelled_at": f"{arrived + timedelta(days=365)}T00:00:00Z"}
    return bad | {"video_id": int(unsampled[number % len(unsampled)]), "sample_id": None}
