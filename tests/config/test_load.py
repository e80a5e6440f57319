"""policies.yaml: what is shipped loads, and every mistake is refused by file, key and what is allowed."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.config.load import DEFAULT_CONFIG, ConfigError, load_config
from include.config.settings import config_path


@pytest.fixture
def raw() -> dict[str, Any]:
    """The shipped file, to be broken."""
    loaded: dict[str, Any] = yaml.safe_load(DEFAULT_CONFIG.read_text(encoding="utf-8"))
    return loaded


def refusal(folder: Path, content: str | dict[str, Any]) -> str:
    """The message with which `content` is refused, without the path it must start with."""
    path = folder / "policies.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_defaults_hold_where_a_policy_does_not_say_otherwise(raw: dict[str, Any]) -> None:
    config = load_config()
    for name, policy in raw["policies"].items():
        for key, value in {**raw["defaults"], **policy}.items():
            loaded = getattr(config.policies[name], key)
            assert (loaded.model_dump() if hasattr(loaded, "model_dump") else loaded) == value, (name, key)
    assert config.policies["fraud"].target_precision != config.policies["violence"].target_precision


FREEZE = {"first_day": date(2026, 11, 27), "last_day": date(2026, 11, 30), "reason": "sales"}

MISTAKES: dict[str, tuple[str, Any, str]] = {
    "unknown key in a policy": ("policies.violence.target_precison", 0.9, "unknown key target_precison; allowed: "),
    "unknown key in a section": ("gates.min_volume", 0.5, "unknown key min_volume; allowed: min_volume_ratio, "),
    "unknown key in thresholds": ("policies.fraud.initial", {"remove_at": 0.9, "review": 0.8}, "unknown key review; "),
    "unknown section": ("default", {}, "unknown key default; allowed: defaults, policies, markets, sampling"),
    "text for a number": ("policies.violence.window_days", "soon", "should be a valid integer (found 'soon')"),
    "number as text": ("policies.violence.window_days", "14", "should be a valid integer (found '14')"),
    "yes for a number": ("policies.violence.overlap", True, "should be a valid integer (found True)"),
    "part of a day": ("policies.violence.maturity_days", 2.5, "valid integer"),
    "number for text": ("policies.violence.guideline_version", 2026, "should be a valid string (found 2026)"),
    "share above 1": ("policies.violence.target_precision", 1.2, "less than 1 (found 1.2)"),
    "share of 1": ("policies.violence.confidence", 1.0, "less than 1 (found 1.0)"),
    "negative minutes": ("markets.BR.reviewer_minutes", -5, "greater than 0 (found -5)"),
    "endless minutes": ("markets.BR.reviewer_minutes", float("inf"), "finite number (found inf)"),
    "not a number": ("guardrails.max_review_ratio", float("nan"), "finite number (found nan)"),
    "unknown choice": (
        "policies.violence.consensus",
        "loudest",
        "'majority', 'one_coin' or 'dawid_skene' (found ",
    ),
    "no model": ("policies.violence.model_versions", [], "at least 1 item"),
    "bad name": ("policies.violence.model_versions", ["v 3;"], "should match pattern"),
    "no market": ("markets", {}, "at least 1 item"),
    "shares exceed 1": ("sampling.remove_share", 0.95, "remove_share and allow_share together exceed 1"),
    "off the grid": (
        "policies.violence.initial",
        {"remove_at": 0.9805, "review_at": 0.8},
        "0.9805 is not a multiple of 0.001",
    ),
    "wrong order": (
        "policies.violence.initial",
        {"remove_at": 0.8, "review_at": 0.9},
        "review_at 0.9 is above remove_at 0.8",
    ),
    "floor above 1": ("policies.violence.reviewer_floor", {"sensitivity": 1.5}, "less than or equal to 1 (found 1.5)"),
    "unknown action": ("policies.violence.below_floor", "fire", "'keep', 'down_weight' or 'leave_out' (found "),
    "a reviewer twice": ("markets.BR.reviewers", ["ana", "bo", "ana"], "reviewers names ana twice"),
    "a reviewer with a separator": ("markets.BR.reviewers", ["ana;bo"], "should match pattern"),
    "a video's address without the video": ("review_tool.video_url", "https://example.com/", "must hold {video_id}"),
    "an address with other braces": ("review_tool.video_url", "https://e/{video_id}/{x}", "no other braces"),
    "a reversed freeze": (
        "guardrails.freezes",
        [{**FREEZE, "last_day": date(2026, 11, 26)}],
        "last_day 2026-11-26 of the freeze 'sales' is before 2026-11-27",
    ),
    "freezes that overlap": (
        "guardrails.freezes",
        [FREEZE, {**FREEZE, "first_day": date(2026, 11, 30), "last_day": date(2026, 12, 2), "markets": ["DE"]}],
        "freezes 'sales' (2026-11-27 to 2026-11-30) and 'sales' (2026-11-30 to 2026-12-02) overlap",
    ),
    "a freeze without a reason": ("guardrails.freezes", [{**FREEZE, "reason": " "}], "freezes.0.reason: "),
    "a freeze day in words": ("guardrails.freezes", [{**FREEZE, "last_day": "Monday"}], "freezes.0.last_day: "),
    "policy as a list": ("policies.violence", ["strict"], "policies.violence: "),
    "defaults as a list": ("defaults", [1], "defaults: Input should be a valid dictionary (found [1])"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_names_its_key_and_what_is_allowed(tmp_path: Path, raw: dict[str, Any], kind: str) -> None:
    key, value, said = MISTAKES[kind]
    *above, last = key.split(".")
    section = raw
    for name in above:
        section = section[name]
    section[last] = value
    line = next(line for line in refusal(tmp_path, raw).splitlines() if said in line)
    where = line.strip().partition(": ")[0]
    assert where.startswith(key) or where == (".".join(above) or "the file"), line


def test_a_missing_key_is_named(tmp_path: Path, raw: dict[str, Any]) -> None:
    del raw["approval"]
    del raw["defaults"]["window_days"]
    said = refusal(tmp_path, raw)
    assert "4 value(s) cannot be used" in said
    assert "  approval: Field required" in said
    assert "  policies.violence.window_days: Field required" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("policies: [\n", "not valid YAML: "),
        ("a: b: c", "not valid YAML: mapping values are not allowed"),
        ("just text", "expected keys defaults, policies, markets, "),
        ("", "expected keys defaults, policies, "),
        ("- 1\n- 2\n", "found list"),
    ],
)
def test_what_is_no_configuration_at_all(tmp_path: Path, content: str, said: str) -> None:
    assert said in refusal(tmp_path, content)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_bytes(b"\xff\xfe\x00markets")
    with pytest.raises(ConfigError, match=r"policies\.yaml: not valid YAML"):
        load_config(tmp_path / "policies.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{tmp_path}/none\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_changed_file_is_read_again(tmp_path: Path, raw: dict[str, Any]) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    first = load_config(path)
    assert load_config(path) is first
    raw["policies"]["violence"]["window_days"] = 21
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert load_config(path).policies["violence"].window_days == 21


def test_the_environment_says_which_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_path() == DEFAULT_CONFIG
    monkeypatch.setenv("PLUMBLINE_CONFIG", "mine/policies.yaml")
    assert config_path() == home / "mine" / "policies.yaml"
    monkeypatch.setenv("PLUMBLINE_CONFIG", "/elsewhere/policies.yaml")
    assert config_path() == Path("/elsewhere/policies.yaml")


def test_a_roster_smaller_than_the_overlap_is_refused(tmp_path: Path, raw: dict[str, Any]) -> None:
    raw["markets"]["DE"]["reviewers"] = ["ana", "bo"]
    raw["policies"]["violence"]["overlap"] = 3
    assert "markets.DE.reviewers: 2 named, policies.violence.overlap is 3" in refusal(tmp_path, raw)


@pytest.mark.parametrize(("key", "name"), [("policies", "spam"), ("markets", "DK")])
def test_a_freeze_names_what_is_configured(raw: dict[str, Any], tmp_path: Path, key: str, name: str) -> None:
    raw["guardrails"]["freezes"] = [{**FREEZE, key: [name]}]
    assert f"guardrails.freezes: {key} of 'sales' names '{name}'" in refusal(tmp_path, raw)


def test_freezes_of_other_days_or_cells_stand_side_by_side(raw: dict[str, Any], tmp_path: Path) -> None:
    raw["guardrails"]["freezes"] = [
        {**FREEZE, "markets": ["DE"]},
        {**FREEZE, "markets": ["BR"], "policies": ["fraud"]},
        {**FREEZE, "markets": ["BR"], "policies": ["violence"]},
        {**FREEZE, "first_day": date(2026, 12, 1), "last_day": date(2026, 12, 1)},
    ]
    path = tmp_path / "policies.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    found = load_config(path).guardrails.freezes
    covered = [
        [freeze.covers(day, policy, market) for freeze in found]
        for day, policy, market in (
            (date(2026, 11, 27), "fraud", "DE"),
            (date(2026, 11, 30), "fraud", "BR"),
            (date(2026, 12, 1), "fraud", "IN"),
            (date(2026, 11, 26), "fraud", "DE"),
        )
    ]
    assert covered == [[True, False, False, False], [False, True, False, False], [False] * 3 + [True], [False] * 4]
