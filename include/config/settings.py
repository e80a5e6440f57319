"""Where things are, on this installation: the typed form of the warehouse connection and Airflow's variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from include.config.load import DEFAULT_CONFIG, ConfigError
from include.config.strict import Strict, broken, findings

PROJECT_ROOT = Path(__file__).resolve().parents[2]

CONNECTION_ID, MLFLOW_CONNECTION_ID = "plumbline_warehouse", "plumbline_mlflow"
LABEL_STUDIO_CONNECTION_ID = "plumbline_label_studio"
VARIABLES = ("plumbline_output",)
OPTIONAL_VARIABLES = ("plumbline_anchor",)
REVIEWERS, EXPERTS = "queue", "experts"
"""Whose queue a file of a queue folder holds."""

_SQLITE = "sqlite:///"
EMBEDDED_MLFLOW = f"{_SQLITE}data/mlflow/mlflow.db"
"""Without a connection: a database in the project's data folder, no server."""

FOLDER_VARIABLES = ("plumbline_output", "plumbline_anchor")


def _folder(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty: it names a folder")
    if text != text.strip() or "\0" in text:
        raise ValueError(f"{text!r} has white space around it, or a NUL character in it")
    if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text):
        raise ValueError(f"starts with {scheme[0]}: a folder is expected, not an address")
    if text.startswith("~"):
        raise ValueError("starts with ~, which stands for nothing here: write the path out")
    return text


Folder = Annotated[str, AfterValidator(_folder)]


class BigQueryPlace(Strict):
    """Where on BigQuery, with whose credentials, and what a job may cost.

    Attributes:
        staging_dataset: where results and staging tables lie, which expire by themselves; None: in `dataset`.
        max_gigabytes: 10^9 bytes one job may bill at most.
        job_minutes: how long a job may run; None: as long as BigQuery lets it.
        gcp_conn_id: an Airflow connection with credentials; None: Google's Application Default Credentials.
        impersonation_chain: service accounts, each to be impersonated by the one before it; the last runs the jobs.
        kms_key: the customer-managed key of all that is written; None: the dataset's.
        snapshot_dataset: where a copy of the ledger is kept after each version; None: nowhere.
        api_endpoint: None is Google's own; an emulator's starts with http://, and no credentials are sent there.
        storage_endpoint: host and port of an emulator's Storage Read API; None: Google's own, or none of an emulator.
        retry_seconds: how long one request is tried.
    """

    project: Annotated[str, Field(pattern=r"^\S+$")]
    dataset: Annotated[str, Field(pattern="^[A-Za-z0-9_]+$")]
    staging_dataset: Annotated[str, Field(pattern="^[A-Za-z0-9_]+$")] | None = None
    location: Annotated[str, Field(pattern=r"^\S+$")]
    max_gigabytes: Annotated[float, Field(gt=0)]
    job_minutes: Annotated[float, Field(gt=0, le=360)] | None = None
    gcp_conn_id: Annotated[str, Field(pattern=r"^\S+$")] | None = None
    impersonation_chain: Annotated[list[Annotated[str, Field(pattern=r"^\S+@\S+$")]], Field(min_length=1)] | None = None
    kms_key: Annotated[str, Field(pattern="^projects/.+/cryptoKeys/[^/]+$")] | None = None
    snapshot_dataset: Annotated[str, Field(pattern="^[A-Za-z0-9_]+$")] | None = None
    api_endpoint: Annotated[str, Field(pattern="^https?://")] | None = None
    storage_endpoint: Annotated[str, Field(pattern=r"^[^/\s]+:\d+$")] | None = None
    retry_seconds: Annotated[float, Field(gt=0, le=86_400)] = 300.0


class EmbeddedExtra(Strict):
    """What the connection's extra holds for the embedded warehouse, besides `engine`."""

    landing: Folder
    warehouse: Folder


class BigQueryExtra(BigQueryPlace):
    """What the connection's extra holds for BigQuery, besides `engine`."""

    landing: Folder

    @property
    def place(self) -> BigQueryPlace:
        return BigQueryPlace(**self.model_dump(exclude={"landing"}))


class MlflowExtra(Strict):
    """What the extra of the connection to MLflow holds.

    `tracking_uri`: of MLflow's server, or of a database. `artifacts`: where files of new experiments lie, an address or
    a folder that those who train can open; None: where the server says, and beside an embedded database.
    """

    tracking_uri: str = EMBEDDED_MLFLOW
    artifacts: str | None = None


