"""Draws a day's sample again, from the scores and the design, and compares it with the stored one."""

from __future__ import annotations

from datetime import date

from include.contract.tables import TABLES
from include.evidence.fingerprints import GATES, GOLDEN, gates_digest, golden_digest
from include.project import Project
from include.sampling.stage import drawn_sample
from include.warehouse.base import MissingPartition

_TABLE = "review_sample"
_SHOWN = 5


def sample_problems(project: Project, evidence: dict[str, str]) -> list[str]:
    """What is wrong with the sample partitions that `evidence` names, each naming day, video and column.

    Args:
        evidence: SHA-256 of partitions, by table and day, as a version of the ledger recorded them.
    """
    problems = []
    for name, recorded in sorted(evidence.items()):
        table, _, day = name.partition("/")
        if table == GATES and gates_digest(project, date.fromisoformat(day))[name] != recorded:
            problems.append(f"{name}: what the gates found is not what they found at publication")
        if table == GOLDEN and golden_digest(project, date.fromisoformat(day)).get(name) != recorded:
            problems.append(f"{name}: the golden labels are not those of its publication")
        if table in TABLES:
            found = project.warehouse.fingerprint(table, date.fromisoformat(day))
            if found != recorded:
                problems.append(f"{name}: its SHA-256 is {found or 'missing'}, and was {recorded} at publication")
        if table == _TABLE:
            problems += [f"{name}: {text}" for text in _redraw_problems(project, date.fromisoformat(day))]
    return problems


def _redraw_problems(project: Project, day: date) -> list[str]:
    """Where the stored sample of `day` differs from the one its design draws."""
    key, columns = "sample_id", list(TABLES[_TABLE].column_names)
    stored = project.warehouse.read(_TABLE, day, day)[columns].set_index(key)
    try:
        drawn = drawn_sample(project, day)[columns].set_index(key)
    except MissingPartition as error:
        return [f"cannot be drawn again: {error}"]
    problems = [f"{identity} is stored and not drawn" for identity in stored.index.difference(drawn.index)]
    problems += [f"{identity} is drawn and not stored" for identity in drawn.index.difference(stored.index)]
    common = stored.index.intersection(drawn.index)
    one, other = stored.loc[common], drawn.loc[common]
    for column in one.columns:
        differs = one[column].ne(other[column]) & ~(one[column].isna() & other[column].isna())
        problems += [
            f"column {column} of {identity} is {one[column][identity]} and should be {other[column][identity]}"
            for identity in common[differs.to_numpy()]
        ]
    return problems[:_SHOWN] + ([f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else [])
