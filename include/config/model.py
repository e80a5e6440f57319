"""The configuration as typed objects. Unknown keys, wrong types and values out of range are refused by name."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from include.config.strict import Strict, broken
from include.contract.grid import ThresholdPair
from include.contract.tables import ALL_MARKETS, N_BINS
from include.contract.terms import EventKind, Uncertified

if TYPE_CHECKING:
    import pandas as pd

SMALLEST_SHARE = 1e-6
"""What is asked is at least so far from 0 and from 1: closer, it would be shown, and rounded by forms, as either."""

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(ge=SMALLEST_SHARE, le=1 - SMALLEST_SHARE)]
Ratio = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Text = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=1000)]
"""One line, without white space around it: as such it is compared with what events say."""
Address = Annotated[str, Field(pattern=r"^https?://[^\s<>\"'\\]+$", max_length=2000)]
Reviewer = Annotated[str, Field(pattern=r"^[^\s;,]+$", max_length=200)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]


def _distinct(names: list[str]) -> list[str]:
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"names {twice[0]} twice")
    return names


def _one_market(name: str) -> str:
    if name.casefold() == "all":
        raise ValueError(f"a market cannot be called {name}: people would take it for all markets ({ALL_MARKETS})")
    return name


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text.strip()


Paragraphs = Annotated[str, Field(max_length=10_000), AfterValidator(_not_blank)]
Names = Annotated[list[Name], AfterValidator(_distinct)]
MarketName = Annotated[Name, AfterValidator(_one_market)]


def _on_grid(value: float) -> float:
    if abs(value * N_BINS - round(value * N_BINS)) > 1e-9:
        raise ValueError(f"{value:g} is not a multiple of {1 / N_BINS:g}, the width of a histogram bin")
    return value


Threshold = Annotated[float, Field(gt=0, le=1), AfterValidator(_on_grid)]


class Thresholds(Strict):
    """score >= remove_at: remove; else score >= review_at: review; else allow. At 1: nothing, whatever the score."""

    remove_at: Threshold
    review_at: Threshold

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.review_at > self.remove_at:
            raise broken(f"review_at {self.review_at} is above remove_at {self.remove_at}", "review_at")
        return self


class ThresholdLimits(Strict):
    """The lowest values a threshold may ever take."""

    lowest_remove_at: Threshold
    lowest_review_at: Threshold

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lowest_review_at > self.lowest_remove_at:
            said = f"{self.lowest_review_at} is above lowest_remove_at {self.lowest_remove_at}"
            raise broken(said, "lowest_review_at")
        return self


class ReviewerFloor(Strict):
    """What is asked of a reviewer, once `min_labels` votes can be judged. Flagged: an interval wholly below."""

    sensitivity: Share = 0.5
    specificity: Share = 0.8
    min_labels: Count = 20


class Policy(Strict):
    """One policy: what is asked of its thresholds and how it is reviewed."""

    description: Text
    model_versions: Annotated[Names, Field(min_length=1)]
    challengers: Names = Field(default_factory=list)
    """Of the model versions, those that may act only once `accept_model` took them."""
    target_precision: OpenShare
    target_recall: OpenShare
    goal_weight: Literal["videos", "views"] = "videos"
    """What both goals count: removals, or the views of what is removed."""
    confidence: OpenShare
    no_score: Literal["review", "allow"]
    minutes_per_label: Annotated[float, Field(ge=0.01, le=1440)]
    overlap: Annotated[int, Field(ge=1, le=5)]
    maturity_days: Annotated[int, Field(ge=0, le=60)]
    window_days: Annotated[int, Field(ge=1, le=90)]
    consensus: Literal["majority", "one_coin", "dawid_skene"]
    correct_reviewer_error: bool = True
    reviewer_floor: ReviewerFloor = ReviewerFloor()
    below_floor: Literal["keep", "down_weight", "leave_out"] = "keep"
    guideline_version: Text
    guideline_text: Paragraphs | None = None
    """What reviewers are shown of the guideline; and `guideline_url`, where they find all of it."""
    guideline_url: Address | None = None
    uncertified: Annotated[Uncertified, Field(strict=False)] = Uncertified.REVIEW_ELSE_ALLOW
    initial: Thresholds
    limits: ThresholdLimits
    retired_after: date | None = None

    @property
    def by_views(self) -> bool:
        """Whether the goals count views."""
        return self.goal_weight == "views"

    @property
    def start(self) -> ThresholdPair:
        """The thresholds of a cell for which nothing was published yet: in shadow mode, no remove_at."""
        shadow = self.uncertified == Uncertified.REVIEW_ELSE_ALLOW
        return ThresholdPair(1.0 if shadow else self.initial.remove_at, self.initial.review_at)

    @model_validator(mode="after")
    def _challengers_are_versions(self) -> Self:
        if unknown := [name for name in self.challengers if name not in self.model_versions]:
            raise broken(f"{unknown[0]} is not among model_versions", "challengers")
        if set(self.challengers) == set(self.model_versions):
            raise broken("every model version is a challenger: none is in service", "challengers")
        return self

    @model_validator(mode="after")
    def _some_label_is_final(self) -> Self:
        if self.window_days <= self.maturity_days:
            raise broken(
                f"{self.window_days} days hold no day whose labels are final: that takes more than maturity_days, "
                f"{self.maturity_days}",
                "window_days",
            )
        return self

    @model_validator(mode="after")
    def _starts_within_limits(self) -> Self:
        for name, level in self.initial:
            lowest = getattr(self.limits, f"lowest_{name}")
            if level < lowest:
                raise broken(f"{level} is below limits.lowest_{name}, {lowest}", "initial", name)
        return self

    def final_through(self, day: date) -> date:
        """The last day of samples whose labels are final as of `day`: maturity_days before it."""
        return day - timedelta(days=self.maturity_days)

    def window_start(self, day: date) -> date:
        """The first day of samples that estimates as of `day` rest on."""
        return day - timedelta(days=self.window_days - 1)


class Experts(Strict):
    """Who takes a second look: how many minutes a day, and who they are, if known here."""

    minutes: Annotated[float, Field(gt=0, le=1e8)]
    names: Annotated[list[Reviewer], AfterValidator(_distinct)] = Field(default_factory=list)


class Market(Strict):
    """One market: its region, for pooling, what its reviewers can do in a day, and who they are, if known here.

    `experts`: None, nobody takes a second look.
    """

    region: Name
    reviewer_minutes: Annotated[float, Field(gt=0, le=1e8)]
    reviewers: Annotated[list[Reviewer], AfterValidator(_distinct)] = Field(default_factory=list)
    experts: Experts | None = None


class Programmes(Strict):
    """How the sampling minutes are split; 0 switches a programme off."""

    audit: Annotated[float, Field(ge=SMALLEST_SHARE, le=1)]
    prevalence: Share
    golden: Share
    training: Share

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if (total := self.audit + self.prevalence + self.golden + self.training) > 1 + 1e-9:
            raise ValueError(f"audit, prevalence, golden and training together are {total:g}, which exceeds 1")
        return self


class SecondLook(Strict):
    """What goes to experts: "not violating" from `margin` below remove_at upwards, unsure, a `random_share` of all.

    `settle_days`: how long the watch waits for experts once labels are final.
    """

    margin: Share = 0.05
    random_share: Share = 0.05
    settle_days: Annotated[int, Field(ge=0, le=30)] = 2


class QueueDecisions(Strict):
    """The platform delivers the answers of its own review queue as labels, so that its videos need not be asked again.

    `overlap_share`: of these videos, what is asked blindly all the same. `emptied_share`: of a queue's videos, what has
    to be answered for the answers to count. `compared_from`: first day whose videos are compared with blind answers.
    """

    overlap_share: OpenShare = 0.05
    emptied_share: OpenShare = 0.95
    compared_from: date | None = None


class Sampling(Strict):
    salt: Annotated[int, Field(ge=0, lt=2**31)]
    minutes_share: OpenShare
    programmes: Programmes
    remove_share: Share
    allow_share: Share
    defensive_share: Share
    second_look: SecondLook = SecondLook()
    queue_decisions: QueueDecisions | None = None
    """None: they are not delivered, and no evidence."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.remove_share + self.allow_share > 1:
            raise broken("remove_share and allow_share together exceed 1", "remove_share")
        return self


