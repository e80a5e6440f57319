"""The permanent random numbers once more, in plain Python and in numpy, independent of any SQL."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_LOW = 0xFFFFFFFF


def _mixed(h: int) -> int:
    h = ((h ^ (h >> 16)) * 2146121005) & _LOW
    return ((h ^ (h >> 15)) * 830770091) & _LOW


def _wide(salt: int) -> int:
    return _mixed(_mixed(salt)) >> 1 << 32 | _mixed(salt)


def permanent_hash(video_id: int, salt: int) -> int:
    """In [0, 2^32), for a video_id in [-2^63, 2^63) and a salt in [0, 2^31)."""
    high, low = divmod(video_id % 2**64 ^ _wide(salt), 2**32)
    return _mixed((low * 1540483477 & _LOW) ^ high)


def permanent_hashes(video_id: NDArray[np.int64], salt: int) -> NDArray[np.uint64]:
    """`permanent_hash` of many ids; shape as given."""
    low = np.uint64(_LOW)
    bits = np.asarray(video_id, dtype=np.int64).view(np.uint64) ^ np.uint64(_wide(salt))
    h = (((bits & low) * np.uint64(1540483477)) & low) ^ (bits >> np.uint64(32))
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(2146121005)) & low
    return ((h ^ (h >> np.uint64(15))) * np.uint64(830770091)) & low


def permanent_random(video_id: NDArray[np.int64], salt: int) -> NDArray[np.float64]:
    """In [0, 1); shape as given."""
    return permanent_hashes(video_id, salt) / 2.0**32


def rehashed(h: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """Another permanent random number, times 2^32, from one times 2^32; shape as given."""
    x = h ^ np.uint64(salt)
    return ((x ^ (x >> np.uint64(15))) * np.uint64(1540483477)) & np.uint64(_LOW)


def policy_key(policy: str) -> int:
    """In [0, 2^60)."""
    return int(hashlib.md5(policy.encode(), usedforsecurity=False).hexdigest()[:15], 16)


def programme_random(
    video_id: NDArray[np.int64], policy: str | None, salts: dict[str, int], programme: str
) -> NDArray[np.float64]:
    """Permanent random numbers of a policy's videos in the programme, in [0, 1); shape as given.

    `policy`: None, one number for all policies, as designs without a numbering have it. `salts`: by programme.
    """
    h = permanent_hashes(video_id ^ np.int64(0 if policy is None else policy_key(policy)), salts["audit"])
    return (h if programme == "audit" else rehashed(h, salts[programme])) / 2.0**32
