"""A salt of its own for each programme, so that its permanent random numbers have nothing to do with the others'."""

from __future__ import annotations

import hashlib


def programme_salt(salt: int, programme: str) -> int:
    """In [0, 2^31), from the configured salt and the programme's name."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{programme}".encode()).digest()[:4], "big") >> 1