def _names_the_video(url: str) -> str:
    if url.replace("{video_id}", "") == url or set("{}") & set(url.replace("{video_id}", "")):
        raise ValueError(f"{url} must hold {{video_id}} and no other braces")
    return url


class ReviewTool(Strict):
    """Where a reviewer's browser finds a video."""

    video_url: Annotated[str, AfterValidator(_names_the_video)] = "https://videos.example.com/{video_id}.mp4"


class Gates(Strict):
    min_volume_ratio: Share
    max_volume_ratio: Annotated[float, Field(ge=1, le=1e6)]
    max_null_score_share: Share
    max_invalid_share: Share
    max_set_aside_share: Share
    max_reject_share: Share
    max_unsampled_share: Share
    garbage_min_lines: Count
    sample_deviation: Ratio

    def garbage(self, lines: pd.Series, refused: pd.Series) -> pd.Series:
        """Which files of label events are mostly garbage: so many `lines` that it is no accident, too many `refused`.

        Events refused for an id that is taken are not counted as refused: a file sent twice is no garbage.
        """
        return (lines >= self.garbage_min_lines) & (refused > self.max_reject_share * lines)


class Freeze(Strict):
    """Days, both inclusive, on which thresholds stay; no policies or no markets: all of them."""

    first_day: date
    last_day: date
    reason: Text
    policies: Names = Field(default_factory=list)
    markets: Names = Field(default_factory=list)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            said = f"last_day {self.last_day} of the freeze {self.reason!r} is before {self.first_day}"
            raise broken(said, "last_day")
        return self

    def covers(self, day: date, policy: str, market: str) -> bool:
        """Whether the thresholds of `policy` in `market` stay on `day`."""
        named = (not self.policies or policy in self.policies) and (not self.markets or market in self.markets)
        return named and self.first_day <= day <= self.last_day

    def overlaps(self, other: Freeze) -> bool:
        """Whether both cover some policy in some market on the same day."""
        return (
            self.first_day <= other.last_day
            and other.first_day <= self.last_day
            and _share_a_name(self.policies, other.policies)
            and _share_a_name(self.markets, other.markets)
        )