@dataclass(frozen=True)
class MlflowPlace:
    """Where MLflow is. `username` and `password`: of a server that asks for them."""

    tracking_uri: str
    artifacts: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def database(self) -> Path | None:
        """The file of an embedded database; None: a server, or another kind of database."""
        return Path(self.tracking_uri.removeprefix(_SQLITE)) if self.tracking_uri.startswith(_SQLITE) else None

    @property
    def artifact_folder(self) -> Path | None:
        """Where an embedded MLflow keeps files, unless `artifacts` says another place."""
        return None if self.database is None else self.database.parent / "artifacts"


ProjectId = Annotated[int, Field(ge=1)]


class LabelStudioProjects(Strict):
    """The ids of a market's projects: of what reviewers are asked, and of what experts are; None: there is none."""

    queue: ProjectId | None = None
    experts: ProjectId | None = None


class LabelStudioExtra(Strict):
    """What the extra of the connection to Label Studio holds: the projects of each market."""

    projects: Annotated[dict[str, LabelStudioProjects], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_project_once(self) -> Self:
        ids = [number for market in self.projects.values() for _, number in market if number is not None]
        if twice := [number for number in ids if ids.count(number) > 1]:
            raise broken(f"project {twice[0]} is named twice", "projects")
        return self


@dataclass(frozen=True)
class LabelStudioPlace:
    """Where Label Studio is, with whose token, and which projects are whose: by market and REVIEWERS or EXPERTS."""

    address: str
    token: str = field(repr=False)
    projects: Mapping[tuple[str, str], int]


ENGINES: dict[object, type[EmbeddedExtra | BigQueryExtra]] = {"duckdb": EmbeddedExtra, "bigquery": BigQueryExtra}


@dataclass(frozen=True)
class Settings:
    """Absolute places. Relative ones in the connection or a variable start at `home()`.

    `landing`: the platform's tables in the embedded warehouse; where files of label events arrive in either engine.
    `anchor`: a folder for the ledger's heads, which those who write the ledger may only add to. None: there is none.
    """

    landing: Path
    warehouse: Path | BigQueryPlace
    output: Path
    mlflow: MlflowPlace
    anchor: Path | None = None

    @property
    def thresholds(self) -> Path:
        """The file serving reads."""
        return self.output / "thresholds.json"

    @property
    def queue(self) -> Path:
        """Review queues, one folder a day."""
        return self.output / "review_queue"

    def queue_of(self, day: date, whose: str, market: str, ending: str = "csv") -> Path:
        """The file of what REVIEWERS or EXPERTS of a market are asked on `day`; `json`: as Label Studio's tasks."""
        return self.queue / f"ds={day}" / f"{whose}_{market}.{ending}"

    @property
    def reports(self) -> Path:
        return self.output / "reports"

    @property
    def snapshots(self) -> Path:
        """Training snapshots, one folder a day."""
        return self.output / "training_snapshots"

    @property
    def quality_docs(self) -> Path:
        return self.output / "quality_docs"


def home() -> Path:
    """Where relative places start, and where a local Airflow lives: `PLUMBLINE_HOME`, else the project."""
    return Path(os.environ.get("PLUMBLINE_HOME", PROJECT_ROOT)).absolute()


def config_path() -> Path:
    """policies.yaml: `PLUMBLINE_CONFIG`, else the one shipped. Dag files read it too, hence no Airflow variable."""
    given = os.environ.get("PLUMBLINE_CONFIG")
    return home() / given if given else DEFAULT_CONFIG


def extra_from(text: str, connection: str = CONNECTION_ID) -> dict[str, Any]:
    """A connection's extra from its JSON. Raises ConfigError: no JSON object, or a key given twice."""
    try:
        extra = json.loads(text, object_pairs_hook=_each_key_once)
    except _Twice as error:
        raise ConfigError(f"connection {connection}: extra: {error} is given twice") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"connection {connection}: extra is not valid JSON: {error}") from error
    if not isinstance(extra, dict):
        raise ConfigError(f"connection {connection}: extra is not a JSON object")
    return extra


def mlflow_from(extra: Mapping[str, Any], *, username: str | None = None, password: str | None = None) -> MlflowPlace:
    """Where MLflow is, from its connection; an empty extra: embedded. Raises ConfigError naming what is wrong."""
    try:
        given = MlflowExtra.model_validate(dict(extra))
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(['extra', *map(str, keys)])}: {said}" for keys, said in findings(error))
        raise ConfigError(f"connection {MLFLOW_CONNECTION_ID}: {found}") from error
    artifacts = given.artifacts
    if artifacts is not None and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", artifacts):
        artifacts = (home() / artifacts).as_uri()
    return MlflowPlace(_absolute_uri(given.tracking_uri, home()), artifacts, username or None, password or None)


