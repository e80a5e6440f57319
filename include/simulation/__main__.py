"""`python -m include.simulation`: lands days of a scenario, to look at or to try policies on."""

from __future__ import annotations

import argparse
import sys
from datetime import date, timedelta
from pathlib import Path

from include.simulation.platform import Platform
from include.simulation.scenario import ScenarioError, load_scenario, scenario_names


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 2 if the scenario cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m include.simulation", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the scenarios and stop")
    parser.add_argument("--scenario", default="calm", help="name of a scenario, or the path of its .yaml file")
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2026, 11, 1), help="first day")
    parser.add_argument("--to", type=Path, help="folder to write landing/ and truth/ into")
    parser.add_argument("--videos-per-day", type=int)
    options = parser.parse_args(arguments)
    if options.list:
        for name in scenario_names():
            print(f"{name:20} {load_scenario(name).description}")
        return 0
    if options.to is None:
        parser.error("--to is needed")
    try:
        scenario = load_scenario(options.scenario, videos_per_day=options.videos_per_day)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    platform = Platform(
        scenario,
        landing=options.to / "landing",
        queue=options.to / "queue",
        thresholds=options.to / "thresholds.json",
        truth=options.to / "truth",
        start=options.start,
    )
    for number in range(options.days):
        landed = platform.land_day(options.start + timedelta(days=number))
        rows = ", ".join(f"{table} {count:,}" for table, count in landed.rows.items())
        broken = f"; broken: {', '.join(landed.faults)}" if landed.faults else ""
        print(f"{landed.day}: {rows}{broken}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
