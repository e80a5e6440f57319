"""Where the pages of reports lie, and their addresses within the page in the Airflow UI."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from include.config.settings import Settings
from include.contract.change import DAILY
from include.contract.salts import hash32

MOST_CHARACTERS = 120
"""Of an origin, in a page's name; a file's name has at most 255 bytes."""


def key_of(origin: str) -> str:
    """What tells the pages of a day's requests apart."""
    return f"{hash32(origin):08x}"


def address_of(origin: str, day: date) -> str:
    """The address of the same page within the page in the Airflow UI, relative to that."""
    return f"days/{day}/report" if origin == DAILY else f"answers/{day}/{key_of(origin)}"


def page_of(settings: Settings, origin: str, day: date) -> Path:
    """The page about what `origin` proposed on `day`: the day's report, or the answer to a person's request.

    A request's page is named for its run, as far as a file's name can be; a hash tells apart what that makes alike.
    """
    if origin == DAILY:
        return settings.reports / f"{day}.html"
    readable = re.sub(r"[^A-Za-z0-9_.+-]", "-", origin.rpartition("/")[2])[:MOST_CHARACTERS]
    return settings.reports / "ad_hoc" / f"{day} {readable} {key_of(origin)}.html"
