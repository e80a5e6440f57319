"""Golden labels: what experts say, and which of it may be used. Pure."""

from __future__ import annotations

import pandas as pd

from include.config.model import Config

_ITEM = ["policy", "video_id"]


def usable_golden(golden: pd.DataFrame, config: Config) -> pd.DataFrame:
    """`golden_labels` as policy, item, violating, sorted.

    Labels of other policies or guideline versions are left out, and so are videos whose golden labels contradict each
    other: neither side can be preferred.
    """
    guideline = golden["policy"].map({name: policy.guideline_version for name, policy in config.policies.items()})
    usable = golden.loc[golden["guideline_version"] == guideline, [*_ITEM, "violating"]].drop_duplicates()
    usable = usable.drop_duplicates(_ITEM, keep=False).sort_values(_ITEM, ignore_index=True)
    return usable.rename(columns={"video_id": "item"})
