from __future__ import annotations

from pathlib import Path

import pytest

from include.config.load import load_config
from include.simulation.scenario import ScenarioError, load_scenario, scenario_names


def test_every_scenario_of_the_brief_loads_and_says_what_it_is():
    assert scenario_names() == [
        "broken_feed",
        "calm",
        "careless_reviewers",
        "demo",
        "evasion_wave",
        "hard_to_judge",
        "market_shift",
        "new_model_version",
        "reposts",
        "review_queue",
        "silent_retraining",
        "weekends",
    ]
    assert len({load_scenario(name).description for name in scenario_names()}) == len(scenario_names())


@pytest.mark.parametrize("name", scenario_names())
def test_scenarios_fit_policies_yaml(name):
    config, scenario = load_config(), load_scenario(name)
    assert set(scenario.policies) == set(config.policies)
    assert set(scenario.markets) == set(config.markets)
    for policy, spec in scenario.policies.items():
        assert set(spec.models) <= set(config.policies[policy].model_versions)
        assert all(0.0002 <= p <= 0.03 for p in spec.prevalence.values())


def test_extends_lays_mappings_over_mappings():
    fraud = load_scenario("new_model_version").policies["fraud"]
    assert list(fraud.models) == ["fraud-v2", "fraud-v3"]
    assert fraud.models["fraud-v2"] == load_scenario("calm").policies["fraud"].models["fraud-v2"]


def test_an_event_may_come_back_on_days_of_the_week():
    harmless, slow = load_scenario("weekends").events
    assert [index for index in range(14) if harmless.active(index)] == [5, 6, 12, 13]
    assert [index for index in range(7) if slow.active(index)] == [5, 6]


def test_a_model_trained_anew_keeps_its_name_and_what_is_not_changed():
    scenario = load_scenario("silent_retraining")
    old, new = (scenario.model_on("violence", "violence-v3", index) for index in (19, 20))
    assert old == scenario.policies["violence"].models["violence-v3"]
    assert (new.slope, new.noise, new.offset, new.separation) == (2.0, 0.5, old.offset, old.separation)
    assert scenario.model_on("fraud", "fraud-v2", 20) == scenario.policies["fraud"].models["fraud-v2"]


def test_volume_and_seed_can_be_replaced():
    scenario = load_scenario("calm", videos_per_day=123, seed=7)
    assert (scenario.videos_per_day, scenario.seed) == (123, 7)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "extends: calm\nvideo_per_day: 5",
            ["unknown key video_per_day", "allowed: description, seed, videos_per_day"],
        ),
        ("extends: calm\nmarkets: {BR: {share: 2}}", ["markets.BR.share", "less than or equal to 1", "found 2"]),
        ("extends: calm\nmarkets: {BR: {share: 0.5}}", ["markets: the shares must sum to 1"]),
        ("extends: calm\nmarkets: {BR: {shar: 0.5}}", ["markets.BR", "unknown key shar", "allowed: share"]),
        ("extends: storm", ["extends", "no scenario storm", "allowed: broken_feed, calm"]),
        (
            "extends: calm\nevents: [{kind: retraining, from_day: 1, model_versions: [violence-v9]}]",
            ["events.0.model_versions: unknown violence-v9", "violence-v3"],
        ),
        (
            "extends: calm\nevents: [{kind: campaigns, from_day: 1, share: 0.2, copies: 1, days_of_week: [7]}]",
            ["events.0.campaigns.days_of_week", "events.0.campaigns.copies"],
        ),
        ("extends: calm\nevents: [{kind: flood, from_day: 1}]", ["events.0", "'flood'", "'shift', 'evasion'"]),
        (
            "extends: calm\nevents: [{kind: broken_feed, from_day: 1, faults: {nan: 0.1}}]",
            ["events.0.broken_feed.faults", "unknown key nan", "nan_scores"],
        ),
        (
            "extends: calm\nevents: [{kind: reviewers, from_day: 1, reviewers: [bob]}]",
            ["events.0.reviewers: unknown bob", "br-ana"],
        ),
        ("extends: calm\nreviewers: {br-ana: {markets: [FR]}}", ["reviewers.br-ana.markets: unknown FR", "BR, DE, IN"]),
        ("[1, 2]", ["expected keys description", "found list"]),
        ("a: [", ["not valid YAML"]),
    ],
)
def test_errors_name_file_key_and_what_is_allowed(tmp_path: Path, text: str, parts: list[str]):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    for part in ["mine.yaml", *parts]:
        assert part in str(caught.value)


def test_missing_file_and_name_are_refused(tmp_path: Path):
    with pytest.raises(ScenarioError, match=r"gone\.yaml: cannot be read"):
        load_scenario(tmp_path / "gone.yaml")
    with pytest.raises(ScenarioError, match=r"no scenario storm; allowed: .*calm"):
        load_scenario("storm")