def _share_a_name(one: list[str], other: list[str]) -> bool:
    return not one or not other or bool(set(one) & set(other))


class Guardrails(Strict):
    min_labels: Count
    max_volume_change: Ratio
    small_change_videos: Annotated[int, Field(ge=0, le=10**9)]
    min_volume_change: Share
    loosen_days: Annotated[int, Field(ge=1, le=28)]
    max_review_ratio: Ratio
    flood_factor: Annotated[float, Field(gt=1, le=1e6)]
    max_cells_changed: Share
    max_total_change: Ratio
    freezes: list[Freeze]

    @model_validator(mode="after")
    def _freezes_apart(self) -> Self:
        for (_, one), (place, other) in combinations(enumerate(self.freezes), 2):
            if one.overlaps(other):
                raise broken(
                    f"freezes {one.reason!r} ({one.first_day} to {one.last_day}) and {other.reason!r} "
                    f"({other.first_day} to {other.last_day}) overlap: make them one, or part their days or cells",
                    "freezes",
                    place,
                )
        return self


class Watch(Strict):
    """The alarm on published changes: its chance of being false, and what follows."""

    alpha: OpenShare = 0.05
    on_alarm: Literal["ask", "roll_back"] = "ask"


class CanarySettings(Strict):
    """The shares of a cell's videos on which a change that removes more acts before it acts on all; none: at once.

    A step lasts until the labels of `days_per_step` days are final, and speak of the change.
    """

    steps: list[OpenShare] = Field(default_factory=list)
    days_per_step: Annotated[int, Field(ge=1, le=60)] = 3

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(one >= other for one, other in pairwise(self.steps)):
            raise broken(f"steps {self.steps} must rise", "steps")
        return self


class ApprovalSettings(Strict):
    timeout_hours: Annotated[float, Field(ge=0.01, le=720)]
    assigned_users: Annotated[list[Text], AfterValidator(_distinct)]


class Route(Strict):
    """Who is told of what, and how.

    Attributes:
        events: that they are told of; by default all.
        channel: whose Airflow provider sends it.
        connection: of Airflow, which holds address and login.
        to: mail addresses (smtp), channels or people (slack), or tags of the connection's services (apprise).
    """

    events: Annotated[
        list[Annotated[EventKind, Field(strict=False)]], Field(min_length=1), AfterValidator(_distinct)
    ] = Field(default_factory=lambda: list(EventKind))
    channel: Literal["smtp", "slack", "apprise"]
    connection: Name
    to: Annotated[list[Text], Field(min_length=1), AfterValidator(_distinct)]

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for place, name in enumerate(self.to):
            if self.channel == "smtp" and not re.fullmatch(r"[^\s@,;<>]+@[^\s@,;<>]+", name):
                raise broken(f"{name!r} is no mail address, such as ana@example.com", "to", place)
        return self


