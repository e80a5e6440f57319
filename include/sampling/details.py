"""What reviewers are shown of a video besides the video: its title and description, as the platform delivers them."""

from __future__ import annotations

import re

import pandas as pd

_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What is not written but done: control characters, and those that show text in another order than it stands in."""
_TEXTS = ("title", "description")


def contradicted(told: pd.DataFrame) -> list[int]:
    """The videos of which the platform says several different things, sorted."""
    return sorted(set(told.loc[told.duplicated("video_id", keep=False), "video_id"].tolist()))


def details_of(drawn: pd.DataFrame, told: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """`review_details` of a day: a row a drawn video of which anything is known, sorted.

    A video that is drawn again, to grade reviewers or for a second look, is shown as it was, where the day itself does
    not tell: nobody may tell such a video by its lacking a title.

    Args:
        drawn: `review_sample` of the day.
        told: video_id, title and description as the platform delivers them for the day; contradicted videos count as
            not told of.
        earlier: `review_details` of the days before, with ds.
    """
    told = told[~told["video_id"].isin(contradicted(told))]
    before = earlier.sort_values("ds").drop_duplicates("video_id", keep="last")
    before = before[~before["video_id"].isin(told["video_id"])]
    known = pd.concat([told, before[list(told.columns)]])
    known = known[known["video_id"].isin(drawn["video_id"])]
    for name in _TEXTS:
        known[name] = [_clean(text) for text in known[name]]
    return known.sort_values("video_id", ignore_index=True)[["video_id", *_TEXTS]]


def _clean(text: object) -> str | None:
    """The text without what is no text; None: there is none."""
    return (_NOT_TEXT.sub(" ", text).strip() if isinstance(text, str) else "") or None
