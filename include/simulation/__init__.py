"""A video platform with known truth, on which policies, thresholds and failures can be tried.

What is not obvious about it: views are those a video gets before anybody acts on it. `enforcement_log` holds removals
and reviews only; every other scored video was allowed. Each active model version acts by its own cells' thresholds. A
broken feed breaks the export of `video_scores`, not serving.
"""
