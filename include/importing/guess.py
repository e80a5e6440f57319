"""Which column is what, where that can be told; what cannot is asked for by name. Nothing is guessed by half.

A role is taken by the one column that bears one of its usual names, or that alone can have it by its values. Where two
could have it, or none, it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from include.importing.columns import ImportRefused, read_columns, read_header
from include.importing.pair import DECISIONS, NO_VALUE, ONE_MARKET, Columns, is_name

_ITEM = r"(item|video|post|clip|content|comment|media)?_?(id|key)|item|video"
_MARKET = r"market|country|region|locale|platform"
_RATER = r"(rater|reviewer|annotator|labell?er|moderator|worker|judge|user)(_?(id|name))?"
_SCORE = r"score|prob(ability)?|.+_(score|prob|probability)|(score|prob)_.+"
_GENERIC = r"vote|label|answer|decision|verdict|value|violat\w*|is_violat\w*"


def columns_of(
    scores: Path,
    votes: Path,
    *,
    item: str | None = None,
    market: str | None = None,
    given: dict[str, str] | None = None,
    rater: str | None = None,
    vote: str | None = None,
) -> Columns:
    """The columns of a pair of files; what is given is taken as it is.

    Args:
        item, market, rater, vote: column names; None: not given. `=NAME` for market: all items are in that one.
        given: score column -> model version.

    Raises:
        ImportRefused: a file cannot be read, or names every column that is to be said, with those that there are.
    """
    in_scores, in_votes = read_header(scores), read_header(votes)
    missing = list[str]()

    def named(what: str, option: str, names: Sequence[str], pattern: str, fits: Callable[[str], bool]) -> str:
        by_name = [name for name in names if re.fullmatch(pattern, name.lower())]
        found = by_name if len(by_name) == 1 else [name for name in names if fits(name)] if not by_name else []
        if len(found) == 1:
            return found[0]
        missing.append(f"Which column is {what}? Say {option}.")
        return ""

    def never(name: str) -> bool:  # noqa: ARG001
        return False

    both = [name for name in in_scores if name in in_votes]
    item = item or named("the item's id, in both files", "--item COLUMN", both, _ITEM, lambda _: len(both) == 1)
    rest = [name for name in in_votes if name != item]
    said = f"--market COLUMN, or --market {ONE_MARKET}NAME if all items are in one market"
    market = market or named("the market of the scores' items", said, _but(in_scores, item), _MARKET, never)
    rater = rater or named("who voted", "--rater COLUMN", _but(rest, vote), _RATER, never)
    votes_like = _fitting(votes, _but(rest, rater), DECISIONS.keys())
    vote = vote or named("the answer of a vote", "--vote COLUMN", _but(rest, rater), _GENERIC, votes_like.__contains__)
    if not given:
        numbers = _between(scores, _but(_but(in_scores, item), market))
        by_name = [name for name in numbers if re.fullmatch(_SCORE, name.lower())]
        given = {name: _version(name) for name in by_name or (numbers if len(numbers) == 1 else [])}
        if not given:
            missing.append("Which columns are classifiers' scores? Say --score COLUMN=VERSION, once for each.")
    if missing:
        there = f"{scores} has {_listed(in_scores)}.\n{votes} has {_listed(in_votes)}."
        raise ImportRefused("\n".join([*missing, there]))
    return Columns(item=item, market=market, scores=given, rater=rater, vote=vote)


def policy_of(vote: str) -> str:
    """The policy that votes in such a column are about: the column's name where that says it."""
    return "policy" if re.fullmatch(_GENERIC, vote.lower()) or not is_name(vote) else vote


def _version(column: str) -> str:
    """`perspective_score` is of the version `perspective`."""
    short = re.sub(r"^(score|prob(ability)?)_|_(score|prob(ability)?)$", "", column, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]", "-", short).lstrip("._-") or "v1"


def _fitting(path: Path, names: Sequence[str], allowed: object) -> list[str]:
    rows = read_columns(path, names) if names else pd.DataFrame()
    return [name for name in names if set(rows[name].str.lower()) <= set(allowed)]  # type: ignore[call-overload]


def _between(path: Path, names: Sequence[str]) -> list[str]:
    """The columns that hold numbers in [0, 1], or nothing here and there."""
    rows = read_columns(path, names) if names else pd.DataFrame()
    found = []
    for name in names:
        texts = rows.loc[~rows[name].str.lower().isin(NO_VALUE), name]
        if len(texts) and pd.to_numeric(texts, errors="coerce").between(0, 1).all():
            found.append(name)
    return found


def _but(names: Sequence[str], name: str | None) -> list[str]:
    return [other for other in names if other != name]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))[:500]
