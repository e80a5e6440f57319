from __future__ import annotations

import shutil
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contract.schema import arrow_schema
from include.contract.tables import TABLES
from include.simulation import platform as platform_module
from include.simulation.__main__ import main
from tests.simulation.home import START, Site
from tests.warehouse.reference import permanent_random

KEY = ["video_id", "policy", "model_version"]


def run(home: Site, days: int) -> None:
    """Days with a queue each night, and thresholds published after the first."""
    for index in range(days):
        home.land(index)
        home.export_queue(index)
        if index == 0:
            home.publish(1, [])


def test_same_seed_same_bytes(site):
    one, two = (site("broken_feed", videos_per_day=1500, name=name) for name in ("one", "two"))
    for home in (one, two):
        run(home, 6)
    assert one.files() == two.files()
    again = one.files()
    one.land(5)
    assert one.files() == again, "landing a day a second time changed it"


def test_another_seed_another_platform(site):
    one, two = site(name="one"), site(name="two")
    one.land(0)
    Site(two.root, two.scenario.model_copy(update={"seed": 1})).land(0)
    assert set(one.read("video_scores", 0)["video_id"]).isdisjoint(two.read("video_scores", 0)["video_id"])


def test_a_day_does_not_hang_on_days_landed_before(site):
    one, two = site(name="one"), site(name="two")
    for index in range(4):
        one.land(index)
    two.land(3)
    alone = two.files()
    assert alone == {name: data for name, data in one.files().items() if name in alone}


def test_videos_of_long_ago_may_be_asked_about_again(site, monkeypatch):
    """As golden videos are, also where there is no room to keep what was true of their day."""
    monkeypatch.setattr(platform_module, "_KEPT_VIDEOS", 1)
    home = site()
    platform = home.platform
    platform.land_day(home.day(0))
    queue = home.export_queue(0)
    shutil.copytree(home.root / "queue" / f"ds={home.day(0)}", home.root / "queue" / f"ds={home.day(3)}")
    landed = [platform.land_day(home.day(index)) for index in range(1, 8)]
    assert sum(day.rows["golden_labels"] for day in landed[4:]) > 0
    assert sum(day.rows["reviewer_labels"] for day in landed[3:]) > len(queue)


def test_every_parquet_file_has_the_contracts_schema_and_key(site):
    home = site("broken_feed", videos_per_day=1500)
    run(home, 6)
    for table in ("video_scores", "golden_labels", "appeals", "enforcement_log"):
        files = sorted((home.root / "landing" / table).rglob("*.parquet"))
        assert len(files) >= 6
        for file in files:
            whole = arrow_schema(TABLES[table])
            left_out = ["cluster_id"] if table == "video_scores" else []
            schema = pa.schema([field for field in whole if field.name not in left_out])
            assert pq.read_schema(file).equals(schema, check_metadata=True), file
    scores = home.read("video_scores", 0)
    assert not scores.duplicated(KEY).any()
    assert scores["score"].isna().mean() == pytest.approx(0.012, abs=0.006)
    assert len(scores) == 3 * scores["video_id"].nunique(), "a video lacks a version's score"


def test_without_thresholds_nothing_is_done(site):
    home = site()
    home.land(0)
    assert home.read("enforcement_log", 0).empty


def test_the_log_follows_the_thresholds_in_force(site):
    home = site()
    cell = {"policy": "violence", "market": "BR", "model_version": "violence-v3", "remove_at": 0.6, "review_at": 0.2}
    home.publish(7, [cell])
    home.land(0)
    scores, log = home.read("video_scores", 0), home.read("enforcement_log", 0)
    own = (scores["policy"] == "violence") & (scores["market"] == "BR")
    expected = np.full(len(scores), "allow", dtype=object)
    expected[scores["score"] >= np.where(own, 0.2, 0.8)] = "review"
    expected[scores["score"] >= np.where(own, 0.6, 0.98)] = "remove"
    expected[scores["score"].isna() & (scores["policy"] != "fraud")] = "review"
    acted = scores.assign(action=expected)[expected != "allow"]
    merged = acted.merge(log, on=[*KEY, "market"], suffixes=("", "_log"), how="outer", indicator=True)
    assert (merged["_merge"] == "both").all()
    assert (merged["action"] == merged["action_log"]).all()
    assert set(log["threshold_version"]) == {7}
    assert (log["decided_at"].dt.date == START).all()

    home.publish(8, [cell | {"remove_at": 0.99}])
    home.land(0)
    changed = home.read("enforcement_log", 0)
    removed = [
        ((f["action"] == "remove") & (f["policy"] == "violence") & (f["market"] == "BR")).sum() for f in (log, changed)
    ]
    assert removed[0] > 2 * removed[1] > 0
    assert set(changed["threshold_version"]) == {8}


