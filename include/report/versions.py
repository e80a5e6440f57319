"""Model versions that score videos and may not remove any yet, while another version of the policy does. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Newcomer:
    """A model version without a certified threshold.

    Attributes:
        beside: versions of the policy that remove, by certified thresholds or by configuration; sorted.
        challenger: whether accept_model is to decide about it.
    """

    policy: str
    model_version: str
    beside: tuple[str, ...]
    challenger: bool

    @property
    def verdict(self) -> str:
        """In one sentence."""
        return f"{self.model_version} scores {self.policy} videos, and no threshold of it is certified"

    @property
    def reason(self) -> str:
        """What follows from that."""
        acting = f"{' and '.join(self.beside)} {'goes' if len(self.beside) == 1 else 'go'} on as before"
        return f"It removes nothing; what it would remove is reviewed. {acting}."

    @property
    def todo(self) -> str:
        """What to do about it."""
        if self.challenger:
            return "Nothing: accept_model compares it every day, and asks once it finds more for sure."
        return (
            f"If it is to take another's place, name it in policies.{self.policy}.challengers. Else its cells earn "
            "their thresholds from labels, as new ones do."
        )


def newcomers(rows: Sequence[dict[str, Any]]) -> list[Newcomer]:
    """By policy and model version, from the daily run's proposals of a day."""
    removing: dict[str, set[str]] = {}
    held: dict[tuple[str, str], bool] = {}
    for row in rows:
        key = (row["policy"], row["model_version"])
        held[key] = held.get(key, False) or any(item["name"] == "challenger" for item in json.loads(row["verdicts"]))
        if row["current_remove_at"] < 1:
            removing.setdefault(row["policy"], set()).add(row["model_version"])
    return [
        Newcomer(policy, version, tuple(sorted(removing[policy])), challenger)
        for (policy, version), challenger in sorted(held.items())
        if policy in removing and version not in removing[policy]
    ]
