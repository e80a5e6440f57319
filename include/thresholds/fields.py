"""The fields of the forms, as keyword arguments of Airflow's Param.

They say what may be chosen and how it is shown. What is filled in is checked by `request` alone, whose errors are
sentences: of a rule that stands here, Airflow would answer with a dump of this schema. What most requests need comes
first; the rest has a section of its own.
"""

from __future__ import annotations

from typing import Any

from include.config.model import Config
from include.thresholds.request import ACCEPT, ACCEPT_MODES, COMPARE, GOALS, MODES, MOST_DAYS, OWN, UNDO

Fields = dict[str, dict[str, Any]]
"""By name: default, JSON schema, and how the form shows it."""


MORE = "Seldom needed"
"""The section of the fields that most requests leave as they are."""


def request_fields(config: Config) -> Fields:
    """The fields of `recalibrate_ad_hoc`."""
    policies, markets = sorted(config.policies), sorted(config.markets)
    return {
        "policies": {
            "default": policies[:1],
            "type": "array",
            "examples": policies,
            "title": "Policies",
            "description_md": f"One or more, e.g. `{policies[0]}`.",
        },
        "markets": {
            "default": markets[:1],
            "type": "array",
            "examples": markets,
            "title": "Markets",
            "description_md": f"One or more, e.g. `{markets[0]}`. All model versions of the policies there are included.",
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
        },
        "precision_percent": {
            "default": None,
            "type": ["null", "number"],
            "title": "Precision of my own, in percent",
            "description_md": "Only with the goal *A precision of my own*. `97`: of 100 automatic removals, at most 3 may be wrong.",
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
        },
        "reason": {
            "type": "string",
            "title": "Reason",
            "description_md": "For who approves it and who reads the ledger later, e.g. `Election week: fewer wrongful removals`.",
        },
        "expires_on": {
            "default": None,
            "type": ["null", "string"],
            "format": "date",
            "title": "Last day",
            "description_md": f"The change holds through this day, e.g. `2026-12-06`, at most {MOST_DAYS} days on, and is then taken back. Leave empty to let the daily run go on from it.",
            "section": MORE,
        },
        "window_days": {
            "default": None,
            "type": ["null", "integer"],
            "title": "Days of labels to rest on",
            "description_md": f"Counted back from the newest day, e.g. `28`, at most {MOST_DAYS}. Leave empty for each policy's own.",
            "section": MORE,
        },
        "emergency": {
            "default": False,
            "type": "boolean",
            "title": "Emergency",
            "description_md": "A person then decides even what a freeze, a flood or missing labels would hold. Needs a last day, e.g. `2026-12-06`.",
            "section": MORE,
        },
    }


def accept_fields(config: Config) -> Fields:
    """The fields of `accept_model`; each has a default, as its schedule fills in none."""
    policies = sorted(config.policies)
    return {
        "policy": {
            "default": None,
            "type": ["null", "string"],
            "enum": [None, *policies],
            "title": "Policy",
            "description_md": f"Whose new model version it is, e.g. `{policies[0]}`. Left empty: the first whose registered model has a challenger that nobody was asked about.",
        },
        "challenger": {
            "default": None,
            "type": ["null", "integer"],
            "title": "Version in the registry",
            "description_md": "The number of the version in MLflow's registry, e.g. `3`. Left empty: the one with the alias `challenger`.",
        },
        "mode": {
            "default": ACCEPT,
            "type": "string",
            "enum": list(ACCEPT_MODES),
            "values_display": {
                ACCEPT: "Accept: compare, and ask somebody else if it is better",
                COMPARE: "Compare: only show how it compares",
                UNDO: "Undo: give the champion before its place back",
            },
            "title": "What is asked",
            "description_md": "*Compare* changes nothing. *Undo* also takes back the thresholds that came with the acceptance.",
        },
        "reason": {
            "default": None,
            "type": ["null", "string"],
            "title": "Reason",
            "description_md": "For who approves it and who reads the ledger later, e.g. `Retrained on November's evasion wave`.",
        },
    }


ROLL_BACK_FIELDS: Fields = {
    "version": {
        "type": "integer",
        "title": "Version",
        "description_md": "The version of the ledger to bring back, e.g. `12`. The page *Plumbline* lists them under *History*, and can ask for it there.",
    },
    "reason": {
        "type": "string",
        "title": "Reason",
        "description_md": "For who reads the ledger later, e.g. `Creators report wrongful removals since this morning`.",
    },
}
"""The fields of `roll_back_thresholds`."""
