"""Files that their owner alone may read: how they are made, and secrets that are made once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

OWNER_ONLY = 0o077
"""The umask of everything that runs here: logs, metadata and data are their owner's to read."""


def kept(path: Path, content: bytes) -> str:
    """What the file holds; `content` if there is none yet."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        contextlib.suppress(FileExistsError),
        open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file,
    ):
        file.write(content)
    return path.read_text()
