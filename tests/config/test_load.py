"""policies.yaml: what is shipped loads, and every mistake is refused by file, key, line and what is allowed."""

from __future__ import annotations

import os
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.config.load import DEFAULT_CONFIG, ConfigError, load_config
from include.config.settings import config_path
from include.config.yaml_file import read_yaml, write_yaml


@pytest.fixture
def raw() -> dict[str, Any]:
    """The shipped file, to be broken."""
    loaded: dict[str, Any] = yaml.safe_load(DEFAULT_CONFIG.read_text(encoding="utf-8"))
    return loaded


def refusal(folder: Path, content: str | dict[str, Any]) -> str:
    """The message with which `content` is refused, without the path it must start with."""
    path = folder / "policies.yaml"
    path.write_text(content if isinstance(content, str) else write_yaml(content), encoding="utf-8")
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
    "share above 1": ("policies.violence.target_precision", 1.2, "less than or equal to 0.999999 (found 1.2)"),
    "share of 1": ("policies.violence.confidence", 1.0, "less than or equal to 0.999999 (found 1.0)"),
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
    "a reviewer twice": ("markets.BR.reviewers", ["ana", "bo", "ana"], "names ana twice"),
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
    "a freeze without a reason": ("guardrails.freezes", [{**FREEZE, "reason": " "}], "freezes.0.reason (line "),
    "a freeze day in words": ("guardrails.freezes", [{**FREEZE, "last_day": "Monday"}], "freezes.0.last_day (line "),
    "a window without a final day": (
        "policies.violence.window_days",
        3,
        "3 days hold no day whose labels are final: that takes more than maturity_days, 3",
    ),
    "a guideline's address that runs": (
        "policies.violence.guideline_url",
        "javascript:alert(1)",
        "should match pattern",
    ),
    "a guideline's address with markup": ("policies.violence.guideline_url", 'https://g/"><b>', "should match pattern"),
    "a blank guideline text": ("policies.violence.guideline_text", " \n ", "is blank"),
    "an empty guideline": ("policies.violence.guideline_version", "", "should match pattern"),
    "a padded guideline": ("policies.violence.guideline_version", "2026-1 ", "should match pattern"),
    "a start below the limit of removal": (
        "policies.violence.initial",
        {"remove_at": 0.4, "review_at": 0.3},
        "0.4 is below limits.lowest_remove_at, 0.5",
    ),
    "a start below the limit of review": (
        "policies.violence.initial",
        {"remove_at": 0.9, "review_at": 0.01},
        "0.01 is below limits.lowest_review_at, 0.05",
    ),
    "limits in the wrong order": (
        "policies.violence.limits",
        {"lowest_remove_at": 0.5, "lowest_review_at": 0.6},
        "0.6 is above lowest_remove_at 0.5",
    ),
    "a model version twice": ("policies.fraud.model_versions", ["fraud-v2", "fraud-v2"], "names fraud-v2 twice"),
    "hours without end": ("approval.timeout_hours", 1e300, "less than or equal to 720 (found 1e+300)"),
    "a thousand hours": ("approval.timeout_hours", 1000, "less than or equal to 720 (found 1000)"),
    "minutes without end": ("markets.BR.reviewer_minutes", 1e300, "less than or equal to 100000000 (found 1e+300)"),
    "no time for an answer": ("policies.violence.minutes_per_label", 1e-300, "greater than or equal to 0.01"),
    "a ratio without end": ("guardrails.max_review_ratio", 1e300, "less than or equal to 1000000"),
    "a count no machine holds": ("retraining.min_labels", 10**400, "should be a valid integer (found '1000"),
    "true for a share": ("guardrails.max_cells_changed", True, "should be a valid number (found True)"),
    "a share that rounds to 0": ("policies.fraud.target_recall", 1e-9, "greater than or equal to 0.000001"),
    "a target that rounds to 1": ("policies.fraud.target_precision", 1 - 1e-9, "less than or equal to 0.999999"),
    "a market for all": ("markets.all", {"region": "europe", "reviewer_minutes": 5}, "cannot be called all"),
    "a market for all, loudly": ("markets.ALL", {"region": "europe", "reviewer_minutes": 5}, "cannot be called ALL"),
    "a market for any": ("markets.*", {"region": "europe", "reviewer_minutes": 5}, "should match pattern"),
    "a user twice": ("approval.assigned_users", ["ana", "ana"], "names ana twice"),
    "a user without a name": ("approval.assigned_users", [" "], "should match pattern"),
    "no day to compare recall with": (
        "retraining.recent_days",
        25,
        "25 days leave none to compare with: policies.violence has 25 days with final labels in its window",
    ),
    "a challenger nobody configured": ("policies.fraud.challengers", ["fraud-v9"], "fraud-v9 is not among"),
    "nobody but challengers": ("policies.fraud.challengers", ["fraud-v2", "fraud-v3"], "none is in service"),
    "a policy frozen twice": (
        "guardrails.freezes",
        [{**FREEZE, "policies": ["fraud", "fraud"]}],
        "names fraud twice",
    ),
    "a freeze from an hour on": ("guardrails.freezes", [{**FREEZE, "first_day": datetime(2026, 11, 27, 10)}], "date"),
    "steps that do not rise": ("canary", {"steps": [0.1, 0.1]}, "steps [0.1, 0.1] must rise"),
    "nothing where something is asked": ("guardrails.freezes", None, "should be a valid list (found None)"),
    "policy as a list": ("policies.violence", ["strict"], "policies.violence (line "),
    "defaults as a list": ("defaults", [1], "Input should be a valid dictionary (found [1])"),
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
    where, number = re.fullmatch(r"(.*) \(line (\d+)\)", line.strip().partition(": ")[0]).groups()  # type: ignore[union-attr]
    assert where.startswith(key) or (last in said and where == f"{'.'.join(above)}.{last}".lstrip(".")), line
    written = (tmp_path / "policies.yaml").read_text(encoding="utf-8").splitlines()[int(number) - 1]
    assert written.lstrip().startswith("- ") or any(name in written for name in (last, where.rpartition(".")[2])), (
        written
    )


