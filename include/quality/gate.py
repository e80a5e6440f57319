"""Runs a gate's checks with Great Expectations, decides, and records what was found.

Great Expectations is imported inside functions: it takes seconds, and Dag files import this module.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.quality.checks import Check, GateOutcome, Judged

if TYPE_CHECKING:
    from include.warehouse.base import Warehouse

EXAMPLES = 3
"""Examples a message gives at most."""


class GateFailed(Exception):
    """A critical check of a gate failed; the message lists them."""

    def __init__(self, outcome: GateOutcome) -> None:
        self.outcome = outcome
        count = len(outcome.failures)
        super().__init__(
            f"gate {outcome.gate} of {outcome.day} failed {count} critical check{'' if count == 1 else 's'}:\n"
            + "\n".join(f"- {message}" for message in outcome.failures)
        )


def judge(warehouse: Warehouse, gate: str, day: date, judged: Sequence[Judged], docs: Path) -> GateOutcome:
    """Run the gate, record its results in quality_results and its page below `docs`; raises GateFailed if critical.

    A failure is also kept in gate_failures, where a later result of the day does not replace it.
    """
    from include.quality.data_docs import write_page

    outcome = run_gate(gate, day, judged)
    earlier = _remember(warehouse, outcome)
    warehouse.replace("quality_results", day, outcome.results, slice_value=gate)
    write_page(docs, outcome, earlier)
    if not outcome.passed:
        raise GateFailed(outcome)
    return outcome


def reopen(warehouse: Warehouse, gate: str, day: date) -> None:
    """Forgets what the gate found, before its rows are replaced: the day counts for nobody until it is judged again."""
    warehouse.replace("quality_results", day, empty_frame(TABLES["quality_results"]), slice_value=gate)


def _remember(warehouse: Warehouse, outcome: GateOutcome) -> pd.DataFrame:
    """The gate's other failures of the day, as rows of gate_failures; this one, if it is a new one, is added there."""
    names = [name for name in TABLES["gate_failures"].column_names if name != "attempt"]
    known = warehouse.read("gate_failures", outcome.day, outcome.day, slice_value=outcome.gate).drop(columns="ds")
    if outcome.passed:
        return known
    found = outcome.results.loc[~outcome.results["success"].astype(bool), names]
    attempts = [rows[names] for _, rows in known.groupby("attempt", sort=True)]
    same = [number for number, rows in enumerate(attempts, start=1) if _said(rows) == _said(found)]
    if not same:
        new = found.assign(attempt=len(attempts) + 1)
        rows = pd.concat([known, new], ignore_index=True) if attempts else new
        warehouse.replace("gate_failures", outcome.day, rows, slice_value=outcome.gate)
    return known[~known["attempt"].isin(same)]


def _said(rows: pd.DataFrame) -> list[Any]:
    return rows.fillna("").to_numpy().tolist()


def run_gate(gate: str, day: date, judged: Sequence[Judged]) -> GateOutcome:
    """Run every check. One that cannot be evaluated (a missing column, values of the wrong type) fails as critical."""
    rows: list[dict[str, Any]] = []
    validations = []
    for part in judged:
        validation = _validate(part, day)
        validations.append(validation)
        for check, result in zip(part.checks, validation.results, strict=True):
            error = _exception(result)
            where = f"{part.table}, {day}" + (f", column {check.column}" if check.column else "")
            found = f"could not be judged: {error}" if error else _found(part, check, result)
            rows.append(
                {
                    "gate": gate,
                    "table_name": part.table,
                    "position": len(rows) + 1,
                    "expectation": check.description,
                    "column_name": check.column,
                    "severity": "critical" if error else check.severity,
                    "success": bool(result.success) and not error,
                    "observed": f"{where}: {found}",
                }
            )
    results = pd.DataFrame(rows, columns=list(TABLES["quality_results"].column_names))
    messages: dict[str, list[str]] = {"critical": [], "warning": []}
    for row in rows:
        if not row["success"]:
            messages[row["severity"]].append(f"{row['observed']}. Must hold: {row['expectation']}")
    return GateOutcome(gate, day, results, tuple(messages["critical"]), tuple(messages["warning"]), tuple(validations))


