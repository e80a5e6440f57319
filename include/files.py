"""Files that readers see whole, the old one or the new one, and JSON of which equal values give equal bytes."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path


def write_whole(target: Path, content: bytes) -> None:
    """Writes `content` beside `target`, flushes it, and renames it into place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces, plain UTF-8 and no NaN: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
