"""The review queue: what reviewers are asked, without the scores that would sway them."""

from __future__ import annotations

import hashlib

import pandas as pd

from include.config.model import Config

COLUMNS = ("sample_id", "video_id", "policy", "market", "programme", "guideline_version", "overlap", "minutes")


def review_queue(drawn: pd.DataFrame, config: Config) -> pd.DataFrame:
    """One row a (video, policy) drawn, in an order that says nothing about scores: that of hashed sample ids.

    A video drawn under several model versions is asked once, under the smallest of its sample ids.
    """
    asked = drawn.sort_values("sample_id").drop_duplicates(["video_id", "policy"])
    settings = asked["policy"].map(config.policies)
    queue = asked.assign(
        guideline_version=[policy.guideline_version for policy in settings],
        overlap=[policy.overlap for policy in settings],
        minutes=[policy.minutes_per_label * policy.overlap for policy in settings],
        order=[hashlib.sha256(sample_id.encode()).hexdigest() for sample_id in asked["sample_id"]],
    )
    return queue.sort_values("order", ignore_index=True)[list(COLUMNS)]
