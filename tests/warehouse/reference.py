"""The permanent random numbers once more, in plain Python and in numpy, independent of any SQL."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOW = 0xFFFFFFFF


def _mixed(h: int) -> int:
    h = ((h ^ (h >> 16)) * 2146121005) & _LOW
    return ((h ^ (h >> 15)) * 830770091) & _LOW


def _wide_salt(salt: int) -> int:
    twice = _mixed(_mixed(_mixed(_mixed(salt))))
    return _twice_mixed(twice) >> 1 << 32 | twice
def permanent_random(video_id: NDArray[np.int64], salt: int) -> NDArray[np.float64]:
    """In [0, 1); shape as given."""
    return permanent_hashes(video_id, salt) / 2.0**32
