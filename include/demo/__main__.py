"""`make demo`: a simulated platform and all daily Dags, day by day, through Airflow in this process."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta

from include.config.declared import declared_settings
from include.config.load import ConfigError, load_config
from include.config.settings import config_path
from include.demo.state import DATA, State, platform_of
from include.local.console import quiet, shown_path
from include.local.environment import enter_airflow
from include.project import open_project
from include.simulation.scenario import ScenarioError, load_scenario
from include.wording import plural

LOG = DATA / "demo.log"
DAYS = 21


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS, help="days to simulate in all (default %(default)s)")
    parser.add_argument("--scenario", default="demo", help="a scenario, or its .yaml file (default %(default)s)")
    arguments = parser.parse_args()

    try:
        load_config(config_path())
        load_scenario(arguments.scenario)
    except (ConfigError, ScenarioError) as error:
        sys.exit(str(error))
    DATA.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    state = State.load() or State(arguments.scenario, datetime.now(UTC).date() - timedelta(days=arguments.days))
    if state.scenario != arguments.scenario:
        sys.exit(f"{shown_path(DATA)} holds a demo of scenario {state.scenario!r}; `make clean` removes it")
    if state.done < arguments.days:
        state.save()
        _run_days(state, arguments.days)
        print(f"{arguments.days} days in {time.monotonic() - started:.0f} s. Log: {shown_path(LOG)}\n")
    else:
        print(f"{state.done} days were run before; nothing to do. `make clean` starts over.\n")
    from include.demo.summary import print_summary

    print_summary(platform_of(state, videos_per_day=1_000_000), state.day(state.done - 1))
    print("\n`make up` opens the Airflow UI and MLflow's over the same data.")


def _run_days(state: State, days: int) -> None:
    with quiet(LOG) as console:
        console.say("Preparing Airflow's metadata database ...")
        enter_airflow()
        from include.local.metadata import apply_settings, migrate
        from include.local.runs import DAILY_DAGS, RunFailed, load_dags, run_dag

        migrate()
        apply_settings()
        dags = load_dags()
        platform = platform_of(state)
        console.say(f"Scenario {state.scenario!r}, {state.day(0)} to {state.day(days - 1)}; a scripted manager answers")
        from include.demo import model_team
        from include.demo.summary import describe_day

        project = open_project(declared_settings())
        model_team.register_models(project, platform.scenario)
        for index in range(state.done, days):
            day, began, answers = state.day(index), time.monotonic(), list[str]()

            def manager(subject: str, body: str, answers: list[str] = answers) -> str:
                changes = plural(body.count("\n| "), "change")
                answers.append(f"scripted manager approves {changes if subject.startswith('Threshold') else subject!r}")
                return "Approve"

            landed = platform.land_day(day)
            looks = ["accept_model"] if model_team.challenger_waits(project) else []  # on other days it finds nobody
            for dag_id in [*DAILY_DAGS, *looks]:
                console.status(f"{day}  {index + 1:>2}/{days}  {dag_id} ...")
                try:
                    run_dag(dags[dag_id], day, manager)
                except RunFailed as error:
                    console.say(f"{day}: {error}")
                    sys.exit(f"See {shown_path(LOG)}. Once mended, `make demo` goes on with {day}.")
            trained = model_team.answer(project, platform, day)
            state.done = index + 1
            state.save()
            what = [describe_day(day, landed.rows["video_scores"]), *trained, *answers]
            console.say(f"{day}  {index + 1:>2}/{days}  {'; '.join(what)}  ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
