"""A weighted training set from labelled draws, written row group by row group. Frames in, files and a profile out.

Rows of the probability sample weigh 1 / inclusion probability, so that weighted sums estimate the platform's
video-days; what was picked for training alone has no weight and says so. Where a row belongs, train, validation or
test, is a hash of its video, or of the group of copies that it is one of where the platform says so: the same in every
snapshot. No video ever changes sides, no copy of it stands on the other side, and the test set only ever grows. What
was picked for training never enters the test set, and golden items, whose answers grade reviewers, and their copies
enter nothing but the test set. Who reviewed is not in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.files import written_whole

if TYPE_CHECKING:
    import pyarrow as pa

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
SHARES = {TRAIN: 0.70, VALIDATION: 0.15, TEST: 0.15}
GROUP_ROWS = 65_536
"""Rows of a row group, and of what the digest is taken over at once."""

_KEY = ["sampled_on", "video_id"]
COLUMNS = (
    *("video_id", "policy", "market", "model_version", "score", "p_violating", "votes", "weight", "programme"),
    *("guideline_version", "split", "sampled_on", "probability_sample", "cluster_id"),
)
_NULLABLE = ("score", "weight", "cluster_id")
_LEFT_OUT = ("training picks of the test side", "golden items of the training side")


def snapshot_rows(
    sample: pd.DataFrame, golden: set[int], policy: str, model_version: str, guideline_version: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The labelled draws of one policy and model version as rows of a snapshot, sorted by day and video.

    Args:
        sample: labelled draws: video_id, policy, market, model_version, score, p_violating, votes, programme,
            inclusion_probability in (0, 1], or NaN for what was picked for training alone, sampled_on; and cluster_id
            where the platform says which videos are copies (missing: no copy). A video drawn on two days is two draws.
        golden: videos that experts settled to grade reviewers by.
        guideline_version: that the labels were made under.

    Returns:
        COLUMNS, and how many rows were left out, by why.

    Raises:
        ValueError: an inclusion probability out of range, or a video drawn twice on a day.
    """
    rows = sample[(sample["policy"] == policy) & (sample["model_version"] == model_version)]
    pi = rows["inclusion_probability"].to_numpy(dtype=float)
    picked = np.isnan(pi)
    bad = ~(((pi > 0) & (pi <= 1)) | picked)
    if bad.any():
        row = rows.iloc[int(np.argmax(bad))]
        raise ValueError(f"inclusion_probability: {pi[bad][0]} of video {row['video_id']} is not in (0, 1]")
    twice = rows.duplicated(_KEY)
    if twice.any():
        row = rows[twice].iloc[0]
        raise ValueError(f"video_id: {row['video_id']} is drawn twice on {row['sampled_on']}")
    known = rows["cluster_id"] if "cluster_id" in rows else pd.Series(None, index=rows.index, dtype=float)
    rows = rows.assign(cluster_id=known.astype("Int64"))
    group = _group_of(rows)
    split = split_of(group)
    is_golden = rows["video_id"].isin(golden).to_numpy(bool)
    test, settled = split == TEST, np.isin(group, group[is_golden])
    made = rows.assign(weight=1 / pi, probability_sample=~picked, split=split, guideline_version=guideline_version)
    kept = made[~(picked & test) & ~(settled & ~test)]
    left = dict(zip(_LEFT_OUT, (int((picked & test).sum()), int((settled & ~test).sum())), strict=True))
    return kept.sort_values(_KEY, ignore_index=True)[list(COLUMNS)], left


