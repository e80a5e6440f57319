"""The fields of the forms, as keyword arguments of Airflow's Param; what they hold is checked again in `request`."""

from __future__ import annotations

from typing import Any

from include.config.model import Config
from include.thresholds.request import GOALS, LONGEST_REASON, MODES, MOST_DAYS, OWN

Fields = dict[str, dict[str, Any]]
"""By name: default, JSON schema, and how the form shows it."""


def request_fields(config: Config) -> Fields:
    """The fields of `recalibrate_ad_hoc`."""
    policies, markets = sorted(config.policies), sorted(config.markets)
    return {
        "policies": {
            "default": policies[:1],
            "type": "array",
            "items": {"type": "string", "enum": policies},
            "minItems": 1,
            "uniqueItems": True,
            "examples": policies,
            "title": "Policies",
            "description_md": f"One or more, e.g. `{policies[0]}`.",
            "section": "Which cells",
        },
        "markets": {
            "default": markets[:1],
            "type": "array",
            "items": {"type": "string", "enum": markets},
            "minItems": 1,
            "uniqueItems": True,
            "examples": markets,
            "title": "Markets",
            "description_md": f"One or more, e.g. `{markets[0]}`. All model versions of the policies there are included.",
            "section": "Which cells",
        },
        "goal": {
            "default": "as_configured",
            "type": "string",
            "enum": [*GOALS, OWN],
            "values_display": {
                "as_configured": "As configured",
                "half_as_many_wrongful_removals": "Half as many wrongful removals (95 % becomes 97.5 %)",
                "twice_as_many_wrongful_removals": "Twice as many wrongful removals (95 % becomes 90 %)",
                OWN: "A precision of my own, below",
            },
            "title": "Goal",
            "description_md": "How often automatic removals must be right. A looser goal removes more videos.",
            "section": "What is asked",
        },
        "precision_percent": {
            "default": None,
            "type": ["null", "number"],
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 100,
            "title": "Precision of my own, in percent",
            "description_md": "Only with the goal *A precision of my own*. `97`: of 100 automatic removals, at most 3 may be wrong.",
            "section": "What is asked",
        },
        "window_days": {
            "default": None,
            "type": ["null", "integer"],
            "minimum": 1,
            "maximum": MOST_DAYS,
            "title": "Days of labels to rest on",
            "description_md": "Counted back from the newest day, e.g. `28`. Leave empty for each policy's own.",
            "section": "What is asked",
        },
        "mode": {
            "default": "what_if",
            "type": "string",
            "enum": list(MODES),
            "values_display": {
                "what_if": "What if: only show what would happen",
                "propose": "Propose: I want the change",
            },
            "title": "What if, or propose",
            "description_md": "*What if* changes nothing. *Propose* publishes what is within limits, and asks somebody else about the rest.",
            "section": "What is asked",
        },
        "emergency": {
            "default": False,
            "type": "boolean",
            "title": "Emergency",
            "description_md": "A person then decides even what a freeze, a flood or missing labels would hold. Needs a last day, e.g. `2026-12-06`.",
            "section": "Why and until when",
        },
        "reason": {
            "type": "string",
            "minLength": 3,
            "maxLength": LONGEST_REASON,
            "pattern": r"\S",
            "title": "Reason",
            "description_md": "For who approves it and who reads the ledger later, e.g. `Election week: fewer wrongful removals`.",
            "section": "Why and until when",
        },
        "expires_on": {
            "default": None,
            "type": ["null", "string"],
            "format": "date",
            "title": "Last day",
            "description_md": f"The change holds through this day, e.g. `2026-12-06`, at most {MOST_DAYS} days on, and is then taken back. Leave empty to let the daily run go on from it.",
            "section": "Why and until when",
        },
    }


ROLL_BACK_FIELDS: Fields = {
    "version": {
        "type": "integer",
        "minimum": 1,
        "title": "Version",
        "description_md": "The version of the ledger to bring back, e.g. `12`.",
    },
    "reason": {
        "type": "string",
        "minLength": 3,
        "maxLength": LONGEST_REASON,
        "pattern": r"\S",
        "title": "Reason",
        "description_md": "For who reads the ledger later, e.g. `Creators report wrongful removals since this morning`.",
    },
}
"""The fields of `roll_back_thresholds`."""
