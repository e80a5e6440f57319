"""What is quoted of the demo: docs/demo.md has a table in the form that it prints, and README's figures are derived."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from include.config.load import load_config
from include.config.settings import DEFAULT_CONFIG, PROJECT_ROOT
from include.demo.__main__ import DAYS
from include.demo.summary import print_summary
from include.simulation.scenario import Evasion, load_scenario
from tests.history import History
from tests.places import MOVES_SOON, configured

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
DEMO = (PROJECT_ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
NEW = "fraud-v3"
"""The version that the demo's model team trains."""
QUOTED = DEMO.split("<!-- demo -->")[1].split("<!-- /demo -->", maxsplit=1)[0].strip("`\n ").splitlines()
ROW = re.compile(
    r"(?P<cell>\S+ \S+ \S+) +(?P<remove>none|\d\.\d{3}) +(?P<review>none|\d\.\d{3}) +"
    r"(?P<certified>>= (?P<bound>\d+\.\d)%|shadow mode|nothing), target (?P<target>\d+)% +(?P<since>day \d+)? +"
    r"((?P<precision>\d+\.\d)%)? +(?P<recall>\d+\.\d)% +(?P<oracle>\d+\.\d)%"
)
EXPLAINED = re.findall(r"\*([Ss]hadow mode|[Nn]othing)\*", DEMO)
LONGEST = 92
"""Lines of the README."""


@pytest.fixture
def printed(home: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The summary of three small days in which labels are final soon."""
    configured(home, MOVES_SOON | {"maturity_days: 3 ": "maturity_days: 1 "})
    history = History(home / "data", "calm", videos_per_day=8_000)
    for index in range(3):
        history.run_day(index)
    print_summary(replace(history, videos_per_day=200_000).platform, history.day(2))
    return capsys.readouterr().out.splitlines()


def rows(lines: list[str]) -> list[dict[str, str]]:
    """The table's rows, which end where no more lines are cells'; each must have the form of ROW."""
    found = []
    for line in lines[1:]:
        if line.startswith("True figures"):
            break
        match = ROW.fullmatch(line)
        assert match, line
        found.append(match.groupdict())
    return found


def test_the_quoted_table_has_the_columns_and_rows_that_the_demo_prints(printed: list[str]) -> None:
    assert QUOTED[0] == printed[0]
    quoted, now = rows(QUOTED), rows(printed)
    assert [row["cell"] for row in quoted if NEW not in row["cell"]] == [row["cell"] for row in now]
    assert len(quoted) == len(QUOTED) - 1 == 12
    assert {len(line) for line in QUOTED[1:]} == {len(line) for line in printed[1 : 1 + len(now)]}
    kinds = {row["certified"].partition(" 9")[0] for row in [*quoted, *now]}
    assert {">=", "shadow mode"} <= kinds <= {">=", *(word.lower() for word in EXPLAINED)}
    assert all((row["since"] is None) == (row["bound"] is None) for row in [*quoted, *now])
    assert all((row["precision"] is None) == (row["remove"] == "none") for row in [*quoted, *now])
    assert "\n".join(printed).count("Cells for which nothing can be certified today, and why:") == 1


def test_what_the_quoted_table_says_fits_the_configuration() -> None:
    config = load_config(DEFAULT_CONFIG)
    for row in rows(QUOTED):
        policy = config.policies[row["cell"].split()[0]]
        assert row["target"] == f"{policy.target_precision:.0%}".rstrip("%")
        remove, review = (1.0 if row[name] == "none" else float(row[name]) for name in ("remove", "review"))
        assert review <= remove
        assert row["bound"] is None or float(row["bound"]) >= 100 * policy.target_precision
        assert row["certified"] != "shadow mode" or row["remove"] == "none"
        assert float(row["recall"]) <= float(row["oracle"]) + 5


def test_every_figure_of_its_text_is_derived() -> None:
    text = re.sub(r"```.*?```|\]\(.*?\)|<img.*?>", "", README, flags=re.DOTALL)
    config = load_config(DEFAULT_CONFIG)
    defaults = config.defaults
    python = re.search(r'requires-python = ">=(.*)"', (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert python
    derived = {
        python[1],
        str(DAYS),
        f"{100 * defaults['target_precision']:.0f}",
        f"{100 * defaults['confidence']:.0f}",
        "97",  # of a manager's question
    }
    assert set(re.findall(r"\d+(?:\.\d+)?", text)) == derived
    assert "97 % in Brazil" in README


def test_the_scenario_is_what_it_says() -> None:
    assert "In the first week fraudsters learn to evade the classifier" in re.sub(r"\s+", " ", README)
    (event,) = load_scenario("demo").events
    assert isinstance(event, Evasion)
    assert event.policies == ["fraud"]
    assert event.from_day < 7 <= DAYS


def test_it_stays_short() -> None:
    assert len(README.splitlines()) <= LONGEST