def test_a_missing_key_is_named(tmp_path: Path, raw: dict[str, Any]) -> None:
    del raw["approval"]
    del raw["defaults"]["window_days"]
    said = refusal(tmp_path, raw)
    assert "4 value(s) cannot be used" in said
    assert "  approval: Field required" in said
    assert re.search(r"  policies\.violence\.window_days \(line \d+\): Field required", said)


def test_a_mistake_in_the_defaults_is_named_once_and_there(tmp_path: Path, raw: dict[str, Any]) -> None:
    raw["defaults"] |= {"consensus": "loudest", "initial": {"remove_at": 0.9, "review_at": 0.95}}
    assert refusal(tmp_path, raw).splitlines() == [
        "2 value(s) cannot be used",
        "  defaults.consensus (line 11): Input should be 'majority', 'one_coin' or 'dawid_skene' (found 'loudest')",
        "  defaults.initial.review_at (line 22): review_at 0.95 is above remove_at 0.9",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("policies: [\n", "line 2: not valid YAML: "),
        ("a: b: c", "line 1: not valid YAML: mapping values are not allowed"),
        ("a: 1\n---\nb: 2\n", "line 2: not valid YAML: but found another document"),
        ("a:\n " + "[" * 5000 + "]" * 5000, "line 2: nested deeper than 20 levels"),
        ("a: 1\n# " + "x" * 1_000_000, "is larger than 1,000,000 bytes"),
        ("a: éééééé\nb: '\x07'\nc: 1\n", "line 2: not valid YAML: control characters are not allowed"),
        ("just text", "expected keys defaults, policies, markets, "),
        ("", "expected keys defaults, policies, "),
        ("- 1\n- 2\n", "found list"),
    ],
)
def test_what_is_no_configuration_at_all(tmp_path: Path, content: str, said: str) -> None:
    assert said in refusal(tmp_path, content)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_bytes(b"\xff\xfe\x00markets")
    with pytest.raises(ConfigError, match=r"policies\.yaml: line 1: not valid YAML"):
        load_config(tmp_path / "policies.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{tmp_path}: cannot be read: it is a folder"):
        load_config(tmp_path)


SHIPPED = DEFAULT_CONFIG.read_text(encoding="utf-8")
VIOLENCE = "\n  violence:\n"


@pytest.mark.parametrize(
    ("before", "more", "said"),
    [
        (VIOLENCE, "    target_precision: 0.99\n    target_precision: 0.51\n", "target_precision is given twice"),
        (
            "\npolicies:",
            VIOLENCE + "    description: stricter\n    model_versions: [violence-v3]",
            "violence is given twice",
        ),
        ("\n  BR:", " &here", "anchor &here: write the value out"),
        ("\n  DE: {region: europe, ", "region: asia, ", "region is given twice"),
        ("\nmarkets:", "\n  DE: *here", "alias *here: write the value out"),
        (VIOLENCE, "    <<: {overlap: 2}\n", "merge key <<: write the values out"),
        (VIOLENCE, "    overlap: !!int '2'\n", "tag !!int: values are what they look like"),
        (VIOLENCE, "    overlap: !!python/object/apply:os.getcwd []\n", "tag !!python/object/apply:os.getcwd: "),
        ("\nmarkets:", "\n  49: {region: europe, reviewer_minutes: 5}", "key 49 is read as a number: put it in quotes"),
        ("\nmarkets:", "\n  [BR]: {region: europe, reviewer_minutes: 5}", "a key must be text"),
        ("freezes: [", "{first_day: 2026-11-31, last_day: 2026-12-01, reason: x}", "2026-11-31: there is no such day"),
    ],
)
def test_what_makes_a_value_differ_from_what_stands_there_is_refused_by_its_line(
    tmp_path: Path, before: str, more: str, said: str
) -> None:
    text = SHIPPED.replace(before, before + more)
    assert text != SHIPPED
    number, _, found = refusal(tmp_path, text).removeprefix("line ").partition(": ")
    assert found.startswith(said)
    changed = [row for row, line in enumerate(text.splitlines(), 1) if line not in SHIPPED.splitlines()]
    assert changed[0] <= int(number) <= changed[-1] + 5


