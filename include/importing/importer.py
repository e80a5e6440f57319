"""Lands a pair of score and vote files and writes the policies.yaml that goes with them.

The day's scores are landed on `day` and, unchanged, on the day after: that is when the votes arrive and thresholds are
certified, for videos of that day. Every item is drawn with probability 1, so the sample is the whole file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from include.config.load import DEFAULT_CONFIG
from include.config.model import SMALLEST_SHARE
from include.config.yaml_file import read_yaml, write_yaml
from include.contract.tables import TABLES
from include.files import write_whole
from include.importing.columns import ImportRefused
from include.importing.pair import GUIDELINE, Columns, read_scores, read_votes
from include.warehouse.landing import replaced_day, write_frame

_MOST_OVERLAP = 5
_SAMPLING_SHARE = 0.5

_HEADER = """\
# Written by the importer for {scores} and {votes}. Yours to edit.
#
# The items are taken for an equal-probability sample of a population that looks like them. If they were picked by
# score, by report or by hand, what is certified holds for such items only, and not for what the models meet in service.
#
# - Reviewer minutes are enough to draw every item in every cell, so each inclusion probability is 1.
# - Votes arrive the day after the scores and are final that day: maturity_days is 1.
# - Nothing is in force yet: thresholds start at 1, and as loosen_days is 1 they take what is first certified on the day
#   itself, which a person has to approve.
# - Each market is a region of its own.

"""


@dataclass(frozen=True)
class Imported:
    """What was landed: `day` holds the scores, the day after the votes. Counts are of items unless they say votes."""

    day: date
    markets: dict[str, int]
    missing_scores: dict[str, int]
    votes: int
    raters: int
    voted_items: int
    landing: Path
    config: Path

    @property
    def labels_day(self) -> date:
        return self.day + timedelta(days=1)


def import_pair(
    scores: Path,
    votes: Path,
    columns: Columns,
    *,
    policy: str,
    day: date,
    landing: Path,
    config: Path,
    target_precision: float | None = None,
    confidence: float | None = None,
) -> Imported:
    """Writes the landing partitions of `day` and the day after, and the configuration file `config`.

    Args:
        scores: CSV or Parquet, one row an item: its id, market and a score a model version.
        votes: CSV or Parquet, one row a vote: the item's id, the rater and the answer.
        columns: what the files call these.
        policy: name of the one policy that scores and votes are about.
        day: the day of the scores; votes arrive on the next.
        landing: the platform's folder. The partitions of both days are replaced, each whole.
        config: policies.yaml to write; one that is there and differs is not overwritten.
        target_precision, confidence: in (0, 1); None: the shipped default.

    Raises:
        ImportRefused: the files cannot be used (`read_scores`, `read_votes`), a target or confidence is out of range,
            or `config` holds something else. Nothing is written then.
    """
    asked = {"target_precision": target_precision, "confidence": confidence}
    for name, value in asked.items():
        if value is not None and not SMALLEST_SHARE <= value <= 1 - SMALLEST_SHARE:
            raise ImportRefused(f"{name} {value} is not strictly between 0 and 1, or too close to them")
    scored = read_scores(scores, columns, policy)
    events = read_votes(votes, columns, policy, scored, day)
    items = scored[["video_id", "market"]].drop_duplicates("video_id")
    imported = Imported(
        day=day,
        markets={str(market): int(n) for market, n in items["market"].value_counts().sort_index().items()},
        missing_scores={
            str(version): int(part["score"].isna().sum()) for version, part in scored.groupby("model_version")
        },
        votes=len(events),
        raters=events["reviewer_id"].nunique(),
        voted_items=events["video_id"].nunique(),
        landing=landing,
        config=config,
    )
    settings = _settings(
        policy,
        sorted(columns.scores.values()),
        imported.markets,
        overlap=min(int(events["video_id"].value_counts().max()), _MOST_OVERLAP),
        asked={name: value for name, value in asked.items() if value is not None},
    )
    header = _HEADER.format(scores=scores.name, votes=votes.name)
    text = header + write_yaml(settings)
    if config.exists() and config.read_text(encoding="utf-8") != text:
        raise ImportRefused(f"{config}: is there and says something else; remove it, or import into another folder")
    write_whole(config, text.encode())
    for scored_day in (day, imported.labels_day):
        with replaced_day(landing / "video_scores", scored_day) as folder:
            write_frame(folder / "scores.parquet", TABLES["video_scores"], scored)
    with replaced_day(landing / "reviewer_labels", imported.labels_day) as folder:
        write_frame(folder / "votes.parquet", TABLES["reviewer_labels"], events)
    return imported


def _settings(
    policy: str, versions: list[str], markets: dict[str, int], *, overlap: int, asked: dict[str, float]
) -> dict[str, object]:
    """policies.yaml: the shipped one, with these names, everything drawn and nothing in force."""
    settings = read_yaml(DEFAULT_CONFIG).content
    minutes = {market: round(items * len(versions) * overlap / _SAMPLING_SHARE) for market, items in markets.items()}
    return {
        "defaults": {
            **settings["defaults"],
            **asked,
            "minutes_per_label": 1.0,
            "overlap": overlap,
            "maturity_days": 1,
            "guideline_version": GUIDELINE,
            "initial": {"remove_at": 1.0, "review_at": 1.0},
        },
        "policies": {policy: {"description": f"{policy}, imported", "model_versions": versions}},
        "markets": {market: {"region": market, "reviewer_minutes": need} for market, need in minutes.items()},
        "sampling": {
            **settings["sampling"],
            "minutes_share": _SAMPLING_SHARE,
            "programmes": {"audit": 1.0, "prevalence": 0.0, "golden": 0.0, "training": 0.0},
        },
        "gates": settings["gates"],
        "guardrails": {**settings["guardrails"], "loosen_days": 1, "freezes": []},
        "approval": settings["approval"],
        "retraining": settings["retraining"],
    }
