"""Before the UI opens: the simulated platform delivers every day up to today, for the next run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from include.demo.state import State, platform_of


def main() -> None:
    state = State.load()
    if state is None:
        print("There is no demo data yet; `make demo` makes it. Airflow starts all the same.")
        return
    platform = platform_of(state)
    day, today = state.day(state.done), datetime.now(UTC).date()
    while day <= today:
        platform.land_day(day)
        print(f"The simulated platform delivered {day}.")
        day += timedelta(days=1)


if __name__ == "__main__":
    main()
