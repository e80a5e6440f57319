"""Scenarios: what happens on the simulated platform, as small YAML files that are validated before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from include.config.model import Name, Share
from include.config.strict import Strict, explain
from include.config.yaml_file import YamlFile, YamlRefused, read_yaml

SCENARIOS = Path(__file__).with_name("scenarios")

Positive = Annotated[float, Field(gt=0)]
Day = Annotated[int, Field(ge=0)]


class ScenarioError(ValueError):
    """The scenario cannot be used. The message names the file, each key and what is allowed there."""


class SimulatedMarket(Strict):
    share: Share
    """Share of the platform's videos."""


class Videos(Strict):
    """Reposts, and views: lognormal, a viral share of them multiplied by a Pareto variable of exponent alpha."""

    repost_share: Annotated[float, Field(ge=0, le=0.5)]
    repost_noise: Annotated[float, Field(ge=0)]
    median_views: Positive
    views_sigma: Annotated[float, Field(ge=0, le=4)]
    viral_share: Share
    viral_alpha: Annotated[float, Field(gt=1)]
    cluster_ids: bool = False
    """Whether the platform knows which videos are copies of one another and delivers it with the scores."""


class Normal(Strict):
    mean: float
    sd: Positive


class Evidence(Strict):
    """The four components of the evidence a video gives; the last two violate."""

    ordinary: Normal
    hard_negative: Normal
    clear_positive: Normal
    hard_positive: Normal


class ModelVersion(Strict):
    """How a version scores: logit = offset + market offset + slope x (separation x mean + sd x normal noise)."""

    from_day: Day = 0
    to_day: Day | None = None
    separation: Positive
    noise: Share
    """Share of the variance within a component that is the version's own, not shared with other versions."""
    slope: Positive
    offset: float
    market_offsets: dict[Name, float] = Field(default_factory=dict)
    missing_share: Share

    def active(self, index: int) -> bool:
        """Whether the version scores on day `index`."""
        return _within(self.from_day, self.to_day, index)


class SimulatedPolicy(Strict):
    prevalence: dict[Name, Annotated[float, Field(gt=0, lt=0.5)]]
    hard_negatives: dict[Name, Share]
    hard_positives: Share
    evidence: Evidence
    models: Annotated[dict[Name, ModelVersion], Field(min_length=1)]


class SimulatedReviewer(Strict):
    """A reviewer. `sensitivity`, `specificity`: of answers that are not unsure; `speed`: relative share of the work."""

    markets: Annotated[list[Name], Field(min_length=1)]
    sensitivity: Share
    specificity: Share
    unsure_share: Share
    speed: Positive
    median_hours: Annotated[float, Field(gt=0, le=72)]
    format: Literal["jsonl", "csv"] = "jsonl"
    deceived_share: Share = 0.0
    """Share of hard negatives and hard positives that the reviewer takes for what they look like, whatever the rest."""
    unsure_share_violating: Share | None = None
    """The unsure_share of what violates. None: the same as of the rest."""


class Answers(Strict):
    """How answers reach the platform, and what reaches it besides."""

    unanswered_share: Share
    late_share: Share
    duplicate_share: Share
    correction_share: Share
    without_sample_id_share: Share
    garbage_share: Share
    golden_share: Share
    golden_from: Literal["queue", "disputes"] = "queue"
    """What experts settle a share of for golden labels: the queue, or the videos that reviewers disagree about."""


class ReviewQueue(Strict):
    """How reviewers answer what serving sends to review, one of them each, soon, and delivered as labels.

    `left_share`: of it, what nobody gets to. `flagged_share`: chance that a reviewer who would have let a video pass
    calls it violating because it was flagged.
    """

    left_share: Share = 0.0
    flagged_share: Share = 0.0


class AppealRates(Strict):
    appealed_when_violating: Share
    appealed_when_not: Share
    overturned_when_violating: Share
    overturned_when_not: Share


class _Event(Strict):
    from_day: Day
    to_day: Day | None = None
    """Last day; None: to the end."""
    days_of_week: Annotated[list[Annotated[int, Field(ge=0, le=6)]], Field(min_length=1)] | None = None
    """Only on these days of every seven, day 0 of the scenario being 0; None: on every day."""

    def active(self, index: int) -> bool:
        """Whether the event is on, on day `index`."""
        in_week = self.days_of_week is None or index % 7 in self.days_of_week
        return in_week and _within(self.from_day, self.to_day, index)


class Shift(_Event):
    """Content changes: how much, how often it violates, how much of the rest looks alike, how suspicious it looks."""

    kind: Literal["shift"]
    markets: Annotated[list[Name], Field(min_length=1)]
    policies: Annotated[list[Name], Field(min_length=1)]
    volume_factor: Positive = 1.0
    prevalence_factor: Positive = 1.0
    hard_negatives_factor: Positive = 1.0
    evidence_shift: float = 0.0


class Evasion(_Event):
    """A share of what violates gives less evidence than before."""

    kind: Literal["evasion"]
    markets: Annotated[list[Name], Field(min_length=1)]
    policies: Annotated[list[Name], Field(min_length=1)]
    share: Share
    evidence_drop: Positive
    prevalence_factor: Positive = 1.0


class ReviewersChange(_Event):
    """Some reviewers answer differently; by the day of the videos reviewed."""

    kind: Literal["reviewers"]
    reviewers: Annotated[list[Name], Field(min_length=1)]
    sensitivity: Share | None = None
    specificity: Share | None = None
    unsure_share: Share | None = None
    speed: Positive | None = None
    median_hours: Annotated[float, Field(gt=0, le=72)] | None = None
    deceived_share: Share | None = None
    unsure_share_violating: Share | None = None


