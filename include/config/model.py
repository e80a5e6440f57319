"""The configuration as typed objects. Unknown keys, wrong types and values out of range are refused by name."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from include.config.strict import Strict
from include.contract.tables import N_BINS
from include.contract.terms import Ruling

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Reviewer = Annotated[str, Field(pattern=r"^[^\s;,]+$", max_length=200)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]


def _on_grid(value: float) -> float:
    if abs(value * N_BINS - round(value * N_BINS)) > 1e-9:
        raise ValueError(f"{value:g} is not a multiple of {1 / N_BINS:g}, the width of a histogram bin")
    return value


Threshold = Annotated[float, Field(gt=0, le=1), AfterValidator(_on_grid)]


class Thresholds(Strict):
    """score >= remove_at: remove; else score >= review_at: review; else allow."""

    remove_at: Threshold
    review_at: Threshold

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.review_at > self.remove_at:
            raise ValueError(f"review_at {self.review_at} is above remove_at {self.remove_at}")
        return self


class ThresholdLimits(Strict):
    """The lowest values a threshold may ever take."""

    lowest_remove_at: Threshold
    lowest_review_at: Threshold


class ReviewerFloor(Strict):
    """What is asked of a reviewer, once `min_labels` votes can be judged. Flagged: an interval wholly below."""

    sensitivity: Share = 0.5
    specificity: Share = 0.8
    min_labels: Annotated[int, Field(ge=1)] = 20


class Policy(Strict):
    """One policy: what is asked of its thresholds and how it is reviewed."""

    description: str
    model_versions: Annotated[list[Name], Field(min_length=1)]
    target_precision: OpenShare
    target_recall: OpenShare
    confidence: OpenShare
    no_score: Literal["review", "allow"]
    minutes_per_label: Positive
    overlap: Annotated[int, Field(ge=1, le=5)]
    maturity_days: Annotated[int, Field(ge=0, le=60)]
    window_days: Annotated[int, Field(ge=1, le=90)]
    consensus: Literal["majority", "one_coin", "dawid_skene"]
    correct_reviewer_error: bool = True
    reviewer_floor: ReviewerFloor = ReviewerFloor()
    below_floor: Literal["keep", "down_weight", "leave_out"] = "keep"
    guideline_version: str
    initial: Thresholds
    limits: ThresholdLimits

    def final_through(self, day: date) -> date:
        """The last day of samples whose labels are final as of `day`: maturity_days before it."""
        return day - timedelta(days=self.maturity_days)

    def window_start(self, day: date) -> date:
        """The first day of samples that estimates as of `day` rest on."""
        return day - timedelta(days=self.window_days - 1)


class Market(Strict):
    """One market: its region, for pooling, what its reviewers can do in a day, and who they are, if known here."""

    region: Name
    reviewer_minutes: Positive
    reviewers: list[Reviewer] = Field(default_factory=list)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if twice := [name for name in self.reviewers if self.reviewers.count(name) > 1]:
            raise ValueError(f"reviewers names {twice[0]} twice")
        return self


class Programmes(Strict):
    """How the sampling minutes are split; 0 switches a programme off."""

    audit: Annotated[float, Field(gt=0, le=1)]
    prevalence: Share
    golden: Share
    training: Share

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if (total := self.audit + self.prevalence + self.golden + self.training) > 1 + 1e-9:
            raise ValueError(f"audit, prevalence, golden and training together are {total:g}, which exceeds 1")
        return self


class Sampling(Strict):
    salt: Annotated[int, Field(ge=0, lt=2**31)]
    minutes_share: OpenShare
    programmes: Programmes
    remove_share: Share
    allow_share: Share
    defensive_share: Share

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.remove_share + self.allow_share > 1:
            raise ValueError("remove_share and allow_share together exceed 1")
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
    max_volume_ratio: Annotated[float, Field(ge=1)]
    max_null_score_share: Share
    max_invalid_share: Share
    max_reject_share: Share
    max_unsampled_share: Share
    garbage_min_lines: Annotated[int, Field(ge=1)]
    sample_deviation: Positive

    def garbage(self, lines: pd.Series, refused: pd.Series) -> pd.Series:
        """Which files of label events are mostly garbage: so many `lines` that it is no accident, too many `refused`.

        Events refused for an id that is taken are not counted as refused: a file sent twice is no garbage.
        """
        return (lines >= self.garbage_min_lines) & (refused > self.max_reject_share * lines)


class Freeze(Strict):
    """Days, both inclusive, on which thresholds stay; no policies or no markets: all of them."""

    first_day: date
    last_day: date
    reason: Annotated[str, Field(pattern=r"\S")]
    policies: list[Name] = Field(default_factory=list)
    markets: list[Name] = Field(default_factory=list)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            raise ValueError(f"last_day {self.last_day} of the freeze {self.reason!r} is before {self.first_day}")
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
    min_labels: Annotated[int, Field(ge=1)]
    max_volume_change: Positive
    small_change_videos: Annotated[int, Field(ge=0)]
    min_volume_change: Share
    loosen_step: Annotated[float, Field(gt=0, le=1)]
    loosen_after_days: Annotated[int, Field(ge=0, le=28)]
    max_review_ratio: Positive
    refuted: Annotated[Ruling, Field(strict=False)]
    flood_factor: Annotated[float, Field(gt=1)]
    max_cells_changed: Share
    max_total_change: Positive
    freezes: list[Freeze]

    @model_validator(mode="after")
    def _freezes_apart(self) -> Self:
        for one, other in combinations(self.freezes, 2):
            if one.overlaps(other):
                raise ValueError(
                    f"freezes {one.reason!r} ({one.first_day} to {one.last_day}) and {other.reason!r} "
                    f"({other.first_day} to {other.last_day}) overlap: make them one, or part their days or cells"
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
    days_per_step: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(one >= other for one, other in pairwise(self.steps)):
            raise ValueError(f"steps {self.steps} must rise")
        return self


class ApprovalSettings(Strict):
    timeout_hours: Positive
    assigned_users: list[str]


class Retraining(Strict):
    recall_drop: OpenShare
    consecutive_days: Annotated[int, Field(ge=1)]
    reference_days: Annotated[int, Field(ge=2, le=365)]
    min_labels: Annotated[int, Field(ge=1)]


class Config(Strict):
    """All of policies.yaml; `defaults` are in each policy already."""

    defaults: dict[str, Any] = Field(default_factory=dict)
    policies: Annotated[dict[Name, Policy], Field(min_length=1)]
    markets: Annotated[dict[Name, Market], Field(min_length=1)]
    sampling: Sampling
    review_tool: ReviewTool = ReviewTool()
    gates: Gates
    guardrails: Guardrails
    watch: Watch = Watch()
    canary: CanarySettings = CanarySettings()
    approval: ApprovalSettings
    retraining: Retraining

    @model_validator(mode="after")
    def _enough_reviewers(self) -> Self:
        name, asked = max(((name, policy.overlap) for name, policy in self.policies.items()), key=lambda p: p[1])
        for market, setting in self.markets.items():
            if 0 < len(setting.reviewers) < asked:
                raise ValueError(
                    f"markets.{market}.reviewers: {len(setting.reviewers)} named, policies.{name}.overlap is {asked}"
                )
        return self

    @model_validator(mode="after")
    def _freezes_name_what_is_configured(self) -> Self:
        for freeze in self.guardrails.freezes:
            for key, names, known in (
                ("policies", freeze.policies, self.policies),
                ("markets", freeze.markets, self.markets),
            ):
                if unknown := sorted(set(names) - set(known)):
                    raise ValueError(
                        f"guardrails.freezes: {key} of {freeze.reason!r} names {unknown[0]!r}, which is not configured"
                    )
        return self
