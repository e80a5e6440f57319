"""The simulated platform: lands its input tables day by day and reacts to what Plumbline publishes.

What is not obvious about it: views are those a video gets before anybody acts on it. `enforcement_log` holds removals
and reviews only; every other scored video was allowed. Each active model version acts by its own cells' thresholds. A
broken feed breaks the export of `video_scores`, not serving. Beside the scenario's model versions score those that were
trained and deployed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.settings import EXPERTS, REVIEWERS
from include.contract.grid import bin_of, first_bin, reaches
from include.contract.tables import N_BINS, REVIEW_QUEUE, TABLES
from include.simulation.deployed import deployed, load_model, scores_by
from include.simulation.enforcement import APPEAL_DAYS, actions, appeals, days_before, read_thresholds
from include.simulation.features import FEATURES, features
from include.simulation.landing import write_csv, write_json_lines, write_scores
from include.simulation.population import ID_SHIFT, Content, Scores, Videos, broken, content, scores, uploads
from include.simulation.reviewers import (
    GOLDEN_DAYS,
    HORIZON_DAYS,
    QUEUE_DAYS,
    answers,
    disputed,
    expert_answers,
    golden,
    queue_answers,
    read_queue,
    with_garbage,
)
from include.simulation.scenario import BrokenFeed, Scenario
from include.warehouse.landing import replaced_day, write_frame

_KEPT_VIDEOS = 10_000_000
"""As many ids are kept with their truth, 80 MB."""


@dataclass(frozen=True)
class DayLanded:
    """What was landed on `day`: rows (lines) by table, and the faults the feed of `video_scores` came with."""

    day: date
    rows: dict[str, int]
    faults: dict[str, float]


@dataclass(frozen=True)
class _Truth:
    """The ids of a day, and what is true of some of them under each policy; all sorted."""

    video_id: NDArray[np.int64]
    violating: dict[str, NDArray[np.int64]]
    hard: dict[str, NDArray[np.int64]]
    """Those that look otherwise than they are."""


class Platform:
    """A platform with known truth.

    Lands every input table under `landing`, the truth under `truth`; answers the review queues exported under
    `queue`; acts by the thresholds.json at `thresholds`, which may not exist yet. `start` is the scenario's day 0.
    Each day is a pure function of the scenario, the models deployed by then, the queues of the days before, the
    thresholds in force and, for appeals, the enforcement log of the days before.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        landing: Path,
        queue: Path,
        thresholds: Path,
        truth: Path,
        start: date,
        models: Path | None = None,
    ) -> None:
        self.scenario = scenario
        self._landing = landing
        self._queue = queue
        self._thresholds = thresholds
        self._truth = truth
        self._models = models
        self.start = start
        self._known: dict[date, _Truth] = {}

    def day_of(self, index: int) -> date:
        """The scenario's day of that number, from 0."""
        return self.start + timedelta(days=index)

    def land_day(self, day: date, *, repaired: bool = False) -> DayLanded:
        """Lands all six input tables of `day`, replacing what was there; a `repaired` feed is never broken.

        Raises ValueError for a day before the start, or a queue or thresholds file that cannot be used.
        """
        videos = self._videos(day)
        rows = {
            **self._land_scores_and_log(videos, repaired=repaired),
            "video_details": self._land_details(videos),
            **self._land_labels(day),
            "golden_labels": self._land_golden(day),
            "appeals": self._land_appeals(day),
        }
        faults: dict[str, float] = {}
        for event in [] if repaired else self.scenario.events:
            if isinstance(event, BrokenFeed) and event.active(videos.index):
                faults |= {name: share for name, share in event.faults.model_dump().items() if share > 0}
        return DayLanded(day, {name: rows[name] for name in TABLES if name in rows}, faults)

    def true_quality(self, day: date, cells_thresholds: pd.DataFrame) -> pd.DataFrame:
        """What automatic removal at given thresholds would truly have achieved on `day`, with all rows counted.

        `cells_thresholds`: columns policy, market, model_version, remove_at. Adds true_precision (NaN if nothing is
        removed), true_recall (of all that violates, scored or not; NaN if nothing does), prevalence and
        violative_view_rate of the cell's videos; precision and recall are NaN for a version that scores nothing that
        day. Order of rows as given. Raises ValueError for a policy or market the platform does not have.
        """
        videos, result = self._videos(day), cells_thresholds.copy()
        for row, here, violating, scored in self._cells(videos, cells_thresholds):
            quality = {
                "prevalence": _ratio(violating.sum(), here.sum()),
                "violative_view_rate": _ratio(videos.views[violating].sum(), videos.views[here].sum()),
                "true_precision": np.nan,
                "true_recall": np.nan,
            }
            if scored is not None:
                removed = here & ~scored.missing & reaches(scored.score, float(result.loc[row, "remove_at"]))
                right = (removed & violating).sum()
                quality["true_precision"] = _ratio(right, removed.sum())
                quality["true_recall"] = _ratio(right, violating.sum())
            for name, value in quality.items():
                result.loc[row, name] = value
        return result

    def oracle(self, day: date, cells: pd.DataFrame) -> pd.DataFrame:
        """The best that who knows the truth of `day` could do by removal alone.

        `cells`: columns policy, market, model_version, target (a precision, in (0, 1)), lowest_remove_at. Adds
        remove_at, the lowest multiple of 0.001 from lowest_remove_at on at which removals are right as often as asked
        (1: none is), and true_recall there, as in `true_quality`, whose errors it raises.
        """
        videos, result = self._videos(day), cells.assign(remove_at=1.0, true_recall=np.nan)
        for row, here, violating, scored in self._cells(videos, cells):
            if scored is None:
                continue
            bins = bin_of(scored.score[here & ~scored.missing])
            bad = violating[here & ~scored.missing]
            above, right = (
                np.bincount(bins, weights=weights, minlength=N_BINS)[::-1].cumsum()[::-1] for weights in (None, bad)
            )
            fine = np.flatnonzero((right >= result.loc[row, "target"] * above) & (above > 0))
            fine = fine[fine >= first_bin(float(result.loc[row, "lowest_remove_at"]))]
            if fine.size:
                result.loc[row, "remove_at"] = fine[0] / N_BINS
            found = right[fine[0]] if fine.size else 0.0
            result.loc[row, "true_recall"] = found / violating.sum() if violating.any() else np.nan
        return result

    def _cells(
        self, videos: Videos, cells: pd.DataFrame
    ) -> Iterator[tuple[Any, NDArray[np.bool_], NDArray[np.bool_], Scores | None]]:
        """By row of `cells`: its index, the cell's videos, those that violate, and its scores (None: it has none)."""
        for column, allowed in (("policy", list(self.scenario.policies)), ("market", list(self.scenario.markets))):
            if unknown := sorted(set(cells[column]) - set(allowed)):
                raise ValueError(f"{column}: unknown {', '.join(unknown)}; allowed: {', '.join(allowed)}")
        markets = list(self.scenario.markets)
        for policy, of_policy in cells.groupby("policy", sort=True):
            truth = content(self.scenario, videos, str(policy))
            by_version = {
                version: self._scores(videos, str(policy), version, truth)
                for version in self._active(str(policy), videos)
                if version in set(of_policy["model_version"])
            }
            for cell in of_policy.itertuples():
                here = videos.market == markets.index(str(cell.market))
                yield cell.Index, here, truth.violating & here, by_version.get(str(cell.model_version))

    def _videos(self, day: date) -> Videos:
        index = (day - self.start).days
        if index < 0:
            raise ValueError(f"{day} is before the first simulated day, {self.start}")
        return uploads(self.scenario, day, index)

    def features(self, policy: str, video_ids: NDArray[np.int64]) -> pd.DataFrame:
        """What a model may learn from, of each video, in the order given: include.simulation.features.

        Raises ValueError for what is no video of this platform.
        """
        days = (video_ids >> ID_SHIFT) // 86_400_000
        parts = []
        for number in np.unique(days).tolist():
            videos, rows = self._videos(date(1970, 1, 1) + timedelta(days=number)), np.flatnonzero(days == number)
            if not (known := _among(video_ids[rows], videos.video_id)).all():
                raise ValueError(f"video_id {video_ids[rows][~known][0]} is no video of this platform")
            of_day = features(self.scenario, videos, policy, content(self.scenario, videos, policy))
            parts.append(of_day.iloc[np.searchsorted(videos.video_id, video_ids[rows])].set_index(rows))
        return pd.concat(parts).sort_index() if parts else pd.DataFrame(columns=[*FEATURES, "market"])

    def _active(self, policy: str, videos: Videos) -> list[str]:
        models = self.scenario.policies[policy].models
        trained = {} if self._models is None else deployed(self._models, policy, videos.day)
        return sorted({version for version in models if models[version].active(videos.index)} | set(trained))

    def _scores(self, videos: Videos, policy: str, version: str, truth: Content) -> Scores:
        if version in self.scenario.policies[policy].models or self._models is None:
            return scores(self.scenario, videos, policy, version, truth)
        model = load_model(deployed(self._models, policy, videos.day)[version])
        return scores_by(model, self.scenario, videos, truth, policy=policy, model_version=version)

    def _land_scores_and_log(self, videos: Videos, *, repaired: bool) -> dict[str, int]:
        thresholds = read_thresholds(self._thresholds)
        log, positives, n_scores = [], [], 0
        with replaced_day(self._landing / "video_scores", videos.day) as folder:
            for policy in sorted(self.scenario.policies):
                truth = content(self.scenario, videos, policy)
                rows = np.flatnonzero(truth.violating)
                positives.append(_violating_rows(self.scenario, videos, policy, rows))
                for version in self._active(policy, videos):
                    good = self._scores(videos, policy, version, truth)
                    log.append(actions(good, thresholds))
                    landed = good if repaired else broken(self.scenario, videos, good)
                    write_scores(folder / f"{version}.parquet", landed)
                    n_scores += len(landed.video_id)
        enforced = pd.concat(log, ignore_index=True)
        with replaced_day(self._landing / "enforcement_log", videos.day) as folder:
            write_frame(folder / "enforcement_log.parquet", TABLES["enforcement_log"], enforced)
        with replaced_day(self._truth, videos.day) as folder:
            pd.concat(positives, ignore_index=True).to_parquet(folder / "violating.parquet", index=False)
        return {"video_scores": n_scores, "enforcement_log": len(enforced)}

    def _land_details(self, videos: Videos) -> int:
        """Titles that tell nothing of a video's truth."""
        ids = pd.Series(videos.video_id)
        details = pd.DataFrame({"video_id": ids, "title": "Video " + ids.astype("str"), "description": None})
        with replaced_day(self._landing / "video_details", videos.day) as folder:
            write_frame(folder / "video_details.parquet", TABLES["video_details"], details)
        return len(details)

    def _land_labels(self, day: date) -> dict[str, int]:
        arrived, asked = [], []
        for asked_on in days_before(day, HORIZON_DAYS):
            if (queue := self._exported(asked_on)) is None:
                continue
            events = self._answers(queue, asked_on)
            arrived.append(events[events["arrives"] == day])
            asked.append(queue["video_id"].to_numpy())
            if (day - asked_on).days <= QUEUE_DAYS and (sent := self._sent_to_review(asked_on, queue)) is not None:
                events = self._queue_answers(sent, asked_on)
                arrived.append(events[events["arrives"] == day])
                asked.append(sent["video_id"].to_numpy())
            if (looks := self._exported(asked_on, EXPERTS)) is not None:
                events = expert_answers(self.scenario, looks, self._violating(looks), day=asked_on)
                arrived.append(events[events["arrives"] == day])
        lines: dict[str, list[dict[str, object] | str]] = {"jsonl": [], "csv": []}
        if arrived:
            events = pd.concat(arrived, ignore_index=True).sort_values(["labelled_at", "event_id"], kind="stable")
            ids = self._truth_of(day - timedelta(days=1)).video_id
            unsampled = np.setdiff1d(np.append(ids, ids[-1] + 1), np.concatenate(asked))
            lines = with_garbage(self.scenario, events, unsampled, arrived=day)
        with replaced_day(self._landing / "reviewer_labels", day) as folder:
            if lines["jsonl"]:
                write_json_lines(folder / "labels.jsonl", lines["jsonl"])
            if lines["csv"]:
                write_csv(folder / "vendor.csv", TABLES["reviewer_labels"].column_names, lines["csv"])
        return {"reviewer_labels": sum(map(len, lines.values()))}

    def _land_golden(self, day: date) -> int:
        queue = self._exported(day - timedelta(days=GOLDEN_DAYS))
        if queue is None:
            labels = pd.DataFrame(columns=list(TABLES["golden_labels"].column_names))
        else:
            if self.scenario.answers.golden_from == "disputes":
                queue = disputed(queue, self._answers(queue, day - timedelta(days=GOLDEN_DAYS)))
            labels = golden(self.scenario, queue, self._violating(queue))
        with replaced_day(self._landing / "golden_labels", day) as folder:
            write_frame(folder / "golden_labels.parquet", TABLES["golden_labels"], labels)
        return len(labels)

    def _land_appeals(self, day: date) -> int:
        decided = [pd.DataFrame(columns=list(TABLES["appeals"].column_names))]
        for removed_on in days_before(day, APPEAL_DAYS):
            path = self._landing / "enforcement_log" / f"ds={removed_on}" / "enforcement_log.parquet"
            if removed_on < self.start or not path.exists():
                continue
            log = pd.read_parquet(path, filters=[("action", "==", "remove")])
            removed = log.drop_duplicates(["video_id", "policy"], ignore_index=True)
            if len(removed):
                violating = self._violating(removed)
                rates = self.scenario.appeals
                decided.append(
                    appeals(removed, violating, removed_on=removed_on, day=day, seed=self.scenario.seed, rates=rates)
                )
        rows = pd.concat(decided[1:] or decided, ignore_index=True).sort_values("event_id", ignore_index=True)
        with replaced_day(self._landing / "appeals", day) as folder:
            write_frame(folder / "appeals.parquet", TABLES["appeals"], rows)
        return len(rows)

    def _exported(self, day: date, whose: str = REVIEWERS) -> pd.DataFrame | None:
        """The queues exported for `day` as one, or None if there are none (or none worth asking)."""
        paths = sorted((self._queue / f"ds={day}").glob(f"{whose}_*.csv"))
        if day < self.start or not paths:
            return None
        queue = pd.concat([read_queue(path, self.scenario) for path in paths])
        return queue.sort_values("sample_id", ignore_index=True) if len(queue) else None

    def _answers(self, queue: pd.DataFrame, asked_on: date) -> pd.DataFrame:
        """The `answers` of reviewers to the queue of a day."""
        violating, hard = self._violating(queue), self._true_of(queue, "hard")
        return answers(self.scenario, queue, violating, hard, day=asked_on, index=(asked_on - self.start).days)

    def _sent_to_review(self, day: date, queue: pd.DataFrame) -> pd.DataFrame | None:
        """What serving sent to review on `day`, as a queue; None: nothing, or what became of it is not delivered.

        `queue`: what was exported for the day, for its guideline versions.
        """
        path = self._landing / "enforcement_log" / f"ds={day}" / "enforcement_log.parquet"
        if self.scenario.review_queue is None or not path.exists():
            return None
        columns, guideline = (
            ["video_id", "policy", "market"],
            dict(zip(queue["policy"], queue["guideline_version"], strict=True)),
        )
        sent = pd.read_parquet(path, columns=columns, filters=[("action", "==", "review")]).drop_duplicates(columns[:2])
        sent = sent[sent["policy"].isin(list(guideline))].reset_index(drop=True)
        if sent.empty:
            return None
        sample_id = f"{REVIEW_QUEUE}:" + sent["policy"] + ":" + sent["video_id"].astype("str")
        return sent.assign(sample_id=sample_id, guideline_version=sent["policy"].map(guideline), overlap=1)

    def _queue_answers(self, sent: pd.DataFrame, sent_on: date) -> pd.DataFrame:
        assert self.scenario.review_queue is not None
        truth, index = self._violating(sent), (sent_on - self.start).days
        return queue_answers(self.scenario, self.scenario.review_queue, sent, truth, day=sent_on, index=index)

    def _violating(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        return self._true_of(rows, "violating")

    def _true_of(self, asked: pd.DataFrame, what: Literal["violating", "hard"]) -> NDArray[np.bool_]:
        """Whether it is true of each (video_id, policy), looked up on the day the id says.

        Raises ValueError for no such video.
        """
        video_id, policy = asked["video_id"].to_numpy(), asked["policy"].to_numpy()
        result = np.zeros(len(video_id), dtype=bool)
        days = (video_id >> ID_SHIFT) // 86_400_000
        for number in np.unique(days).tolist():
            truth = self._truth_of(date(1970, 1, 1) + timedelta(days=number))
            here = days == number
            known = _among(video_id[here], truth.video_id)
            if not known.all():
                raise ValueError(f"video_id {video_id[here][~known][0]} is no video of this platform")
            for name in sorted(set(policy[here])):
                rows = here & (policy == name)
                result[rows] = _among(video_id[rows], getattr(truth, what)[name])
        return result

    def _truth_of(self, day: date) -> _Truth:
        """Computed again from the scenario, never read back; kept as long as there is room, the newest days longest."""
        if day not in self._known:
            videos = self._videos(day)
            of_policy = {name: content(self.scenario, videos, name) for name in sorted(self.scenario.policies)}
            self._known[day] = _Truth(
                videos.video_id,
                {name: videos.video_id[found.violating] for name, found in of_policy.items()},
                {name: videos.video_id[found.hard] for name, found in of_policy.items()},
            )
            while len(self._known) > 1 and sum(len(known.video_id) for known in self._known.values()) > _KEPT_VIDEOS:
                del self._known[min(self._known.keys() - {day})]  # golden videos of long ago are asked about again
        return self._known[day]


def _violating_rows(scenario: Scenario, videos: Videos, policy: str, rows: NDArray[np.intp]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "video_id": videos.video_id[rows],
            "policy": policy,
            "market": np.array(list(scenario.markets), dtype=object)[videos.market[rows]],
            "views": videos.views[rows],
        }
    )


def _among(ids: NDArray[np.int64], ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of `ids` are in `ordered`; np.isin would sort a whole day's ids each time."""
    place = np.searchsorted(ordered, ids)
    found: NDArray[np.bool_] = ordered[np.minimum(place, len(ordered) - 1)] == ids if len(ordered) else place < 0
    return found


def _ratio(part: np.integer, whole: np.integer) -> float:
    return float(part) / float(whole) if whole else float("nan")