def label_studio_from(
    extra: Mapping[str, Any], *, host: str | None, schema: str | None, port: int | None, password: str | None
) -> LabelStudioPlace:
    """Where Label Studio is, from the fields of its connection. Raises ConfigError naming what is missing or wrong."""
    where = f"connection {LABEL_STUDIO_CONNECTION_ID}"
    text = (host or "").strip().rstrip("/")
    address = (text if "://" in text else f"{schema or 'https'}://{text}") + (f":{port}" if port else "")
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", address):
        raise ConfigError(f"{where}: host is no address such as https://studio.example.com, without login or query")
    if not (password or "").strip():
        raise ConfigError(f"{where}: password is empty; it is a token of Label Studio")
    try:
        given = LabelStudioExtra.model_validate(dict(extra))
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(['extra', *map(str, keys)])}: {said}" for keys, said in findings(error))
        raise ConfigError(f"{where}: {found}") from error
    ids = {
        (market, whose): number
        for market, projects in given.projects.items()
        for whose, number in projects
        if number is not None
    }
    return LabelStudioPlace(address, (password or "").strip(), ids)


def settings_from(
    extra: Mapping[str, Any], variables: Mapping[str, str], mlflow: MlflowPlace | None = None
) -> Settings:
    """Settings from the warehouse connection's extra and the variables; `mlflow` None: embedded.

    Raises ConfigError naming what is missing or wrong.
    """
    keys = dict(extra)
    engine, start = keys.pop("engine", None), home()
    if engine not in ENGINES:
        allowed = ", ".join(map(repr, ENGINES))
        raise ConfigError(f"connection {CONNECTION_ID}: extra.engine is {engine!r}, allowed: {allowed}")
    try:
        given = ENGINES[engine].model_validate(keys)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(['extra', *map(str, keys)])}: {said}" for keys, said in findings(error))
        raise ConfigError(f"connection {CONNECTION_ID}, engine {engine}: {found}") from error
    if missing := [name for name in VARIABLES if not variables.get(name, "").strip()]:
        raise ConfigError(f"Airflow variables are not set: {', '.join(missing)}")
    named = {"extra.landing": given.landing}
    if isinstance(given, EmbeddedExtra):
        named["extra.warehouse"] = given.warehouse
    for name in FOLDER_VARIABLES:
        if variables.get(name):
            named[f"variable {name}"] = _checked_variable(name, variables[name])
    folders = {name: start / text for name, text in named.items()}
    _check_apart(folders)
    return Settings(
        landing=folders["extra.landing"],
        warehouse=folders["extra.warehouse"] if isinstance(given, EmbeddedExtra) else given.place,
        output=folders["variable plumbline_output"],
        mlflow=mlflow or mlflow_from({}),
        anchor=folders.get("variable plumbline_anchor"),
    )


class _Twice(ValueError):
    """A key that is given twice."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise _Twice(twice[0])
    return dict(pairs)


def _checked_variable(name: str, text: str) -> str:
    try:
        return _folder(text)
    except ValueError as error:
        raise ConfigError(f"Airflow variable {name}: {error}") from error


def _check_apart(folders: Mapping[str, Path]) -> None:
    """Raises ConfigError where one folder is a file, or lies in another: what is written to one must not be read as
    the other's, and who may write one need not be let into the other.
    """
    for name, path in folders.items():
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{name}: {path} is a file, a folder is expected")
    resolved = {name: path.resolve() for name, path in folders.items()}
    for (one, outer), (other, inner) in permutations(resolved.items(), 2):
        if outer == inner or outer in inner.parents:
            raise ConfigError(f"{other}: {inner} lies in {one}, {outer}: each needs a folder of its own")


def _absolute_uri(uri: str, start: Path) -> str:
    if uri.startswith(_SQLITE):
        return _SQLITE + str(start / uri.removeprefix(_SQLITE))
    if ":" not in uri and uri != "databricks":
        raise ConfigError(
            f"connection {MLFLOW_CONNECTION_ID}: extra.tracking_uri: {uri} is no address; "
            f"of a file, {_SQLITE} and its path is expected"
        )
    return uri
