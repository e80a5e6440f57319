"""Numbers, days and other people's text as people read them. Independent of locale."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ORDINALS = ("second", "third", "fourth", "fifth", "sixth")
_FINEST = 4
"""Most decimals of a percentage."""


def percent(share: float, *, down: bool = False) -> str:
    """A share as a percentage: whole ones plain, else one decimal, and more close to 0 and to 100.

    `down` rounds towards zero, so that a lower bound is never overstated.
    """
    value = Decimal(repr(float(share))) * 100
    if value == value.to_integral_value():
        return f"{int(value)}%"
    decimals = min(_FINEST, max(1, 1 - value.adjusted(), -(100 - value).adjusted()))
    step = Decimal(1).scaleb(-decimals)
    if 0 < value < step:
        return f"under {step}%"
    return f"{value.quantize(step, rounding=ROUND_DOWN if down else ROUND_HALF_EVEN)}%"


def interval(low: float | None, high: float | None) -> str:
    """`1.2% to 3.4%`, or nothing where an end is missing."""
    return "" if low is None or high is None else f"{percent(low)} to {percent(high)}"


def count(number: float) -> str:
    """A whole number with thousands separated."""
    return f"{round(number):,}"


def signed(number: float) -> str:
    """A change in whole numbers with its sign, from 10 on; with one decimal below; plain 0."""
    text = f"{number:+,.0f}" if abs(number) >= 10 else f"{number:+,.1f}".removesuffix(".0")
    return "0" if text in ("+0", "-0") else text.replace("-", "−")


def plural(number: int, one: str, many: str = "") -> str:
    """`1 cell`, `2 cells`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def healed(failures: int) -> str:
    """What became of a day that passed after so many failures: `failed first, healed on the second attempt`."""
    which = f"the {_ORDINALS[failures - 1]} attempt" if failures <= len(_ORDINALS) else f"attempt {failures + 1}"
    return f"failed {'first' if failures == 1 else f'{count(failures)} times'}, healed on {which}"


def failed_before(failures: int) -> str:
    """Of a day that still does not pass: `failed once before`."""
    return f"failed {'once' if failures == 1 else f'{count(failures)} times'} before"


def change(before: float, after: float) -> str:
    """The signed relative change, or the signed difference where there was nothing before."""
    if after == before:
        return "no change"
    if before == 0:
        return f"{after - before:+,.0f}"
    share = abs(after - before) / before
    size = f"{share:,.0%}" if share >= 0.1 else f"{share:.1%}"
    sign = "+" if after > before else "−"
    return f"under {sign}0.1%" if size == "0.0%" else f"{sign}{size}"


def score(threshold: float) -> str:
    """A threshold: three decimals, more only if it has them; "none" for 1, which no score reaches."""
    if threshold == 1:
        return "none"
    return max(f"{threshold:.3f}", f"{threshold:.6f}".rstrip("0"), key=len)


def duration(minutes: float) -> str:
    """Reviewer time in minutes below two hours, in hours above."""
    return f"{minutes:,.0f} min" if minutes < 120 else f"{minutes / 60:,.1f} h"


def gigabytes(size: float) -> str:
    """Bytes as people are billed for them, in units of 10^9: `0.42 GB`, `1,204 GB`."""
    return f"{size / 10**9:,.0f} GB" if size >= 10**11 else f"{size / 10**9:,.2f} GB"


def slot_time(milliseconds: float) -> str:
    """Time of BigQuery's slots, in seconds below ten minutes, in hours above."""
    seconds = milliseconds / 1000
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} h"


def day_in_words(day: date) -> str:
    """`Tuesday, 3 November 2026`."""
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


def short_day(day: date) -> str:
    """`3 Nov`."""
    return f"{day.day} {_MONTHS[day.month - 1][:3]}"


def moment_in_words(moment: datetime) -> str:
    """`3 November 2026, 06:12 UTC`; the moment is in UTC."""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


_MARKUP = re.compile(r"([\\`*\[\]<>|~&@]|(?<!\w)_|_(?!\w)|(?<=[a-z]):(?=//)|(?<=www)\.)", flags=re.IGNORECASE)
"""What makes Markdown of text, the links that renderers find by themselves among it."""


def as_text(text: str) -> str:
    """Somebody's text on one line, such that Markdown shows it as it was written: no table, image, link or emphasis.

    A line of its own must not begin with it: a dash or a hash at the start of one would still be a list or a heading.
    """
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def as_csv_text(text: str) -> str:
    """Text that a spreadsheet takes for text: what would be a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