@cache
def _frames() -> Any:
    """What Great Expectations needs to take a frame: a context that keeps nothing, reports nothing and shows no bars.

    Made once a process: it takes as long as some checks do.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),  # True leaves /tmp/tmp* behind
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # a gate's log ends with what it found
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    return asset.add_batch_definition_whole_dataframe("whole")


def _validate(part: Judged, day: date) -> Any:
    """Great Expectations' result for one frame, its results in the order of the checks and free of wall-clock times.

    Examples are looked for where a check failed, and nowhere else: they cost as much again as the judgement.
    """
    import great_expectations as gx
    from great_expectations import expectations

    frame = part.frame.reset_index(drop=True)
    batch = _frames().get_batch(batch_parameters={"dataframe": frame})
    checks = [
        getattr(expectations, check.expectation)(
            **check.kwargs,
            severity=check.severity,
            description=f"{check.description} ({check.severity})",
            meta={"position": position},
        )
        for position, check in enumerate(part.checks)
    ]
    suite = f"{part.table} ({part.unit})"
    validation = batch.validate(gx.ExpectationSuite(name=suite, expectations=checks), result_format="BASIC")
    results = {result.expectation_config.meta["position"]: result for result in validation.results}
    failed = [checks[position] for position, result in results.items() if not result.success]
    if failed:
        shown = dict.fromkeys([*part.identify, *(column for check in part.checks for column in check.evidence)])
        identify = [column for column in shown if column in frame.columns] or list(frame.columns[:1])
        examples = batch.validate(
            gx.ExpectationSuite(name=suite, expectations=failed),
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": EXAMPLES,
                "unexpected_index_column_names": identify,
            },
        )
        results |= {result.expectation_config.meta["position"]: result for result in examples.results}
    validation.results = [results[position] for position in range(len(checks))]
    validation.meta = {
        "great_expectations_version": gx.__version__,
        "run_id": {"run_name": str(day), "run_time": f"{day}T00:00:00+00:00"},
        "batch_spec": {"data_asset_name": part.table},
    }
    return validation


def _exception(result: Any) -> str:
    """The message of the exception that kept an expectation from being evaluated; empty if there was none.

    Great Expectations gives either one record of it or one for each metric that failed.
    """
    info = result.exception_info or {}
    records = [info] if "raised_exception" in info else list(info.values())
    return next((str(record["exception_message"]) for record in records if record["raised_exception"]), "")


def _found(part: Judged, check: Check, result: Any) -> str:
    """What an expectation found, in words: counts, and examples where it failed."""
    found = result.result
    if "unexpected_count" not in found:
        return _table_level(part, found)
    total, failed, unset = found["element_count"], found["unexpected_count"], found.get("missing_count", 0)
    if total == 0:
        return f"no {part.unit}"
    skipped = f"; not applicable to {unset:,}: {check.not_applicable}" if unset and check.not_applicable else ""
    if skipped and unset == total:
        return f"not applicable: {check.not_applicable}"
    if result.success:
        return f"holds for {_counted(total - unset if skipped else total, part.unit)}{skipped}"
    examples = "; ".join(_example(row, part, check) for row in found["partial_unexpected_index_list"][:EXAMPLES])
    return f"{failed:,} of {total:,} {part.unit}{skipped}, e.g. {examples}"


def _table_level(part: Judged, found: dict[str, Any]) -> str:
    """What an expectation about the frame as a whole found: its columns, or its number of rows."""
    if isinstance(found["observed_value"], list):
        missing = found.get("details", {}).get("mismatched", {}).get("missing")
        return f"missing {', '.join(missing)}" if missing else f"has all its {part.table} columns"
    return _counted(found["observed_value"], part.unit)


def _example(row: dict[str, Any], part: Judged, check: Check) -> str:
    """A failing row: the judged values, what names the row, and the evidence."""
    judged = [name for name in row if name in check.kwargs.values() or name in check.kwargs.get("column_list", ())]
    names = [name for name in dict.fromkeys([*judged, *part.identify, *check.evidence]) if name in row]
    return ", ".join(f"{name}={_shown(row[name])}" for name in names or row)


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"


def _shown(value: Any) -> str:
    """A value as a message shows it."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "NULL"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 2**53 else f"{value:.6g}"
    return str(value)
