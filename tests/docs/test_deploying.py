"""What teams are given for their own Airflow fits the project: the compose file, and the requirements for images.

Neither Docker's daemon nor an image can be had where these tests run: the file is read as Compose would read it.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from include.config.declared import SETTINGS_FILE
from include.config.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "docs" / "deploy"
GIVEN = {"POSTGRES_PASSWORD": "secret", "JWT_SECRET": "token", "FERNET_KEY": "key"}
AIRFLOW = ("prepare", "api-server", "scheduler", "dag-processor", "triggerer")
IMAGE_HOME = "/usr/local/airflow"


def composed(given: dict[str, str]) -> dict[str, Any]:
    """The file once its variables are filled in. Raises ValueError, as Compose refuses, where one is missing."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in given:
            raise ValueError(found[2])
        return given[found[1]]

    text = re.sub(r"\$\{(\w+):\?([^}]*)\}", value, (FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    assert "${" not in text
    return dict(yaml.safe_load(text))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(composed(GIVEN)["services"])


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_no_secret_has_a_default(missing: str) -> None:
    with pytest.raises(ValueError, match=f"put {missing} into .env"):
        composed({name: value for name, value in GIVEN.items() if name != missing})


def test_every_service_runs_what_there_is(services: dict[str, Any]) -> None:
    from airflow.cli.cli_parser import get_parser

    assert set(services) == {"postgres", *AIRFLOW}
    assert (FOLDER / services["prepare"]["build"] / "Dockerfile").resolve() == PROJECT_ROOT / "Dockerfile"
    for name in AIRFLOW:
        program, *arguments = services[name]["command"]
        if program == "airflow":
            get_parser().parse_args(arguments)
            assert arguments == [name]
        else:
            assert (program, arguments) == ("python", ["-m", "include.local.metadata"])
        for needed in services[name]["depends_on"]:
            assert needed in services


def test_only_the_ui_can_be_reached_and_from_this_machine_alone(services: dict[str, Any]) -> None:
    open_to = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert open_to == {"api-server": ["127.0.0.1:8080:8080"]}


def test_components_share_what_they_must(services: dict[str, Any]) -> None:
    volumes = set(composed(GIVEN)["volumes"])
    for name in AIRFLOW:
        environment, mounted = services[name]["environment"], dict(v.split(":") for v in services[name]["volumes"])
        assert environment == services["prepare"]["environment"]
        assert mounted["storage"] == environment["PLUMBLINE_HOME"]
        assert {place for place in mounted if not place.startswith("./")} <= volumes
    environment = services["prepare"]["environment"]
    assert environment["PYTHONPATH"] == IMAGE_HOME
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://api-server:8080/execution/"
    mounted = dict(volume.split(":") for volume in services["api-server"]["volumes"])
    assert mounted["./passwords.json"] == environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    made = re.findall(rf"{IMAGE_HOME}/\w+", (PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert {mounted["storage"], mounted["logs"]} == set(made)


def test_airflow_knows_every_setting_and_reaches_the_database(services: dict[str, Any]) -> None:
    from airflow.configuration import conf
    from sqlalchemy import make_url

    environment = services["prepare"]["environment"]
    database = make_url(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    postgres = services["postgres"]["environment"]
    assert (database.host, database.username, database.password, database.database) == (
        "postgres",
        postgres["POSTGRES_USER"],
        postgres["POSTGRES_PASSWORD"],
        postgres["POSTGRES_DB"],
    )
    settings = [name.removeprefix("AIRFLOW__").split("__") for name in environment if name.startswith("AIRFLOW__")]
    known = conf.configuration_description
    assert [name for name in settings if name[1].lower() not in known[name[0].lower()]["options"]] == []
    assert len(settings) > 10


def test_what_the_settings_file_declares_lies_in_the_shared_folder() -> None:
    """Relative places start at PLUMBLINE_HOME; an absolute one would be a container's own."""
    declared = yaml.safe_load(SETTINGS_FILE.read_text(encoding="utf-8"))["airflow"]
    places = [entry["variable_value"] for entry in declared["variables"]]
    places += [declared["connections"][0]["conn_extra"][key] for key in ("landing", "warehouse")]
    assert [place for place in places if Path(place).is_absolute()] == []
    assert len(places) == 4


def pins(file: str) -> dict[str, set[str]]:
    """The lines of a lock by package."""
    found: dict[str, set[str]] = {}
    for line in (PROJECT_ROOT / file).read_text(encoding="utf-8").splitlines():
        if re.match(r"[a-z]", line):
            found.setdefault(Requirement(line).name, set()).add(line)
    return found


def needs() -> tuple[set[str], set[str]]:
    """What requirements.in asks for: what images of Airflow bring, and the rest."""
    lines = [line for line in (PROJECT_ROOT / "requirements.in").read_text().splitlines() if re.match(r"[a-z]", line)]
    brought = {line for line in lines if line.endswith("# the image brings it")}
    names = [{Requirement(line.partition(" #")[0]).name for line in part} for part in (brought, set(lines) - brought)]
    return names[0], names[1]


def closure(names: set[str]) -> set[str]:
    """These packages and all that they need, as they are installed here."""
    found, waiting = set[str](), [(name, "") for name in names]
    seen = set[tuple[str, str]]()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        try:
            asked = requires(name) or []
        except PackageNotFoundError:  # of another platform
            continue
        for line in asked:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                plain = re.sub(r"[-_.]+", "-", needed.name).lower()
                waiting += [(plain, part) for part in ("", *needed.extras)]
    return found


def test_an_image_is_given_what_the_lock_pins_and_nothing_of_airflows() -> None:
    lock, image = pins("requirements.txt"), pins("requirements-image.txt")
    brought, own = needs()
    assert len(brought) > 2
    assert {name: lines for name, lines in image.items() if lock.get(name) != lines} == {}
    of_airflow = closure(brought)
    assert "sqlalchemy" in of_airflow
    assert image.keys() & of_airflow == set()
    assert len(own - of_airflow) > 10
    assert own - of_airflow <= image.keys()
    elsewhere = {name for name, lines in lock.items() if all(";" in line for line in lines)}
    assert lock.keys() - image.keys() - of_airflow - elsewhere == set()
