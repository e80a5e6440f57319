"""Random numbers that depend on names alone: neither on order nor on what was drawn before."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, *names: object) -> np.random.Generator:
    """A generator for the stream called `names`, independent of every other stream of that seed."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, hashed(*names)])))


def hashed(*names: object) -> int:
    """A 64-bit number from names, the same on every machine."""
    return int.from_bytes(blake2b("\x1f".join(map(str, names)).encode(), digest_size=8).digest(), "little")


def keys_of(*columns: Iterable[object]) -> NDArray[np.uint64]:
    """One 64-bit key per row of the columns."""
    return np.fromiter((hashed(*row) for row in zip(*columns, strict=True)), dtype=np.uint64)


def uniform(keys: NDArray[np.uint64], *names: object) -> NDArray[np.float64]:
    """For each key its permanent random number in [0, 1) of the stream `names`. Same shape as `keys`."""
    return (mixed(keys, *names) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mixed(keys: NDArray[np.uint64], *names: object) -> NDArray[np.uint64]:
    """New keys from keys and names, by the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    x = keys ^ np.uint64(hashed(*names))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