def test_a_key_given_twice_names_both_lines(tmp_path: Path) -> None:
    again = "\n  BR: {region: latin_america, reviewer_minutes: 1}"
    lines = SHIPPED.splitlines()
    first = next(number for number, line in enumerate(lines, 1) if line.startswith("  BR:"))
    text = SHIPPED.replace("\n  DE:", again + "\n  DE:")
    assert refusal(tmp_path, text) == f"line {first + 1}: BR is given twice, first in line {first}"


@pytest.mark.parametrize("value", ["010", "1_000", "20:00", "0x14", "NO", "1e999"])
def test_text_that_some_readers_take_for_a_number_is_not_taken_for_one(tmp_path: Path, value: str) -> None:
    text = SHIPPED.replace("timeout_hours: 20", f"timeout_hours: {value}")
    assert "approval.timeout_hours (line " in refusal(tmp_path, text)


def test_norway_is_a_market(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(
        SHIPPED.replace("\n  BR:", "\n  NO: {region: europe, reviewer_minutes: 60}\n  BR:"), encoding="utf-8"
    )
    assert list(load_config(path).markets) == ["NO", "BR", "DE", "IN"]


@pytest.mark.parametrize("text", ["1e3", "NO", "010", "1.5e3", "2026-11-27", "", "null", "<<", "12:30", "ä: b", " x "])
def test_what_the_importer_writes_is_read_as_it_was(tmp_path: Path, text: str) -> None:
    content = {"a": text, "b": [text, 1, 0.5, 1e300, True, None, date(2026, 11, 27)]}
    (tmp_path / "a.yaml").write_text(write_yaml(content), encoding="utf-8")
    assert read_yaml(tmp_path / "a.yaml").content == content


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{tmp_path}/none\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_changed_file_is_read_again(tmp_path: Path, raw: dict[str, Any]) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(write_yaml(raw), encoding="utf-8")
    first = load_config(path)
    assert load_config(path) is first
    raw["policies"]["violence"]["window_days"] = 21
    path.write_text(write_yaml(raw), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert load_config(path).policies["violence"].window_days == 21


def test_the_environment_says_which_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMBLINE_CONFIG")
    assert config_path() == DEFAULT_CONFIG
    monkeypatch.setenv("PLUMBLINE_CONFIG", "mine/policies.yaml")
    assert config_path() == home / "mine" / "policies.yaml"
    monkeypatch.setenv("PLUMBLINE_CONFIG", "/elsewhere/policies.yaml")
    assert config_path() == Path("/elsewhere/policies.yaml")


def test_a_roster_smaller_than_the_overlap_is_refused(tmp_path: Path, raw: dict[str, Any]) -> None:
    raw["markets"]["DE"]["reviewers"] = ["ana", "bo"]
    raw["policies"]["violence"]["overlap"] = 3
    assert re.search(
        r"markets\.DE\.reviewers \(line \d+\): 2 named, policies\.violence\.overlap is 3", refusal(tmp_path, raw)
    )


@pytest.mark.parametrize(("key", "name"), [("policies", "spam"), ("markets", "DK")])
def test_a_freeze_names_what_is_configured(raw: dict[str, Any], tmp_path: Path, key: str, name: str) -> None:
    raw["guardrails"]["freezes"] = [{**FREEZE, key: [name]}]
    assert re.search(
        rf"guardrails\.freezes\.0\.{key} \(line \d+\): {key} of 'sales' names '{name}'", refusal(tmp_path, raw)
    )


def test_freezes_of_other_days_or_cells_stand_side_by_side(raw: dict[str, Any], tmp_path: Path) -> None:
    raw["guardrails"]["freezes"] = [
        {**FREEZE, "markets": ["DE"]},
        {**FREEZE, "markets": ["BR"], "policies": ["fraud"]},
        {**FREEZE, "markets": ["BR"], "policies": ["violence"]},
        {**FREEZE, "first_day": date(2026, 12, 1), "last_day": date(2026, 12, 1)},
    ]
    path = tmp_path / "policies.yaml"
    path.write_text(write_yaml(raw), encoding="utf-8")
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
