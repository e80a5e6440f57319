"""The ledger's heads, kept a second time in a place that whoever writes the ledger may add to but not change.

The chain finds an edit of any version but an edit of all of them: who can write every file can write another chain, or
cut its end. What such a person cannot do is change what was noted elsewhere. The variable `plumbline_anchor` names a
folder for that: on another machine, on storage that only grows, or owned by another user with a sticky bit. Each
version's number and hash becomes one file there, made once and never opened for writing again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from include.contract.cell import Row
from include.files import canonical_json, make_folder


def anchor(folder: Path, chain: Sequence[Row]) -> None:
    """Notes the versions of a sound `chain` that are not noted yet. Raises OSError if the folder cannot be written."""
    make_folder(folder)
    noted = set(_noted(folder))
    for row in chain:
        if row["version"] in noted:
            continue
        content = canonical_json({"hash": row["hash"], "version": row["version"]}).encode()
        with suppress(FileExistsError):  # another writer of the same version was quicker
            place = os.open(_file(folder, row["version"]), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444)
            with open(place, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


def newest_noted(folder: Path) -> int:
    """The newest version noted; 0: none is."""
    return max(_noted(folder), default=0)


def anchor_problems(folder: Path, chain: Sequence[Row], *, newest: int | None = None) -> list[str]:
    """Where the chain is not the one that was noted, each naming the version.

    Args:
        newest: compare this noted version alone, found before the chain was read: others may publish meanwhile. Its
            hash covers all before it, so that another chain and a cut end are found as well, and less is said. None:
            compare all; 0: none.
    """
    hashes, problems = {row["version"]: row["hash"] for row in chain}, []
    for version in _noted(folder) if newest is None else [newest] if newest else []:
        path = _file(folder, version)
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))["hash"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"version {version}: {path.name} cannot be read ({error}); it was cut short or changed")
            continue
        if version not in hashes:
            problems.append(f"version {version}: was published, and the ledger ends at {len(chain)}")
        elif hashes[version] != noted:
            problems.append(f"version {version}: its hash is {hashes[version]}, and was {noted} when it was published")
    return problems


def _noted(folder: Path) -> list[int]:
    return sorted(int(path.stem[1:]) for path in folder.glob("v*.json") if path.stem[1:].isdigit())


def _file(folder: Path, version: int) -> Path:
    return folder / f"v{version:09d}.json"
