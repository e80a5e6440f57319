"""What days of the loop leave behind, against the simulator's truth: forecasts' outcomes, the accountability export."""

from __future__ import annotations

import csv
import json
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml

from include.accountability.__main__ import Account, PeriodError, account, main, write
from include.contract.tables import CELL
from include.contract.terms import Uncertified
from include.report.collect import report_data
from include.report.page import build_report
from include.simulation.scenario import SCENARIOS
from include.thresholds import stage
from tests.history import History

pytestmark = pytest.mark.slow

DAYS = 8
LAST = 4
"""Of the days whose labels are final at the end."""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Days with reviewers who never err, so that what is estimated and what is true differ by chance alone."""
    home = tmp_path_factory.mktemp("history")
    calm = yaml.safe_load((SCENARIOS / "calm.yaml").read_text(encoding="utf-8"))
    sure = {name: {"sensitivity": 1.0, "specificity": 1.0} for name in calm["reviewers"]}
    scenario = home / "sure.yaml"
    scenario.write_text(yaml.safe_dump({"extends": "calm", "description": "sure", "reviewers": sure}), encoding="utf-8")
    found = History(home, str(scenario), videos_per_day=16_000, uncertified=Uncertified.REMOVE)
    for index in range(DAYS):
        if index <= LAST or index == DAYS - 1:
            found.run_day(index)
        else:  # it is there for its labels
            found.label_day(index)
            stage.compare_forecasts(found.project, found.day(index))
    return found


@pytest.fixture(scope="module")
def whole(history: History) -> Account:
    """All days."""
    return account(history.project, history.day(0), history.day(DAYS - 1))


@pytest.fixture(scope="module")
def truth(history: History) -> pd.DataFrame:
    """By cell, all markets together among them, and indicator: what removal at each day's thresholds truly achieved."""
    videos = pd.concat([history.videos(index) for index in range(LAST + 1)])
    rows = []
    for cell, some in pd.concat([videos, videos.assign(market="*")]).groupby(list(CELL)):
        right = int((some["removed"] & some["violating"]).sum())
        removals, violating = int(some["removed"].sum()), int(some["violating"].sum())
        accuracy = float((some["removed"] == some["violating"]).mean())
        for name, value in (("accuracy", accuracy), ("precision", right / removals), ("recall", right / violating)):
            rows.append((*cell, name, value, len(some), removals))
    columns = [*CELL, "indicator", "truth", "true_videos", "true_removals"]
    return pd.DataFrame(rows, columns=columns)


def test_the_indicators_of_a_period_cover_the_truth_and_counts_are_exact(history: History, truth: pd.DataFrame) -> None:
    result = account(history.project, history.day(0), history.day(LAST))
    found = result.means.merge(truth, on=[*CELL, "indicator"], validate="one_to_one")
    assert len(found) == len(truth) == 3 * (9 + 3)
    assert (found["videos"] == found["true_videos"]).all()
    assert (found["removals"] == found["true_removals"]).all()
    stated = found.dropna(subset=["value"])
    assert len(stated) >= 20
    covered = (stated["low"] <= stated["truth"]) & (stated["truth"] <= stated["high"])
    assert covered.mean() >= 0.85, stated[~covered]
    assert set(stated["indicator"]) == {"accuracy", "precision", "recall"}
    refused = found[found["value"].isna()]
    assert refused["refusal"].notna().all()
    assert (result.unscored, result.unlabelled) == ([], [])


def test_removals_logged_by_the_platform_stand_beside_those_counted(history: History) -> None:
    """On the first day nothing was published yet, so the platform removed nothing; then it does what is published."""
    means = account(history.project, history.day(1), history.day(LAST)).means
    assert (means["enforced_removals"] == means["removals"]).all()
    assert means["removals"].sum() > 0
    first = account(history.project, history.day(0), history.day(0)).means
    assert first["enforced_removals"].sum() == 0


def test_every_change_of_the_period_is_listed(history: History, whole: Account) -> None:
    ledger = history.project.warehouse.read("threshold_ledger")
    changes = whole.changes
    carried = [(row["version"], change) for _, row in ledger.iterrows() for change in json.loads(row["changes"])]
    assert len(changes) == len(carried) > 0
    for row, (version, change) in zip(changes.to_dict("records"), carried, strict=True):
        assert row["version"] == version
        assert row["new_remove_at"] == change["new"]["remove_at"]
    assert set(changes["approver"].dropna()) <= {"ana"}


def test_the_files_say_the_same_and_are_the_same_again(history: History, whole: Account, tmp_path: Path) -> None:
    files = write(whole, tmp_path / "one")
    for one, other in zip(files, write(whole, tmp_path / "two"), strict=True):
        assert one.read_bytes() == other.read_bytes()
    document = json.loads(files[0].read_text(encoding="utf-8"))
    assert document["days_without_final_labels"] == [history.day(n).isoformat() for n in range(LAST + 1, DAYS)]
    for path, key in zip(files[1:], ("automated_means", "threshold_changes"), strict=True):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        as_text = [{k: "" if v is None else str(v) for k, v in row.items()} for row in document[key]]
        assert rows == as_text


def test_the_command_names_what_it_cannot_account_for(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("include.config.declared.declared_settings", lambda: history.project.settings)
    first, last = history.day(0).isoformat(), history.day(LAST).isoformat()
    assert main(["--from", first, "--to", last, "--out", str(tmp_path)]) == 0
    assert "refused by name" in capsys.readouterr().out
    assert (tmp_path / "accountability.json").exists()
    assert main(["--from", last, "--to", first, "--out", str(tmp_path)]) == 2
    assert "before it starts" in capsys.readouterr().err
    with pytest.raises(PeriodError, match="no day from 2020-01-01 to 2020-01-02 has scores"):
        account(history.project, date(2020, 1, 1), date(2020, 1, 2))


def test_forecasts_are_compared_on_the_day_that_final_labels_allow(history: History) -> None:
    outcomes = history.project.warehouse.read("forecast_outcomes")
    assert set(outcomes["horizon_days"]) == {1}
    assert ((outcomes["ds"] - outcomes["measured_on"]) == timedelta(days=3)).all()
    counted = outcomes[outcomes["measure"] == "removes"]
    assert len(counted) > 0
    for row in counted.to_dict("records"):
        videos = history.videos((row["measured_on"] - history.day(0)).days)
        cell = videos[(videos[list(CELL)] == [row[name] for name in CELL]).all(axis=1)]
        assert row["happened"] == cell["removed"].sum()
        assert row["in_force"]
    enforced = outcomes[outcomes["measure"] == "enforced_removes"]
    assert enforced["happened"].tolist() == counted["happened"].tolist()


def test_the_comparison_is_the_same_again_and_stands_in_the_report(history: History) -> None:
    project, day = history.project, history.day(DAYS - 1)
    before = project.warehouse.fingerprint("forecast_outcomes", day)
    stage.compare_forecasts(project, day)
    assert project.warehouse.fingerprint("forecast_outcomes", day) == before
    page = build_report(report_data(project, day))
    assert "What happened against what was forecast" in page
