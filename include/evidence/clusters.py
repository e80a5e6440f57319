"""Copies of one video are one piece of evidence: of each group of copies one draw enters a certificate.

Reposts share what is true of them. Labels of five copies of a video say no more about the other videos than a label of
one, but a certificate that takes them for five independent draws misses its promise (scenario *reposts* of
docs/measured.md). With one draw a group the draws are independent again. What the certificate then speaks for is
distinct content: a video and its copies count about once where nearly all videos are drawn, and about as often as they
are posted where few are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pandas as pd

Rows = TypeVar("Rows", bound=pd.DataFrame)


def distinct_content(sample: Rows, within: Sequence[str]) -> Rows:
    """`sample` with one row of each group of copies in each combination of the columns `within`.

    Which one is left to the permanent random numbers, which know no answers: the draw that was the surest for its
    inclusion probability. Rows without a cluster_id stay, and so do all where the sample has no such column.

    Args:
        sample: draws, with cluster_id (whole numbers, missing: no copies), permanent_random and programme_probability.
    """
    if "cluster_id" not in sample or sample["cluster_id"].isna().all():
        return sample
    ranked = sample.assign(_rank=sample["permanent_random"] / sample["programme_probability"])
    ranked = ranked[ranked["cluster_id"].notna()].sort_values(["_rank", "video_id"], kind="stable")
    copies = ranked.index[ranked.duplicated([*within, "cluster_id"])]
    return sample.drop(index=copies).reset_index(drop=True)
