"""The precision that a policy asks for, as reviewers' labels show it. Pure."""

from __future__ import annotations

import pandas as pd

from include.certificates.reviewer_error import MIN_GOLDEN, aim_at, settled_by_experts
from include.config.model import Policy


def required_on_labels(labelled: pd.DataFrame, policy: Policy) -> dict[str, float]:
    """By market, what a true precision of the target is expected to show as on reviewers' labels.

    Reviewers overlook a share of what violates and raise some false alarms; experts tell how much. Where they settled
    too few draws of a market it is the target itself.

    Args:
        labelled: rows of `include.evidence.sample.labelled_sample` of the policy: market, score, p_violating, golden.
    """
    golden, found = settled_by_experts(labelled), {}
    golden = golden[golden["score"] >= policy.limits.lowest_remove_at]
    target = policy.target_precision
    for market in sorted(set(labelled["market"])):
        aim = aim_at(
            golden[golden["market"] == market],
            target,
            confidence=policy.confidence,
            correct=policy.correct_reviewer_error,
        )
        shown = target
        if aim.errors is not None:
            known = aim.errors.sensitivity.n >= MIN_GOLDEN
            sensitivity = aim.errors.sensitivity.value if known else 1.0
            shown = target * sensitivity + (1.0 - target) * (1.0 - aim.errors.specificity.value)
        found[str(market)] = min(max(shown, 1e-6), 1.0 - 1e-6)
    return found
