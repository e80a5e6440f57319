"""Addresses of the page "Plumbline", for people: in notes, questions, and the messages of failed tasks."""

from __future__ import annotations

PAGE = "plumbline"
"""Where Airflow's API server serves the page, below its base URL (plugins/console.py)."""


def page_link(address: str) -> str:
    """Where `address`, a place of the page such as days/2026-11-20, is reached.

    Airflow's base URL is kept whole, with a path that it may have; where none is configured, the link holds on the
    server that shows it.
    """
    from airflow.configuration import conf

    base = conf.get("api", "base_url", fallback="") or ""
    return f"{base.rstrip('/')}/{PAGE}/{address}"