_DAYS_BEGIN = "02:00"
"""When the runs of the day before start, UTC."""


def _after_the_start(text: str) -> str:
    if text <= _DAYS_BEGIN:
        raise ValueError(f"{text} is not after {_DAYS_BEGIN} UTC, when the runs of the day before start")
    return text


class Notifications(Strict):
    """Who is told of what. `day_due`: the time, UTC, by which the day before is to be finished."""

    day_due: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), AfterValidator(_after_the_start)] = (
        "08:00"
    )
    routes: list[Route] = Field(default_factory=list)

    def due(self, day: date) -> datetime:
        """When `day` is to be finished."""
        return datetime.combine(day + timedelta(days=1), time.fromisoformat(self.day_due), UTC)


class Acceptance(Strict):
    """What a challenger has to show beside a gain that is sure at its policy's confidence.

    `market_bound`: recall that it may lose in a market, by the estimate. `max_unscored`: share of the labelled draws
    that either version may have left without a row in video_scores.
    """

    market_bound: Annotated[float, Field(ge=0, lt=1)] = 0.05
    max_unscored: Share = 0.05


class Retraining(Strict):
    """When a model is to be retrained, and what a new one has to show.

    `recall_drop`: of the reachable recall, in the last `recent_days` with final labels against the window before.
    `false_ask`: chance that any model of a platform on which nothing changes is asked for within 60 days.
    `cooldown_days`: after a hand-over, or after a person declined one. `min_labels`: that came since the last.
    `approval`: whether a person is asked before training data leave.
    """

    recall_drop: OpenShare
    recent_days: Annotated[int, Field(ge=1, le=45)]
    false_ask: OpenShare = 0.05
    cooldown_days: Annotated[int, Field(ge=0, le=365)] = 14
    min_labels: Count
    approval: bool = False
    acceptance: Acceptance = Acceptance()


class Config(Strict):
    """All of policies.yaml; `defaults` are in each policy already."""

    defaults: dict[str, Any] = Field(default_factory=dict)
    policies: Annotated[dict[Name, Policy], Field(min_length=1)]
    markets: Annotated[dict[MarketName, Market], Field(min_length=1)]
    sampling: Sampling
    review_tool: ReviewTool = ReviewTool()
    gates: Gates
    guardrails: Guardrails
    watch: Watch = Watch()
    canary: CanarySettings = CanarySettings()
    approval: ApprovalSettings
    notifications: Notifications = Notifications()
    retraining: Retraining

    def on(self, day: date) -> Config:
        """What is configured for `day` itself: without the policies that are retired by then, which past days have."""
        there = {
            name: policy
            for name, policy in self.policies.items()
            if policy.retired_after is None or day <= policy.retired_after
        }
        return self.model_copy(update={"policies": there})

    def settled_through(self, policy: str, market: str, day: date) -> date:
        """The last day of samples which experts had time to settle as of `day`; where there are none, that is final."""
        waits = self.sampling.second_look.settle_days if self.markets[market].experts else 0
        return self.policies[policy].final_through(day) - timedelta(days=waits)

    @model_validator(mode="after")
    def _some_days_to_compare_with(self) -> Self:
        for name, policy in self.policies.items():
            final = policy.window_days - policy.maturity_days
            if final <= self.retraining.recent_days:
                raise broken(
                    f"{self.retraining.recent_days} days leave none to compare with: policies.{name} has {final} days "
                    "with final labels in its window",
                    "retraining",
                    "recent_days",
                )
        return self

    @model_validator(mode="after")
    def _enough_reviewers(self) -> Self:
        name, asked = max(((name, policy.overlap) for name, policy in self.policies.items()), key=lambda p: p[1])
        for market, setting in self.markets.items():
            if 0 < len(setting.reviewers) < asked:
                said = f"{len(setting.reviewers)} named, policies.{name}.overlap is {asked}"
                raise broken(said, "markets", market, "reviewers")
        return self

    @model_validator(mode="after")
    def _freezes_name_what_is_configured(self) -> Self:
        for place, freeze in enumerate(self.guardrails.freezes):
            for key, names, known in (
                ("policies", freeze.policies, self.policies),
                ("markets", freeze.markets, self.markets),
            ):
                if unknown := sorted(set(names) - set(known)):
                    said = f"{key} of {freeze.reason!r} names {unknown[0]!r}, which is not configured"
                    raise broken(said, "guardrails", "freezes", place, key)
        return self
