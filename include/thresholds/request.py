"""A manager's form: what it may hold, checked again after Airflow's own schema, and as typed values. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from include.config.model import SMALLEST_SHARE, Config
from include.wording import percent

GOALS = {
    "as_configured": 1.0,
    "half_as_many_wrongful_removals": 0.5,
    "twice_as_many_wrongful_removals": 2.0,
}
"""Presets: by how much the share of wrongful removals that the configuration allows is multiplied."""

OWN = "own"
"""The goal that states a precision of its own."""

_DECIMALS = 6
"""Of a target: a precision is asked for to 0.0001 %."""

MOST_DAYS = 90
"""Of a window, and of a temporary change: what is to hold longer belongs into policies.yaml."""

LONGEST_REASON = 1000
"""Characters."""

MODES = ("what_if", "propose")

ACCEPT, COMPARE, UNDO = "accept", "compare", "undo"
ACCEPT_MODES = (ACCEPT, COMPARE, UNDO)
"""What `accept_model` may be asked."""

FIELDS = (
    *("policies", "markets", "goal", "precision_percent", "window_days", "mode"),
    *("emergency", "reason", "expires_on"),
)
"""Of the form `recalibrate_ad_hoc`."""


class RequestError(ValueError):
    """A form that cannot be carried out. The message names the field and what is allowed there."""


@dataclass(frozen=True)
class Answered:
    """What a step of a form returns whose answer ends the run: what comes after it has nothing to do.

    Attributes:
        text: the run's short answer, in Markdown.
    """

    text: str


class NothingToDo(Exception):
    """A run that looked for something to do and found nothing; the message says what it looked for."""


MOST_ORIGIN_BYTES = 200
"""Bytes of an origin, percent-encoded: a file bears its name."""


@dataclass(frozen=True)
class FormRun:
    """A run that a person started from a form.

    Attributes:
        dag_id, run_id: the run. Its id may have been chosen by who started it; the Dag's may not.
        user: who started it, as Airflow knows them.
        form: the form's fields as they were filled in.
        link: where a place of the page in the Airflow UI is reached; by itself, an address within that.
    """

    dag_id: str
    run_id: str
    user: str
    form: Mapping[str, Any]
    link: Callable[[str], str] = str

    @property
    def origin(self) -> str:
        """Of its proposals: no run of another Dag has it, and none is `daily`.

        Raises:
            RequestError: a run id that no file could bear.
        """
        origin = f"{self.dag_id}/{self.run_id}"
        if len(quote(origin, safe="")) > MOST_ORIGIN_BYTES:
            raise RequestError(
                f"dag_run_id: {self.run_id[:40]!r}... is too long; leave it out, or choose a shorter one"
            )
        return origin


@dataclass(frozen=True)
class Request:
    """What a manager asks for, checked.

    Attributes:
        policies, markets: the cells, each as a sorted tuple of names.
        targets: the precision asked of each of the policies, in (0, 1).
        window_days: days of samples to rest on; None: each policy's own.
        propose: whether the change is wanted, or only the answer.
        emergency: whether a person shall decide what the guardrails would hold; such a change expires.
        reason: why, in the asker's words.
        expires_on: last day the change holds; None: until something newer.
    """

    policies: tuple[str, ...]
    markets: tuple[str, ...]
    targets: Mapping[str, float]
    window_days: int | None
    propose: bool
    emergency: bool
    reason: str
    expires_on: date | None

    def under(self, config: Config) -> Config:
        """The configuration with the asked targets and window in place of its own."""
        policies = dict(config.policies)
        for name, target in self.targets.items():
            window = {} if self.window_days is None else {"window_days": self.window_days}
            policies[name] = policies[name].model_copy(update={"target_precision": target, **window})
        return config.model_copy(update={"policies": policies})

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it; `from_json` reads it."""
        return asdict(self) | {"expires_on": None if self.expires_on is None else self.expires_on.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Request:
        """The request of which `to_json` made `stored`, which may hold more."""
        expires_on = stored["expires_on"]
        return cls(
            policies=tuple(stored["policies"]),
            markets=tuple(stored["markets"]),
            targets=dict(stored["targets"]),
            window_days=stored["window_days"],
            propose=stored["propose"],
            emergency=stored["emergency"],
            reason=stored["reason"],
            expires_on=None if expires_on is None else date.fromisoformat(expires_on),
        )

    @classmethod
    def from_form(cls, form: Mapping[str, Any], config: Config, day: date) -> Request:
        """The request a form makes on `day`, the newest day with data.

        Raises:
            RequestError: an unknown field, policy or market, an impossible goal, a window that is none, a blank reason,
                an expiry that is not within MOST_DAYS after `day` or stands beside a what-if, an emergency without one.
        """
        check_fields(form, FIELDS)
        policies = _names("policies", form["policies"], config.policies)
        markets = _names("markets", form["markets"], config.markets)
        window = form["window_days"]
        if window is not None and not 1 <= whole_number("window_days", window) <= MOST_DAYS:
            raise RequestError(
                f"window_days: {window} is not between 1 and {MOST_DAYS}; leave it empty for the configured one"
            )
        if form["mode"] not in MODES:
            raise RequestError(f"mode: {form['mode']!r} is unknown; there are {', '.join(MODES)}")
        propose = form["mode"] == "propose"
        return cls(
            policies=policies,
            markets=markets,
            targets={name: _target(form, config.policies[name].target_precision) for name in policies},
            window_days=window,
            propose=propose,
            emergency=_emergency(form),
            reason=reason_of(form),
            expires_on=_expiry(form["expires_on"], day, propose),
        )


def check_fields(form: Mapping[str, Any], fields: Collection[str]) -> None:
    """Raises RequestError for a field that the form does not have: a slip of a name must not go unnoticed."""
    if unknown := sorted(set(form) - set(fields)):
        raise RequestError(f"{unknown[0]}: is no field of this form; there are {', '.join(fields)}")


def whole_number(field: str, value: Any) -> int:
    """The value of a field that counts. Raises RequestError for anything else, 7.0 and true among it."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{field}: {value!r} is not a whole number")
    return value


def reason_of(form: Mapping[str, Any]) -> str:
    """Why, as it was filled in. Raises RequestError: blank, longer than LONGEST_REASON, or holding what is no text."""
    text = form["reason"]
    if not isinstance(text, str) or not text.strip():
        raise RequestError("reason: is blank; say why, for who approves it and for who reads the ledger later")
    if len(text) > LONGEST_REASON:
        raise RequestError(f"reason: has {len(text):,} characters; at most {LONGEST_REASON:,}")
    if strange := [sign for sign in text if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\r\t"]:
        raise RequestError(f"reason: {strange[0]!r} is no character of a text")
    return text.strip()


def _names(field: str, given: Any, known: Collection[str]) -> tuple[str, ...]:
    if not given:
        raise RequestError(f"{field}: none is chosen; there are {', '.join(sorted(known))}")
    if not isinstance(given, list | tuple):
        raise RequestError(f"{field}: {given!r} is no list of names")
    for name in given:
        if not isinstance(name, str) or name not in known:
            raise RequestError(f"{field}: {name!r} is unknown; there are {', '.join(sorted(known))}")
    return tuple(sorted(set(given)))


def _target(form: Mapping[str, Any], configured: float) -> float:
    goal, asked = form["goal"], form["precision_percent"]
    if asked is not None and (not isinstance(asked, int | float) or isinstance(asked, bool)):
        raise RequestError(f"precision_percent: {asked!r} is not a number")
    if goal == OWN:
        if asked is None:
            raise RequestError(f"precision_percent: is empty; goal {OWN!r} needs it, e.g. 97")
        if not (0 < asked < 100 and _can_be_asked(asked / 100)):
            least, most = 100 * SMALLEST_SHARE, 100 * (1 - SMALLEST_SHARE)
            raise RequestError(
                f"precision_percent: {asked} is impossible: from {least:g} to {most:.8g}; no sample can certify 100"
            )
        return round(asked / 100, _DECIMALS)
    if goal not in GOALS:
        raise RequestError(f"goal: {goal!r} is unknown; there are {', '.join([*GOALS, OWN])}")
    if asked is not None:
        raise RequestError(f"precision_percent: {asked} contradicts goal {goal!r}; choose {OWN!r} or leave it empty")
    if not _can_be_asked(target := 1 - (1 - configured) * GOALS[goal]):
        raise RequestError(
            f"goal: {goal!r} is impossible where {percent(1 - configured)} of the removals may be wrong already"
        )
    return round(target, _DECIMALS)


def _can_be_asked(share: float) -> bool:
    """Whether a precision lies within what can be configured; the last digits of a float do not count."""
    return SMALLEST_SHARE <= round(share, 2 * _DECIMALS) <= 1 - SMALLEST_SHARE


def _emergency(form: Mapping[str, Any]) -> bool:
    if not isinstance(form["emergency"], bool):
        raise RequestError(f"emergency: {form['emergency']!r} is neither true nor false")
    if form["emergency"] and form["mode"] == "propose" and form["expires_on"] is None:
        raise RequestError("expires_on: is empty; a change made as an emergency must expire")
    return bool(form["emergency"])


def _expiry(text: Any, day: date, propose: bool) -> date | None:
    if text is None:
        return None
    if not propose:
        raise RequestError("expires_on: a what-if changes nothing that could expire; leave it empty, or choose propose")
    found = _date(text)
    if found is None:
        raise RequestError(f"expires_on: {text!r} is no date; write it as {day + timedelta(days=14)}")
    if found <= day:
        raise RequestError(f"expires_on: {found} is over; the newest day with data is {day}")
    if found > (last := day + timedelta(days=MOST_DAYS)):
        raise RequestError(
            f"expires_on: {found} is more than {MOST_DAYS} days after {day}; until {last} at most, "
            "and what is to hold longer belongs into policies.yaml"
        )
    return found


def _date(text: Any) -> date | None:
    """A day written YYYY-MM-DD; None: it is none."""
    try:
        found = date.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.isoformat() == text else None
