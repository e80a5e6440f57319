"""Links that people get: they keep Airflow's base URL whole."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from include.orchestration.links import page_link
from include.report.places import address_of, page_of
from tests.places import settings_in

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("base", "link"),
    [
        ("https://air.example.com/team/airflow/", "https://air.example.com/team/airflow/plumbline/days/2026-11-20"),
        ("https://air.example.com/team/airflow", "https://air.example.com/team/airflow/plumbline/days/2026-11-20"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/plumbline/days/2026-11-20"),
        ("", "/plumbline/days/2026-11-20"),
    ],
)
def test_a_link_keeps_the_path_of_the_base_url(base: str, link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    assert page_link(f"days/{DAY}") == link


def test_the_address_of_a_page_finds_its_file(tmp_path: Any) -> None:
    settings = settings_in(tmp_path)
    assert address_of("daily", DAY) == "days/2026-11-20/report"
    origin = "recalibrate_ad_hoc/manual__2026-11-20T07:00:00+00:00"
    *_, day, key = address_of(origin, DAY).split("/")
    assert page_of(settings, origin, DAY).stem.startswith(f"{day} ")
    assert page_of(settings, origin, DAY).stem.endswith(f" {key}")
