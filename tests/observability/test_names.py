"""Every metric once, under a name that every file for monitors knows."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from include.config.load import DEFAULT_CONFIG, load_config
from include.config.settings import PROJECT_ROOT
from include.observability.monitoring import AIRFLOW, dashboard, metric_reference, prometheus_name, statsd_mapping
from include.observability.names import CELL_BOUND, LEDGER_VERSION, METRICS
from include.warehouse.base import SQL_FOLDER

DOCS = PROJECT_ROOT / "docs" / "monitoring.md"


def test_a_series_has_its_labels_in_its_name_and_nothing_that_ends_one() -> None:
    assert LEDGER_VERSION.series() == "plumbline.ledger.version"
    assert CELL_BOUND.series("fraud", "BR", "v2.1") == "plumbline.cell.precision_bound.fraud.BR.v2_1"
    with pytest.raises(ValueError, match="told apart by policy, market, model_version"):
        CELL_BOUND.series("fraud")


def test_names_are_distinct_and_no_one_is_the_beginning_of_another() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names) > 10
    assert not [(one, other) for one in names for other in names if other.startswith(f"{one}.")]


def test_the_mapping_takes_every_series_apart() -> None:
    mappings = yaml.safe_load(statsd_mapping())["mappings"]
    for metric in METRICS:
        values = [f"value-{number}" for number, _ in enumerate(metric.labels)]
        sent = f"{AIRFLOW}.{metric.series(*values)}"
        matching = [
            (one, found)
            for one in mappings
            if (found := re.fullmatch(re.escape(one["match"]).replace(r"\*", "([^.]+)"), sent))
        ]
        ((mapping, found),) = matching
        assert mapping["name"] == prometheus_name(metric)
        labels = {label: found[int(place.removeprefix("$"))] for label, place in mapping.get("labels", {}).items()}
        assert labels == dict(zip(metric.labels, values, strict=True))


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    panels = json.loads(dashboard())["panels"]
    assert [panel["targets"][0]["expr"] for panel in panels] == [prometheus_name(metric) for metric in METRICS]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)


def test_the_docs_say_what_each_metric_says_and_how_many_series_there_are() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text.split("<!-- metrics -->")[1].split("<!-- /metrics -->")[0].strip() == metric_reference()
    config = load_config(DEFAULT_CONFIG)
    cells = sum(len(policy.model_versions) for policy in config.policies.values()) * len(config.markets)
    sizes = {
        (): 1,
        ("policy",): len(config.policies),
        ("market",): len(config.markets),
        ("gate",): 10,
        ("query",): len([path for path in SQL_FOLDER.glob("*.sql") if path.stem != "functions"]),
        ("policy", "market", "model_version"): cells,
    }
    series = sum(sizes[metric.labels] for metric in METRICS)
    assert f"{cells} cells" in text
    assert f"{series} series" in text