def split_of(group: NDArray[np.int64]) -> NDArray[np.object_]:
    """Train, validation or test of each video, by the id of its group of copies, or its own.

    A hash of the id (splitmix64's finaliser), the same for ever.
    """
    h = group.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    u = ((h ^ (h >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53
    bounds = np.cumsum([SHARES[name] for name in SPLITS])[:-1]
    return np.array(SPLITS, dtype=object)[np.searchsorted(bounds, u, side="right")]


def _group_of(rows: pd.DataFrame) -> NDArray[np.int64]:
    """What a row is never parted from: the id of the copies' original, or its own."""
    return rows["cluster_id"].fillna(rows["video_id"]).to_numpy(np.int64)


@dataclass
class Profile:
    """What a snapshot's rows add up to.

    Attributes:
        digest: SHA-256 (hex) of the rows' values, whatever chunks they came in.
        groups: by (split, market): rows, positive (p_violating of at least one half), violating (sum of p_violating),
            weight, weight2 (its squares), unweighted (rows without one).
        first_day, last_day: of the draws.
        least_weight, most_weight: None: no row has one.
        out_of_range: rows with a score or a p_violating outside [0, 1].
        misplaced: rows in another split than the hash of their video, or of its copies, says.
        golden_outside_test: golden items in the train or the validation set.
    """

    digest: str = ""
    groups: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    first_day: date | None = None
    last_day: date | None = None
    least_weight: float | None = None
    most_weight: float | None = None
    out_of_range: int = 0
    misplaced: int = 0
    golden_outside_test: int = 0

    @property
    def rows(self) -> int:
        return int(sum(group["rows"] for group in self.groups.values()))

    def total(self, what: str, **chosen: str) -> float:
        """The sum over the groups of a split or a market."""
        wanted = [
            group[what]
            for (split, market), group in self.groups.items()
            if chosen.get("split", split) == split and chosen.get("market", market) == market
        ]
        return float(sum(wanted))

    @property
    def effective_n(self) -> float:
        """Kish's effective sample size of the weights; 0 where there are none."""
        squares = self.total("weight2")
        return self.total("weight") ** 2 / squares if squares else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "rows": self.rows,
            "positive": int(self.total("positive")),
            "effective_n": round(self.effective_n, 3),
            "first_day": None if self.first_day is None else self.first_day.isoformat(),
            "last_day": None if self.last_day is None else self.last_day.isoformat(),
            "weights": [self.least_weight, self.most_weight],
            "out_of_range": self.out_of_range,
            "misplaced": self.misplaced,
            "golden_outside_test": self.golden_outside_test,
            "groups": [
                {"split": split, "market": market, **{name: round(value, 6) for name, value in group.items()}}
                for (split, market), group in sorted(self.groups.items())
            ],
        }


def write_snapshot(chunks: Iterable[pd.DataFrame], file: Path, golden: Collection[int] = ()) -> Profile:
    """Writes the rows as one Parquet file, in bounded memory, and profiles them.

    Args:
        chunks: frames of COLUMNS, by rising day and video over all of them.
        golden: golden items, to be looked for.

    Raises:
        ValueError: rows that do not rise, so that a video may be there twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    profile, digest, last = Profile(), hashlib.sha256(), None
    with written_whole(file) as target, pq.ParquetWriter(target, arrow_schema(), compression="zstd") as writer:
        for batch in _regrouped(chunks):
            last = _rising(batch, last)
            table = pa.Table.from_pandas(batch, schema=arrow_schema(), preserve_index=False)
            _digest(digest, table)
            _profile(profile, batch, golden)
            writer.write_table(table, row_group_size=GROUP_ROWS)
    profile.digest = digest.hexdigest()
    return profile


def arrow_schema() -> pa.Schema:
    """Of a snapshot's file."""
    import pyarrow as pa

    types = {
        **dict.fromkeys(("video_id", "votes", "cluster_id"), pa.int64()),
        **dict.fromkeys(("score", "p_violating", "weight"), pa.float64()),
        "sampled_on": pa.date32(),
        "probability_sample": pa.bool_(),
    }
    return pa.schema([pa.field(name, types.get(name, pa.string()), name in _NULLABLE) for name in COLUMNS])


def _regrouped(chunks: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
    """The same rows, GROUP_ROWS at a time."""
    waiting: list[pd.DataFrame] = []
    for chunk in chunks:
        waiting.append(chunk)
        while sum(map(len, waiting)) >= GROUP_ROWS:
            rows = pd.concat(waiting, ignore_index=True)
            yield rows.iloc[:GROUP_ROWS]
            waiting = [rows.iloc[GROUP_ROWS:]]
    if waiting and (rest := pd.concat(waiting, ignore_index=True)).size:
        yield rest


def _rising(rows: pd.DataFrame, last: tuple[date, int] | None) -> tuple[date, int]:
    keys = list(zip(rows["sampled_on"], rows["video_id"], strict=True))
    before = [last, *keys[:-1]] if last is not None else keys[:-1]
    after = keys if last is not None else keys[1:]
    for one, other in zip(before, after, strict=True):
        if other <= one:
            raise ValueError(f"video_id: {other[1]} of {other[0]} comes after {one[1]} of {one[0]}: twice, or unsorted")
    return keys[-1]


def _digest(digest: Any, table: pa.Table) -> None:
    """Adds the rows' values, column by column, to the hash: NULL flags, then the values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(table.column_names, table.columns, strict=True):
        values = column.combine_chunks()
        digest.update(f"\n{name} {values.type} {len(values)}\n".encode())
        digest.update(pc.is_null(values).cast(pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_string(values.type):
            encoded = pc.dictionary_encode(values)
            digest.update("\0".join(encoded.dictionary.to_pylist()).encode())
            digest.update(encoded.indices.fill_null(-1).cast(pa.int64()).to_numpy(zero_copy_only=False).tobytes())
        elif pa.types.is_date(values.type):
            digest.update(values.cast(pa.int32()).to_numpy(zero_copy_only=False).tobytes())
        elif pa.types.is_boolean(values.type):
            digest.update(values.cast(pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
        else:
            digest.update(pc.fill_null(values, 0).to_numpy(zero_copy_only=False).tobytes())


def _profile(profile: Profile, rows: pd.DataFrame, golden: Collection[int]) -> None:
    weight = rows["weight"].astype(float)
    measured = pd.DataFrame(
        {
            "split": rows["split"],
            "market": rows["market"],
            "rows": 1.0,
            "positive": (rows["p_violating"] >= 0.5).astype(float),
            "violating": rows["p_violating"].astype(float),
            "weight": weight.fillna(0.0),
            "weight2": (weight**2).fillna(0.0),
            "unweighted": weight.isna().astype(float),
            "picked": (~rows["probability_sample"].astype(bool)).astype(float),
        }
    )
    for key, sums in measured.groupby(["split", "market"]).sum().iterrows():
        group = profile.groups.setdefault((str(key[0]), str(key[1])), dict.fromkeys(sums.index, 0.0))  # type: ignore[index]
        for name, value in sums.items():
            group[str(name)] += float(value)
    days = rows["sampled_on"]
    profile.first_day = min(filter(None, (profile.first_day, days.min())))
    profile.last_day = max(filter(None, (profile.last_day, days.max())))
    if weight.notna().any():
        known = weight.dropna()
        profile.least_weight = min(filter(None, (profile.least_weight, float(known.min()))))
        profile.most_weight = max(filter(None, (profile.most_weight, float(known.max()))))
    good = rows["p_violating"].between(0, 1) & (rows["score"].isna() | rows["score"].between(0, 1))
    profile.out_of_range += int((~good).sum())
    profile.misplaced += int((rows["split"].to_numpy(object) != split_of(_group_of(rows))).sum())
    profile.golden_outside_test += int((rows["video_id"].isin(golden) & (rows["split"] != TEST)).sum())


def snapshot_id(policy: str, model_version: str, digest: str) -> str:
    """Policy, model version and the rows' digest: the same rows give the same id."""
    return f"{policy}-{model_version}-{digest[:12]}"
