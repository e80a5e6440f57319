"""The configuration as typed objects. Unknown keys, wrong types and values out of range are refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from include.config.strict import Strict
from include.contract.tables import N_BINS

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
    reviewer_floor: ReviewerFloor = ReviewerFloor()
    below_floor: Literal["keep", "down_weight", "leave_out"] = "keep"
    guideline_version: str
    initial: Thresholds
    limits: ThresholdLimits


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


class Sampling(Strict):
    salt: Annotated[int, Field(ge=0, lt=2**31)]
    audit_share: OpenShare
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
    sample_deviation: Positive


class Guardrails(Strict):
    min_labels: Annotated[int, Field(ge=1)]
    max_volume_change: Positive
    small_change_videos: Annotated[int, Field(ge=0)]
    loosen_step: Annotated[float, Field(gt=0, le=1)]
    max_review_ratio: Positive


class Approval(Strict):
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
    approval: Approval
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
