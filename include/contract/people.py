"""When two names that Airflow gives may be one person."""

from __future__ import annotations

import unicodedata


def may_be_one(one: str, other: str) -> bool:
    """Whether two names cannot be told apart as those of two people.

    Some services let one person log in with capitals and without, and write the same letters in more than one way. What
    differs in that alone is taken for one person, who approves nothing of their own.
    """
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
