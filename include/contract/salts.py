"""Numbers in [0, 2^32) from text, the same on every machine: salts, and permanent random numbers of a few videos."""

from __future__ import annotations

import hashlib


def hash32(*parts: object) -> int:
    """The first four bytes of SHA-256 over the parts' text, joined by colons; in [0, 2^32)."""
    return int.from_bytes(hashlib.sha256(":".join(map(str, parts)).encode()).digest()[:4], "big")


def salt_of(*parts: object) -> int:
    """A salt in [0, 2^31): that of a programme, say, whose random numbers have nothing to do with the others'."""
    return hash32(*parts) >> 1
