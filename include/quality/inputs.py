"""The gates of inputs of which rows are set aside: what is, is recorded and named, and stops nobody."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from include.config.model import Config
from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.quality.gate import judge
from include.quality.suites import InputDay, input_day
from include.warehouse.base import Warehouse


def rows_of_day(warehouse: Warehouse, table: str, day: date) -> InputDay:
    """A day of an input that arrives in rows; nothing where the platform delivers none."""
    if not warehouse.delivers(table):
        return InputDay(table, empty_frame(TABLES[table]), empty_frame(TABLES["input_rejects"]), 0)
    rows = warehouse.input_rows(table, day)
    return InputDay(table, rows.accepted, rows.rejects, rows.read)


def judge_input(warehouse: Warehouse, day: date, found: InputDay, config: Config, docs: Path) -> None:
    """Records in input_rejects what of the day was set aside, and judges it by the gate of the input's name.

    Raises GateFailed where too much of it was set aside, or a file cannot be read at all.
    """
    warehouse.replace("input_rejects", day, found.rejects, slice_value=found.table)
    judge(warehouse, found.table, day, input_day(found, config), docs)
