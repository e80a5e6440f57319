"""From a score file and a vote file to rows of the contract, or a refusal that names the row at fault."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from include.config.model import MarketName, Name
from include.importing.columns import ImportRefused, read_columns, read_ids, refuse_where

GUIDELINE = "imported"
"""Guideline version of every imported vote."""

NO_VALUE = frozenset({"", "na", "nan", "null", "none"})
"""What stands for no score, in any case."""

DECISIONS = {"1": "violating", "true": "violating", "0": "not_violating", "false": "not_violating"}
"""What each answer becomes, in any case."""

ONE_MARKET = "="
"""Begins what is no column's name, but that of the one market all items are in."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_MARKET: TypeAdapter[str] = TypeAdapter(MarketName)
_NAME_RULE = "is no name: letters, digits, '.', '_' and '-' are allowed, the first a letter or digit, at most 100"
_MARKET_RULE = f"{_NAME_RULE}, and no market is called all"


@dataclass(frozen=True)
class Columns:
    """What the files call things.

    Attributes:
        item: the item's id, in both files.
        market: its market, in the score file; `=NAME`: all items are in that one.
        scores: score column -> model version, in the score file.
        rater: who voted, in the vote file.
        vote: the answer to "does it violate the policy?", in the vote file.
    """

    item: str
    market: str
    scores: Mapping[str, str]
    rater: str
    vote: str


def video_id(item: str) -> int:
    """The INT64 id of an item: the item itself if it is an integer written without sign or zeros to spare, else the
    first 63 bits of the SHA-256 of its UTF-8 text. The same in every file and on every day.
    """
    if _INTEGER.fullmatch(item) and -(2**63) <= (number := int(item)) < 2**63:
        return number
    return int.from_bytes(hashlib.sha256(item.encode()).digest()[:8]) >> 1


def read_scores(path: Path, columns: Columns, policy: str) -> pd.DataFrame:
    """Rows of `video_scores`, one an item and model version; every item counts one view.

    Raises ImportRefused: see `read_columns`; a policy, model version or market that is no name; an item without id or
    twice; two items of one id; a score that is no number or outside [0, 1].
    """
    for what, name in (("policy", policy), *(("model version", version) for version in columns.scores.values())):
        if not _fits(_NAME, name):
            raise ImportRefused(f"{what} {name!r} {_NAME_RULE}")
    if not columns.scores or len(set(columns.scores.values())) < len(columns.scores):
        raise ImportRefused(f"score columns {dict(columns.scores)}: each needs a model version of its own")
    one = columns.market.startswith(ONE_MARKET)
    rows = read_columns(path, [columns.item, *(() if one else (columns.market,)), *columns.scores])
    items = read_ids(rows, columns.item, path)
    markets = rows[columns.market] if not one else pd.Series(columns.market.removeprefix(ONE_MARKET), items.index)
    refuse_where(items.duplicated(), items, path, "occurs in an earlier row: each item has one row")
    names = {name: _fits(_MARKET, name) for name in markets.unique()}
    refuse_where(~markets.map(names), markets, path, _MARKET_RULE)
    ids = items.map(video_id).astype("int64")
    refuse_where(ids.duplicated(), items, path, "has the video_id of another item: give one of them another id")
    parts = [
        pd.DataFrame(
            {
                "video_id": ids,
                "policy": policy,
                "market": markets,
                "model_version": version,
                "score": _scores(rows[column], path),
                "views": 1,
            }
        )
        for column, version in columns.scores.items()
    ]
    scores = pd.concat(parts)
    return scores.sort_values(["model_version", "market", "video_id"], ignore_index=True)


def read_votes(path: Path, columns: Columns, policy: str, scores: pd.DataFrame, day: date) -> pd.DataFrame:
    """Rows of `reviewer_labels`, one a vote, all made at noon (UTC) of the day after `day`.

    `scores`: what `read_scores` gave. Raises ImportRefused: see `read_columns`; a vote on an item that has no score
    row, without rater, or that is none of 0, 1, true, false; a rater's second vote on an item.
    """
    rows = read_columns(path, [columns.item, columns.rater, columns.vote])
    items, raters, votes = read_ids(rows, columns.item, path), rows[columns.rater], rows[columns.vote]
    ids = items.map({item: video_id(item) for item in items.unique()}).astype("int64")
    refuse_where(~ids.isin(scores["video_id"]), items, path, "is no item of the score file")
    refuse_where(raters == "", raters, path, "is no rater")
    decisions = votes.str.lower().map(DECISIONS)
    refuse_where(decisions.isna(), votes, path, "is no vote: 0, 1, true and false are allowed")
    twice = pd.DataFrame({"item": items, "rater": raters}).duplicated()
    refuse_where(twice, raters, path, "voted on this item in an earlier row: each rater has one vote an item")
    events = pd.DataFrame(
        {
            "event_id": policy + ":" + ids.astype(str) + ":" + raters,
            "video_id": ids,
            "policy": policy,
            "reviewer_id": raters,
            "decision": decisions,
            "labelled_at": datetime.combine(day + timedelta(days=1), time(12), tzinfo=UTC),
            "guideline_version": GUIDELINE,
            "sample_id": None,
            "supersedes": None,
        }
    )
    return events.sort_values(["video_id", "reviewer_id"], ignore_index=True)


def _scores(texts: pd.Series, path: Path) -> pd.Series:
    given = ~texts.str.lower().isin(NO_VALUE)
    numbers = pd.to_numeric(texts.where(given), errors="coerce")
    refuse_where(given & numbers.isna(), texts, path, "is no number (leave it blank where there is no score)")
    refuse_where(given & ~numbers.between(0, 1), texts, path, "is not in [0, 1]")
    return numbers.astype("float64")


def is_name(text: str) -> bool:
    """Whether a policy or a model version may be called so."""
    return _fits(_NAME, text)


def _fits(rule: TypeAdapter[str], name: str) -> bool:
    try:
        rule.validate_python(name)
    except ValidationError:
        return False
    return True
