"""What a day's steps open does not grow with the days before their windows; bench_history measures a year."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.labels import stage as labels
from include.sampling import stage as sampling
from include.thresholds import stage as thresholds
from tests.benchmarks.bench_history import Step, age, spend
from tests.history import History

pytestmark = pytest.mark.slow

STEPS: tuple[Step, ...] = (
    sampling.design_sample,
    sampling.draw_sample,
    labels.form_consensus,
    thresholds.measure,
    thresholds.propose_thresholds,
    thresholds.publish_within_limits,
)
OLDER = 25


def test_an_older_platform_opens_no_more_files(tmp_path: Path) -> None:
    young = History(tmp_path / "young", "calm", 1_500)
    young.run_day(0)
    young.label_day(1)
    old = History(tmp_path / "old", "calm", 1_500)
    shutil.copytree(young.home, old.home)
    age(old, young.day(0), OLDER, gap=100)
    golden = [len(one.project.warehouse.days("golden_labels")) for one in (young, old)]
    assert golden[1] == golden[0] + OLDER, "nothing is older"
    spend(old, sampling.design_sample, old.day(1))  # keeps what it reads of the golden labels
    for step in STEPS:
        before, after = (spend(one, step, one.day(1)).opened for one in (young, old))
        assert before > 3
        assert after < before + OLDER / 4, step.__name__  # the file that keeps the golden labels is opened, too
