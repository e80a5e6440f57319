"""Files for monitors, made from the metrics' names: a mapping for Prometheus, and a dashboard for Grafana. Pure."""

from __future__ import annotations

import json
from typing import Any

from include.observability.names import METRICS, PREFIX, Metric

AIRFLOW = "airflow"
"""What Airflow puts in front of every name, as it is shipped: `[metrics] statsd_prefix`."""

_WIDE, _HIGH, _ACROSS = 12, 8, 2


def prometheus_name(metric: Metric) -> str:
    """What the metric is called once its labels are labels."""
    return f"{PREFIX}_{metric.name.replace('.', '_')}"


def statsd_mapping() -> str:
    """The configuration of Prometheus' statsd_exporter, YAML: each series becomes a metric with labels."""
    lines = ["# Made by `make docs` from include/observability/names.py, for Prometheus' statsd_exporter.", "mappings:"]
    for metric in METRICS:
        match = ".".join([AIRFLOW, PREFIX, metric.name, *("*" for _ in metric.labels)])
        lines += [f'  - match: "{match}"', f'    name: "{prometheus_name(metric)}"', "    match_metric_type: gauge"]
        if metric.labels:
            lines.append("    labels:")
            lines += [f'      {label}: "${place}"' for place, label in enumerate(metric.labels, start=1)]
    return "\n".join(lines) + "\n"


def dashboard() -> str:
    """The dashboard, as Grafana imports it: a panel a metric, over the data source that is chosen there."""
    panels = [_panel(number, metric) for number, metric in enumerate(METRICS)]
    content: dict[str, Any] = {
        "title": "Plumbline",
        "uid": "plumbline",
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-14d", "to": "now"},
        "refresh": "10m",
        "tags": ["plumbline"],
        "templating": {
            "list": [{"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }
    return json.dumps(content, indent=1) + "\n"


def metric_reference() -> str:
    """A table of the metrics, Markdown."""
    rows = [
        f"| `{'.'.join([PREFIX, metric.name, *(f'<{label}>' for label in metric.labels)])}` | {metric.meaning} |"
        for metric in METRICS
    ]
    return "\n".join(["| metric | says |", "|---|---|", *rows])


def _panel(number: int, metric: Metric) -> dict[str, Any]:
    name = prometheus_name(metric)
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": f"{metric.name.replace('.', ': ').replace('_', ' ')}",
        "description": metric.meaning,
        "datasource": source,
        "gridPos": {
            "h": _HIGH,
            "w": _WIDE,
            "x": _WIDE * (number % _ACROSS),
            "y": _HIGH * (number // _ACROSS),
        },
        "fieldConfig": {"defaults": {"unit": metric.unit}, "overrides": []},
        "targets": [
            {
                "refId": "A",
                "datasource": source,
                "expr": name,
                "legendFormat": " ".join(f"{{{{{label}}}}}" for label in metric.labels) or name,
            }
        ],
    }
