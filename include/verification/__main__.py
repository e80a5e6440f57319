"""`make verify-ledger`: the chain, what is served, the sample drawn again, one decision computed again."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from include.config.declared import declared_settings
from include.config.load import ConfigError
from include.ledger.anchor import anchor_problems
from include.ledger.chain import TABLE, in_order, verify
from include.ledger.serving import serving_bytes, serving_document
from include.project import Project, open_project
from include.verification.decision import decision_problems
from include.verification.sample import sample_problems
from include.warehouse.base import UnreadablePartition


def findings(project: Project, version: int | None, last: int = 1) -> tuple[list[str], list[str]]:
    """What holds, and what does not, each in a sentence that names version, column, cell or byte.

    Args:
        version: whose decision and evidence are recomputed; None: the newest.
        last: how many versions, ending with that one, are recomputed.
    """
    try:
        rows = project.warehouse.read(TABLE)
    except UnreadablePartition as error:
        return [], [str(error)]
    problems = verify(rows)
    if problems:
        return [], [f"{TABLE}: {problem}" for problem in problems]
    chain = in_order(rows)
    if not chain:
        return ["nothing has been published yet"], []
    if version is not None and not 1 <= version <= len(chain):
        return [], [f"version {version} does not exist; the ledger holds 1 to {len(chain)}"]
    held = [f"{TABLE}: {len(chain)} versions, the chain is whole"]
    newest = version or len(chain)
    checks = {
        f"{project.settings.thresholds.name}: is version {len(chain)}, byte by byte": _served_problems(
            project.settings.thresholds, serving_bytes(serving_document(chain[-1], project.config))
        ),
    }
    folder = project.settings.anchor
    if folder is None:
        held.append("no plumbline_anchor is set: that somebody wrote another chain whole, or cut its end, is not found")
    else:
        checks[f"{TABLE}: it is the chain that was noted in {folder}, to its end"] = anchor_problems(folder, chain)
    for chosen in chain[max(newest - last, 0) : newest]:
        number = chosen["version"]
        checks |= {
            f"version {number}: its partitions are those of its publication, and its samples are drawn again "
            "alike": sample_problems(project, json.loads(chosen["evidence"])),
            f"version {number}: computed again from its inputs, it is the same": [
                f"version {number}: {text}" for text in decision_problems(project, chain, number)
            ],
        }
    held += [sentence for sentence, found in checks.items() if not found]
    return held, [problem for found in checks.values() for problem in found]


def _served_problems(path: Path, expected: bytes) -> list[str]:
    """The first byte at which the serving file differs from what the ledger says."""
    try:
        actual = path.read_bytes()
    except FileNotFoundError:
        return [f"{path.name}: is missing"]
    if actual == expected:
        return []
    length = min(len(actual), len(expected))
    at = next((i for i in range(length) if actual[i] != expected[i]), length)
    line = expected[:at].count(b"\n") + 1
    return [
        f"{path.name}: byte {at}, in line {line}, is {_shown(actual, at)} and should be {_shown(expected, at)}; "
        f"{len(actual)} bytes, {len(expected)} expected"
    ]


def _shown(content: bytes, at: int) -> str:
    """The bytes around a place, or that there are none."""
    return repr(content[max(at - 12, 0) : at + 8].decode(errors="replace")) if at < len(content) else "missing"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make verify-ledger", description=__doc__)
    parser.add_argument("--version", type=int, help="whose decision is computed again (default: the newest)")
    parser.add_argument("--last", type=int, default=1, help="how many versions before it are, too (default: it alone)")
    options = parser.parse_args()
    try:
        held, problems = findings(open_project(declared_settings()), options.version, options.last)
    except ConfigError as error:
        sys.exit(str(error))
    for sentence in held:
        print(f"ok     {sentence}")
    for sentence in problems:
        print(f"WRONG  {sentence}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