def test_a_canary_acts_on_its_bucket_of_the_cells_videos_alone(site):
    home = site()
    cell = {"policy": "violence", "market": "BR", "model_version": "violence-v3", "remove_at": 0.9, "review_at": 0.8}
    salt, share = 1187312944, 0.25
    home.publish(7, [cell | {"canary": {"remove_at": 0.5, "review_at": 0.2, "share": share, "salt": salt}}])
    home.land(0)
    scores, log = home.read("video_scores", 0), home.read("enforcement_log", 0)
    own = (scores["policy"] == "violence") & (scores["market"] == "BR")
    chosen = own & (permanent_random(scores["video_id"].to_numpy(), salt) < share)
    assert 0.2 < chosen.sum() / own.sum() < 0.3
    remove_at = np.where(chosen, 0.5, np.where(own, 0.9, 0.98))
    review_at = np.where(chosen, 0.2, 0.8)
    removed = scores[scores["score"] >= remove_at]
    reviewed = scores[(scores["score"] >= review_at) & (scores["score"] < remove_at)]
    for action, expected in (("remove", removed), ("review", reviewed)):
        logged = log[log["action"] == action].merge(scores[[*KEY, "score"]].dropna())
        assert set(map(tuple, logged[KEY].to_numpy())) == set(map(tuple, expected[KEY].to_numpy()))
    assert (own & (scores["score"] < 0.9)).loc[removed.index].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ('{"version": 1, "cells": []}', "'policies' is missing"), ("[]", "not of the form")],
)
def test_a_thresholds_file_that_cannot_be_read_stops_the_day(site, text, message):
    home = site()
    (home.root / "thresholds.json").write_text(text)
    with pytest.raises(ValueError, match=rf"thresholds\.json.*{message}"):
        home.land(0)
    assert not home.folder("video_scores", 0).exists()


def test_appeals_are_about_removals_and_mostly_right(site):
    home = site(videos_per_day=20_000)
    home.publish(1, [], default=(0.7, 0.5))
    removed: set[tuple[int, str]] = set()
    wrong: set[tuple[int, str]] = set()
    found = []
    for index in range(7):
        home.land(index)
        appeals = home.read("appeals", index)
        assert {*zip(appeals["video_id"], appeals["policy"], strict=True)} <= removed, "appealed before removal"
        assert (appeals["decided_at"].dt.date == home.day(index)).all()
        found.append(appeals)
        if index < 2:
            log, truth = home.read("enforcement_log", index), home.truth(index)
            log = log[log["action"] == "remove"]
            today = set(zip(log["video_id"], log["policy"], strict=True))
            removed |= today
            wrong |= today - set(zip(truth["video_id"], truth["policy"], strict=True))
            if index == 1:
                home.publish(2, [], default=(1.0, 1.0))
    appeals = pd.concat(found)
    logs = pd.concat([home.read("enforcement_log", index) for index in (0, 1)])
    named = ["video_id", "policy", "market", "model_version", "threshold_version"]
    assert len(appeals.merge(logs[logs["action"] == "remove"], on=named)) == len(appeals), "it names no such removal"
    assert appeals["event_id"].is_unique
    mistaken = np.array([key in wrong for key in zip(appeals["video_id"], appeals["policy"], strict=True)])
    assert mistaken.sum() / len(wrong) == pytest.approx(0.35, abs=0.10)
    assert (~mistaken).sum() / (len(removed) - len(wrong)) == pytest.approx(0.04, abs=0.02)
    assert (appeals["outcome"][mistaken] == "overturned").mean() > 0.8
    assert (appeals["outcome"][~mistaken] == "overturned").mean() < 0.2


def test_a_second_version_scores_alongside_from_its_day(site):
    home = site("new_model_version")
    for index, expected in ((4, {"fraud-v2"}), (5, {"fraud-v2", "fraud-v3"})):
        home.land(index)
        scores = home.read("video_scores", index)
        assert set(scores.loc[scores["policy"] == "fraud", "model_version"]) == expected


def test_a_broken_feed_is_broken_on_its_day_and_the_repaired_file_is_whole(site):
    calm, broken = site("calm", name="calm"), site("broken_feed", name="broken")
    for index in (4, 5, 9):
        calm.land(index)
        landed = broken.land(index)
        good, bad = calm.read("video_scores", index), broken.read("video_scores", index)
        if index == 4:
            assert not landed.faults
            pd.testing.assert_frame_equal(good, bad)
        elif index == 5:
            raw = pq.read_table(broken.folder("video_scores", index))["score"]
            values = raw.drop_null().to_numpy()
            assert np.mean(values > 1) == pytest.approx(0.02, abs=0.006)
            assert np.isnan(values).mean() == pytest.approx(0.01, abs=0.005)
            assert (bad["views"] < 0).mean() == pytest.approx(0.005, abs=0.003)
            assert bad.duplicated(KEY).mean() == pytest.approx(0.03, abs=0.01)
            assert set(landed.faults) == {"out_of_range_scores", "nan_scores", "negative_views", "duplicate_rows"}
        else:
            assert len(bad) / len(good) == pytest.approx(0.4, abs=0.02)
        broken.land(index, repaired=True)
        pd.testing.assert_frame_equal(good, broken.read("video_scores", index))
    assert calm.files() == broken.files()


