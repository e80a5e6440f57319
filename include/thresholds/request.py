"""A manager's form: what it may hold, checked again after Airflow's own schema, and as typed values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from include.config.model import Config

GOALS = {
    "as_configured": 1.0,
    "half_as_many_wrongful_removals": 0.5,
    "twice_as_many_wrongful_removals": 2.0,
}
"""Presets: by how much the share of wrongful removals that the configuration allows is multiplied."""

OWN = "own"
"""The goal that states a precision of its own."""

MOST_DAYS = 90


class RequestError(ValueError):
    """A form that cannot be carried out. The message names the field and what is allowed there."""


MOST_ORIGIN_BYTES = 200
"""Bytes of an origin, percent-encoded: a file bears its name."""


@dataclass(frozen=True)
class FormRun:
    """A run that a person started from a form.

    Attributes:
        dag_id, run_id: the run. Its id may have been chosen by who started it; the Dag's may not.
        user: who started it, as Airflow knows them.
        form: the form's fields as they were filled in.
    """

    dag_id: str
    run_id: str
    user: str
    form: Mapping[str, Any]

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
            RequestError: an unknown policy or market, an impossible goal, a window that is none, a blank reason, an
                expiry that is not after `day` or stands beside a what-if, an emergency without an expiry.
        """
        policies = _names("policies", form["policies"], config.policies)
        markets = _names("markets", form["markets"], config.markets)
        window = form["window_days"]
        if window is not None and not 1 <= window <= MOST_DAYS:
            raise RequestError(
                f"window_days: {window} is not between 1 and {MOST_DAYS}; leave it empty for the configured one"
            )
        propose = form["mode"] == "propose"
        return cls(
            policies=policies,
            markets=markets,
            targets={name: _target(form, config.policies[name].target_precision) for name in policies},
            window_days=window,
            propose=propose,
            emergency=_emergency(form),
            reason=_reason(form["reason"]),
            expires_on=_expiry(form["expires_on"], day, propose),
        )


def _names(field: str, given: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    if not given:
        raise RequestError(f"{field}: none is chosen; there are {', '.join(sorted(known))}")
    for name in given:
        if name not in known:
            raise RequestError(f"{field}: {name!r} is unknown; there are {', '.join(sorted(known))}")
    return tuple(sorted(set(given)))


def _target(form: Mapping[str, Any], configured: float) -> float:
    goal, percent = form["goal"], form["precision_percent"]
    if goal == OWN:
        if percent is None:
            raise RequestError(f"precision_percent: is empty; goal {OWN!r} needs it, e.g. 97")
        if not 0 < percent < 100:
            raise RequestError(
                f"precision_percent: {percent:g} is impossible; above 0, and below 100, which no sample can certify"
            )
        return round(percent / 100, 6)
    if goal not in GOALS:
        raise RequestError(f"goal: {goal!r} is unknown; there are {', '.join([*GOALS, OWN])}")
    if percent is not None:
        raise RequestError(
            f"precision_percent: {percent:g} contradicts goal {goal!r}; choose {OWN!r} or leave it empty"
        )
    target = round(1 - (1 - configured) * GOALS[goal], 6)
    if target <= 0:
        raise RequestError(
            f"goal: {goal!r} is impossible where {1 - configured:g} of the removals may be wrong already"
        )
    return target


def _emergency(form: Mapping[str, Any]) -> bool:
    if form["emergency"] and form["mode"] == "propose" and form["expires_on"] is None:
        raise RequestError("expires_on: is empty; a change made as an emergency must expire")
    return bool(form["emergency"])


def _reason(text: str) -> str:
    if not text.strip():
        raise RequestError("reason: is blank; say why, for who approves it and for who reads the ledger later")
    return text.strip()


def _expiry(text: str | None, day: date, propose: bool) -> date | None:
    if text is None:
        return None
    if not propose:
        raise RequestError("expires_on: a what-if changes nothing that could expire; leave it empty, or choose propose")
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise RequestError(f"expires_on: {text!r} is no date; write it as {day + timedelta(days=14)}") from error
    if found <= day:
        raise RequestError(f"expires_on: {found} is over; the newest day with data is {day}")
    return found
