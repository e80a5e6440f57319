"""The way to MLflow: with time limits, and with errors that say whether waiting helps."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from include.config.settings import MlflowPlace
from include.files import locked, make_folder, scratch_folder, sweep, sync

if TYPE_CHECKING:
    from mlflow import MlflowClient

REQUEST_SECONDS, REQUEST_TRIES = 20, 1
"""How long a request to MLflow's server may take, and how often it is tried again at once. Airflow tries later."""

_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_SECONDS),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(REQUEST_TRIES),
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_PASSING = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class MlflowRefused(RuntimeError):
    """What MLflow holds cannot be used, and waiting will not help: the message says what will."""


class MlflowUnavailable(RuntimeError):
    """MLflow does not answer, or its storage does not: a later try may succeed."""


@contextmanager
def connected(place: MlflowPlace) -> Iterator[MlflowClient]:
    """A client of MLflow at `place`, for as long as the block lasts.

    An embedded database is made where there is none, and keeps a write-ahead log, so that who looks at it keeps nobody
    from writing.

    Raises:
        MlflowRefused: MLflow denies access.
        MlflowUnavailable: it cannot be reached in time, answers with an error of its own, or its storage fails.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    given = {"MLFLOW_TRACKING_USERNAME": place.username, "MLFLOW_TRACKING_PASSWORD": place.password}
    changed = _LIMITS | {name: value for name, value in given.items() if value is not None}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        if place.database is not None:
            _make_store(place.database)
        mlflow.set_tracking_uri(place.tracking_uri)
        mlflow.set_registry_uri(place.tracking_uri)
        yield mlflow.MlflowClient(place.tracking_uri, place.tracking_uri)
    except MlflowException as error:
        if error.error_code in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
            raise MlflowRefused(
                f"{shown(place.tracking_uri)} denies access: {_line(error)}. Check login and password of the "
                "connection plumbline_mlflow"
            ) from error
        if error.error_code not in _PASSING:
            raise
        raise _unavailable(place, error) from error
    except (RequestException, SQLAlchemyError, OSError) as error:
        raise _unavailable(place, error) from error
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def shown(uri: str) -> str:
    """An address without the credentials that it may hold."""
    return _CREDENTIALS.sub("", uri)


def _unavailable(place: MlflowPlace, error: Exception) -> MlflowUnavailable:
    return MlflowUnavailable(f"MLflow at {shown(place.tracking_uri)} does not answer: {_line(error)}")


def _line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return shown(lines[0])[:400]


def _make_store(file: Path) -> None:
    """An MLflow database without experiments at `file`, if there is none.

    MLflow makes one by hundreds of statements and cannot use what was left half made, so it is made aside.
    """
    import sqlite3
    from contextlib import closing

    import mlflow

    make_folder(file.parent)
    with locked(file.parent):
        sweep(file.parent)
        if file.exists():
            return
        with scratch_folder(file.parent) as aside:
            made = aside / file.name
            mlflow.MlflowClient(f"sqlite:///{made}").search_experiments()
            with closing(sqlite3.connect(made)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # kept in the file; a look at it then blocks no writer
            sync(made)
            made.rename(file)
            sync(file.parent)