def test_a_day_that_fails_leaves_the_old_one(site, monkeypatch):
    home = site()
    home.land(0)
    before = home.files()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(platform_module, "write_scores", fail)
    with pytest.raises(OSError, match="disk full"):
        home.land(0)
    assert home.files() == before


def test_true_quality_is_that_of_the_landed_files(site):
    home = site("new_model_version", videos_per_day=20_000)
    home.land(5)
    scores, truth = home.read("video_scores", 5), home.truth(5)
    scores = scores.merge(truth[["video_id", "policy"]].assign(violating=True), how="left", on=["video_id", "policy"])
    scores["violating"] = scores["violating"].notna()
    cells = scores[["policy", "market", "model_version"]].drop_duplicates().assign(remove_at=0.93)
    cells = pd.concat([cells, cells.iloc[[0]].assign(model_version="violence-v9")], ignore_index=True)
    got = home.platform.true_quality(home.day(5), cells)
    assert len(got) == len(cells) == 13
    for row in got.itertuples():
        own = scores[(scores["policy"] == row.policy) & (scores["market"] == row.market)]
        if row.model_version == "violence-v9":
            assert np.isnan(row.true_precision)
            assert np.isnan(row.true_recall)
            continue
        own = own[own["model_version"] == row.model_version]
        removed = own[own["score"] >= 0.93]
        np.testing.assert_allclose(row.true_precision, removed["violating"].mean() if len(removed) else np.nan)
        violating = own["violating"].sum()
        np.testing.assert_allclose(row.true_recall, removed["violating"].sum() / violating if violating else np.nan)
        np.testing.assert_allclose(row.prevalence, own["violating"].mean())
        np.testing.assert_allclose(
            row.violative_view_rate, own.loc[own["violating"], "views"].sum() / own["views"].sum()
        )


def test_the_oracle_removes_as_much_as_is_right_often_enough(site):
    """Held against the quality at every threshold."""
    home = site("calm", videos_per_day=20_000)
    home.land(0)
    cells = home.read("video_scores", 0)[["policy", "market", "model_version"]].drop_duplicates(ignore_index=True)
    asked = cells.assign(target=0.9, lowest_remove_at=0.6)
    best = home.platform.oracle(home.day(0), asked).set_index(list(cells.columns))
    levels = np.arange(600, 1000) / 1000
    every = pd.concat([cells.assign(remove_at=level) for level in levels], ignore_index=True)
    found = home.platform.true_quality(home.day(0), every)
    assert len(best) == 9
    for cell, own in found.groupby(list(cells.columns)):
        right = own[own["true_precision"] >= 0.9 - 1e-12]
        assert best.loc[cell, "remove_at"] == (right["remove_at"].min() if len(right) else 1.0)
        expected = right.loc[right["remove_at"].idxmin(), "true_recall"] if len(right) else 0.0
        assert best.loc[cell, "true_recall"] == pytest.approx(expected)
    assert (best["remove_at"] < 1).sum() > 4


def test_true_quality_refuses_unknown_names_and_days(site):
    home = site()
    cell = pd.DataFrame([{"policy": "spam", "market": "BR", "model_version": "x", "remove_at": 0.5}])
    with pytest.raises(ValueError, match="policy: unknown spam; allowed: violence"):
        home.platform.true_quality(START, cell)
    with pytest.raises(ValueError, match="2026-10-31 is before the first simulated day"):
        home.platform.land_day(START - timedelta(days=1))


def test_command_lands_days_and_lists_scenarios(tmp_path, capsys):
    assert main(["--days", "2", "--to", str(tmp_path), "--videos-per-day", "500"]) == 0
    assert [line[:10] for line in capsys.readouterr().out.splitlines()] == ["2026-11-01", "2026-11-02"]
    assert sorted(path.name for path in (tmp_path / "landing").iterdir()) == sorted(
        name for name, table in TABLES.items() if table.owner == "platform"
    )
    assert main(["--list"]) == 0
    assert "evasion_wave" in capsys.readouterr().out
    assert main(["--scenario", "storm", "--to", str(tmp_path)]) == 2
    assert "no scenario storm" in capsys.readouterr().err
