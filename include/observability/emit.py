"""Hands metrics to Airflow, which sends them where its own go."""

from __future__ import annotations

from collections.abc import Iterable

from include.observability.names import Metric

Reading = tuple[Metric, tuple[str, ...], float]
"""A metric, the values of its labels, and what it is now."""


def sends_metrics() -> bool:
    """Whether Airflow is configured to send metrics anywhere; else nobody need work them out."""
    from airflow.configuration import conf

    return any(
        conf.getboolean("metrics", name, fallback=False) for name in ("statsd_on", "statsd_datadog_enabled", "otel_on")
    )


def emit(readings: Iterable[Reading]) -> int:
    """Sends the readings as gauges; how many. Their labels are in the name, and tags for what understands those."""
    from airflow.sdk.observability import stats

    sent = 0
    for metric, values, reading in readings:
        stats.gauge(metric.series(*values), reading, tags=dict(zip(metric.labels, values, strict=True)))
        sent += 1
    return sent
