"""Hash buckets of videos as a platform computes them, written from docs/serving.md."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOW = np.uint64(2**32 - 1)
_HALF = np.uint64(32)


def buckets(video_id: NDArray[np.int64], salt: int) -> NDArray[np.float64]:
    """In [0, 1), a multiple of 2^-32, for each video_id; salt in [0, 2^31). Same shape as `video_id`."""
    once = _mixed(np.uint64(salt))
    salted = video_id.astype(np.int64).view(np.uint64) ^ ((_mixed(once) >> np.uint64(1)) << _HALF | once)
    return _mixed(((salted & _LOW) * np.uint64(1540483477) & _LOW) ^ (salted >> _HALF)).astype(np.float64) / 2.0**32


def _mixed(h: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(2146121005)) & _LOW
    return np.asarray(((h ^ (h >> np.uint64(15))) * np.uint64(830770091)) & _LOW)