class Campaigns(_Event):
    """A share of the day's videos is posted in campaigns: groups of so many copies, on top of ordinary reposts."""

    kind: Literal["campaigns"]
    share: Share
    copies: Annotated[int, Field(ge=2, le=1000)]


class Retraining(_Event):
    """A model version is trained anew and scores otherwise, and nobody changes its name."""

    kind: Literal["retraining"]
    model_versions: Annotated[list[Name], Field(min_length=1)]
    separation: Positive | None = None
    noise: Share | None = None
    slope: Positive | None = None
    offset: float | None = None


class Faults(Strict):
    """Shares of the rows of `video_scores` hit. What serving does is not affected: only the export is broken."""

    out_of_range_scores: Share = 0.0
    nan_scores: Share = 0.0
    null_scores: Share = 0.0
    negative_views: Share = 0.0
    unknown_market: Share = 0.0
    duplicate_rows: Share = 0.0
    lost_rows: Share = 0.0


class BrokenFeed(_Event):
    kind: Literal["broken_feed"]
    faults: Faults


Event = Annotated[Shift | Evasion | ReviewersChange | Campaigns | Retraining | BrokenFeed, Field(discriminator="kind")]


class Scenario(Strict):
    """A scenario. Days count from 0, the first simulated day."""

    description: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    videos_per_day: Annotated[int, Field(ge=1, le=20_000_000)]
    markets: Annotated[dict[Name, SimulatedMarket], Field(min_length=1, max_length=100)]
    videos: Videos
    policies: Annotated[dict[Name, SimulatedPolicy], Field(min_length=1)]
    reviewers: Annotated[dict[Name, SimulatedReviewer], Field(min_length=1)]
    answers: Answers
    review_queue: ReviewQueue | None = None
    """None: what its reviewers decide is not delivered."""
    appeals: AppealRates
    events: list[Event] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if abs(sum(market.share for market in self.markets.values()) - 1) > 1e-6:
            raise ValueError("markets: the shares must sum to 1")
        versions: set[str] = set()
        for name, policy in self.policies.items():
            for key in ("prevalence", "hard_negatives"):
                if set(getattr(policy, key)) != set(self.markets):
                    raise ValueError(f"policies.{name}.{key}: needs exactly the markets {', '.join(self.markets)}")
            for version, model in policy.models.items():
                _known(f"policies.{name}.models.{version}.market_offsets", model.market_offsets, self.markets)
                if version in versions:
                    raise ValueError(f"policies.{name}.models.{version}: another policy has a version of that name")
                versions.add(version)
        for name, reviewer in self.reviewers.items():
            _known(f"reviewers.{name}.markets", reviewer.markets, self.markets)
        staffed = {market for reviewer in self.reviewers.values() for market in reviewer.markets}
        if unstaffed := [market for market in self.markets if market not in staffed]:
            raise ValueError(f"reviewers: nobody reviews {', '.join(unstaffed)}")
        for number, event in enumerate(self.events):
            for key, allowed in (
                ("markets", self.markets),
                ("policies", self.policies),
                ("reviewers", self.reviewers),
                ("model_versions", versions),
            ):
                _known(f"events.{number}.{key}", getattr(event, key, ()), allowed)
        return self

    def model_on(self, policy: str, version: str, index: int) -> ModelVersion:
        """The model version as it scores on day `index`: silent retraining changes it."""
        model = self.policies[policy].models[version]
        for event in self.events:
            if isinstance(event, Retraining) and version in event.model_versions and event.active(index):
                changed = event.model_dump(include={"separation", "noise", "slope", "offset"}, exclude_none=True)
                model = model.model_copy(update=changed)
        return model


def load_scenario(source: str | Path, *, videos_per_day: int | None = None, seed: int | None = None) -> Scenario:
    """The scenario of that name (see `scenario_names`) or in that file, which ends in .yaml or .yml.

    A file may say `extends: name`: its keys are laid over the named scenario's, mappings key by key, all else whole.
    `videos_per_day` and `seed` replace the file's. Raises ScenarioError.
    """
    path = Path(source) if str(source).endswith((".yaml", ".yml")) else _path_of(str(source))
    file, raw = _read(path)
    overrides = {"videos_per_day": videos_per_day, "seed": seed}
    raw |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise ScenarioError(explain(file, error)) from error


def scenario_names() -> list[str]:
    """Names of the scenarios that come with Plumbline, sorted."""
    return sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def _within(from_day: int, to_day: int | None, index: int) -> bool:
    return from_day <= index and (to_day is None or index <= to_day)


def _known(key: str, names: Any, allowed: Any) -> None:
    if unknown := [name for name in names if name not in allowed]:
        raise ValueError(f"{key}: unknown {', '.join(unknown)}; allowed: {', '.join(allowed)}")


def _path_of(name: str) -> Path:
    if name not in scenario_names():
        raise ScenarioError(f"no scenario {name}; allowed: {', '.join(scenario_names())}, or the path of a .yaml file")
    return SCENARIOS / f"{name}.yaml"


def _read(path: Path) -> tuple[YamlFile, dict[str, Any]]:
    """The file, and its keys laid over those of the scenario it extends."""
    try:
        file = read_yaml(path)
    except YamlRefused as error:
        raise ScenarioError(str(error)) from error
    raw = file.content
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path}: expected keys {', '.join(Scenario.model_fields)}, found {type(raw).__name__}")
    if "extends" not in raw:
        return file, raw
    try:
        base = _path_of(str(raw.pop("extends")))
    except ScenarioError as error:
        raise ScenarioError(f"{path}: extends: {error}") from error
    return file, _laid_over(_read(base)[1], raw)


def _laid_over(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
