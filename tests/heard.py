"""Which tables a Dag asks the warehouse for and gives it, heard while it runs and kept beside what it left behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from include.warehouse.base import query_text
from include.warehouse.duckdb import DuckDBWarehouse

READING = ("days", "delivers", "read", "fingerprint", "row_count", "input_problems", "input_rows")
WRITING = ("replace", "append_version")


@dataclass
class Heard:
    """The tables that a warehouse was asked for, and those that it was given."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


@contextmanager
def listening() -> Iterator[Heard]:
    """Within, what any embedded warehouse is asked is noted, and done."""
    heard = Heard()

    def noting(name: str, note: Any) -> Any:
        original = getattr(DuckDBWarehouse, name)

        def method(self: DuckDBWarehouse, *args: Any, **more: Any) -> Any:
            note(*args)
            return original(self, *args, **more)

        return method

    with pytest.MonkeyPatch.context() as patch:
        for name in READING:
            patch.setattr(DuckDBWarehouse, name, noting(name, lambda table, *_: heard.read.add(table)))
        for name in WRITING:
            patch.setattr(DuckDBWarehouse, name, noting(name, lambda table, *_: heard.written.add(table)))
        query = noting("query", lambda name, *_: heard.read.update(query_text(name)[1]))
        patch.setattr(DuckDBWarehouse, "query", query)
        over_days = noting("over_days", lambda name, *_: heard.read.update(query_text(name)[1]))
        patch.setattr(DuckDBWarehouse, "over_days", over_days)
        drops = noting("delivered_events", lambda *_: heard.read.add("reviewer_labels"))
        patch.setattr(DuckDBWarehouse, "delivered_events", drops)
        yield heard


def heard_to(home: Path, dag_id: str, run: Callable[[], object]) -> None:
    """Runs the Dag, and keeps in `home` what was heard meanwhile."""
    with listening() as heard:
        run()
    kept = home / "heard" / f"{dag_id}.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps([sorted(heard.read), sorted(heard.written)]))


def heard_in(home: Path) -> dict[str, Heard]:
    """What `heard_to` kept in `home`, by Dag."""
    kept = {path.stem: json.loads(path.read_text()) for path in (home / "heard").glob("*.json")}
    return {dag_id: Heard(set(read), set(written)) for dag_id, (read, written) in kept.items()}
