"""BigQuery jobs: who asked for them, what they may cost, when they are sent again, and what an error means.

**Scans.** A scan's job id follows from the query, its parameters and the run it serves (`Caller.attempt`). A retry, or
another worker after a crash, therefore finds the job already running or done and takes its result instead of paying
twice; a cleared run is a new attempt. A dry run comes first: its bytes go to the log, and above the limit nothing runs.

**Sent again** is only what BigQuery calls retryable: single requests by the client's own retries, a failed scan under
the next id. All else ends as WarehouseRefused (a rerun cannot heal it) or WarehouseUnavailable (it may).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from include.config.settings import BigQueryPlace
from include.warehouse.base import Caller, Parameter, StillRunning, WarehouseRefused, WarehouseUnavailable

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery, bigquery_storage

log = logging.getLogger(__name__)

MOST_TRIES = 5
_RETRYABLE = {
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "jobRateLimitExceeded",
    "rateLimitExceeded",
}
_GIGABYTE = 10**9


def client_of(place: BigQueryPlace) -> bigquery.Client:
    """A client with Application Default Credentials. Raises WarehouseRefused if there are none."""
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import bigquery

    endpoint = place.api_endpoint
    try:
        return bigquery.Client(
            project=place.project,
            location=place.location,
            credentials=AnonymousCredentials() if endpoint and endpoint.startswith("http://") else None,
            client_options={"api_endpoint": endpoint} if endpoint else None,
        )
    except DefaultCredentialsError as error:
        raise WarehouseRefused(
            "connection plumbline_warehouse: no Google credentials found. Give the workers a service account, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to its key file"
        ) from error


class Jobs:
    """Runs statements in `place` on behalf of `caller`."""

    def __init__(self, place: BigQueryPlace, caller: Caller) -> None:
        from google.cloud.bigquery import DEFAULT_RETRY

        self.dataset = f"{place.project}.{place.dataset}"
        self._place = place
        self._caller = caller
        self._client = client_of(place)
        self._retry = DEFAULT_RETRY.with_timeout(place.retry_seconds)

    def run(self, sql: str, parameters: Mapping[str, Parameter], about: str) -> pa.Table:
        """The result of a statement that may be sent again as often as one likes."""
        with self._named(about):
            job = self._client.query(
                sql, job_config=self._config(_typed(parameters)), retry=self._retry, timeout=self._place.retry_seconds
            )
            return self._fetched(job, about)

    def scan(self, sql: str, parameters: Mapping[str, Parameter], about: str) -> pa.Table:
        """The result of a big query, of the job that already runs or ran for this attempt if there is one."""
        with self._named(about):
            for number in range(MOST_TRIES):
                job = self._submit(sql, parameters, about, number)
                try:
                    return self._fetched(job, about, self._caller.patience_seconds)
                except TimeoutError as error:
                    raise StillRunning(f"{about}: job {job.job_id} is still running") from error
                except Exception:
                    if not _failed_retryably(job) or number + 1 == MOST_TRIES:
                        raise
                    log.warning("%s: job %s failed (%s); sent again", about, job.job_id, job.error_result)
                    time.sleep(2**number)
        raise AssertionError("unreachable")

    def insert_once(self, sql: str, values: Mapping[str, Any], types: Mapping[str, str], table: str, key: str) -> bool:
        """Whether `sql` inserted its row. Of several callers with one `key`, at most one does.

        Compare-and-swap rests on BigQuery accepting each job id once; the id is free again only if its job failed.
        """
        from google.api_core.exceptions import Conflict
        from google.cloud import bigquery

        typed = [bigquery.ScalarQueryParameter(name, types[name], value) for name, value in values.items()]
        config = self._config(typed)
        mine = uuid.uuid4().hex
        config.labels = {**config.labels, "writer": mine}
        with self._named(table):
            for number in range(MOST_TRIES):
                job_id = f"plumbline-{self._place.dataset}-{table}-{key}-{number}"
                try:
                    job = self._client.query(sql, job_config=config, job_id=job_id, job_retry=None, retry=self._retry)
                except Conflict:
                    job = self._client.get_job(job_id, retry=self._retry)
                try:
                    job.result(retry=self._retry)
                except Exception:
                    if not _failed_retryably(job) or number + 1 == MOST_TRIES:
                        raise
                    continue
                return job.labels.get("writer") == mine and job.num_dml_affected_rows == 1
        raise AssertionError("unreachable")

    def table(self, name: str) -> bigquery.Table | None:
        """Metadata of a table or view of the dataset; None if there is none. A missing dataset is refused by name."""
        from google.api_core.exceptions import NotFound

        with self._named(name):
            try:
                return self._client.get_table(f"{self.dataset}.{name}", retry=self._retry)
            except NotFound:
                self._client.get_dataset(self.dataset, retry=self._retry)
                return None

    def create(self, table: bigquery.Table) -> None:
        with self._named(table.table_id):
            self._client.create_table(table, retry=self._retry)

    def load(self, parquet: IO[bytes], table: bigquery.Table) -> None:
        """Fills `table` from a Parquet file."""
        from google.cloud import bigquery

        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            schema=table.schema,
            labels=self._labels(),
        )
        with self._named(table.table_id):
            self._client.load_table_from_file(parquet, table, job_config=config).result(retry=self._retry)

    def drop(self, name: str) -> None:
        with self._named(name):
            self._client.delete_table(f"{self.dataset}.{name}", not_found_ok=True, retry=self._retry)

    def _fetched(self, job: bigquery.QueryJob, about: str, seconds: float | None = None) -> pa.Table:
        """The job's rows, once it is done: by the Storage Read API if it is there and allowed, else by REST.

        Raises TimeoutError if it is not done in so many seconds.
        """
        from google.api_core.exceptions import Forbidden

        rows = job.result(retry=self._retry, timeout=seconds)
        storage = self._storage
        if storage is not None:
            try:
                return rows.to_arrow(bqstorage_client=storage)
            except Forbidden as error:
                log.warning("%s: fetched by REST, which is slower: %s", about, _said(error))
                rows = job.result(retry=self._retry)
        return rows.to_arrow(create_bqstorage_client=False)

    @cached_property
    def _storage(self) -> bigquery_storage.BigQueryReadClient | None:
        """A client of Google's Storage Read API; None at another endpoint, whose Storage API is not known."""
        from google.cloud import bigquery_storage

        if self._place.api_endpoint is not None:
            return None
        return bigquery_storage.BigQueryReadClient(credentials=self._client._credentials)

    def _submit(self, sql: str, parameters: Mapping[str, Parameter], about: str, number: int) -> bigquery.QueryJob:
        from google.api_core.exceptions import Conflict, NotFound

        job_id = f"{self._scan_id(sql, parameters)}-{number}"
        try:
            job = self._client.get_job(job_id, retry=self._retry)
            log.info("%s: job %s is %s already, taken up again", about, job_id, job.state)
            return job
        except NotFound:
            self._weigh(sql, parameters, about)
        config = self._config(_typed(parameters))
        try:
            job = self._client.query(sql, job_config=config, job_id=job_id, job_retry=None, retry=self._retry)
        except Conflict:  # another worker was faster
            job = self._client.get_job(job_id, retry=self._retry)
        log.info("%s: job %s", about, job_id)
        return job

    def _weigh(self, sql: str, parameters: Mapping[str, Parameter], about: str) -> None:
        """Writes to the log what a scan would read. Raises WarehouseRefused above the limit."""
        config = self._config(_typed(parameters))
        config.dry_run, config.use_query_cache = True, False
        read = self._client.query(sql, job_config=config, retry=self._retry).total_bytes_processed or 0
        log.info("%s: would read %.3f GB, at most %g GB allowed", about, read / _GIGABYTE, self._place.max_gigabytes)
        if read > self._place.max_gigabytes * _GIGABYTE:
            raise WarehouseRefused(
                f"{about} would read {read / _GIGABYTE:,.1f} GB, more than the {self._place.max_gigabytes:g} GB that "
                "extra.max_gigabytes of connection plumbline_warehouse allows; nothing was run"
            )

    def _scan_id(self, sql: str, parameters: Mapping[str, Parameter]) -> str:
        said = json.dumps([sql, {k: str(v) for k, v in sorted(parameters.items())}, self._caller.attempt])
        return f"plumbline-{self._place.dataset}-{hashlib.sha256(said.encode()).hexdigest()[:32]}"

    def _config(self, parameters: list[bigquery.ScalarQueryParameter]) -> bigquery.QueryJobConfig:
        from google.cloud import bigquery

        return bigquery.QueryJobConfig(
            default_dataset=self.dataset,
            query_parameters=parameters,
            labels=self._labels(),
            maximum_bytes_billed=int(self._place.max_gigabytes * _GIGABYTE),
        )

    def _labels(self) -> dict[str, str]:
        said = {"product": "plumbline", "dag": self._caller.dag, "task": self._caller.task, "day": self._caller.day}
        return {name: re.sub(r"[^a-z0-9_-]", "_", value.lower())[:63] for name, value in said.items() if value}

    @contextmanager
    def _named(self, about: str) -> Iterator[None]:
        """Turns the client's errors into WarehouseRefused or WarehouseUnavailable, saying what to do."""
        import requests
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError

        where = f"connection plumbline_warehouse, {self.dataset}, {about}"
        try:
            yield
        except exceptions.RetryError as error:
            raise WarehouseUnavailable(
                f"{where}: no answer in {self._place.retry_seconds:g} s ({error.cause or error}); rerun later, running "
                "scans are taken up again"
            ) from error
        except exceptions.NotFound as error:
            raise WarehouseRefused(
                f"{where}: not found ({_said(error)}). Check project, dataset and location in the connection's extra; "
                "the dataset must be made beforehand (docs/bigquery.md)"
            ) from error
        except exceptions.Forbidden as error:
            if _reason(error) in {"quotaExceeded", "rateLimitExceeded"}:
                raise WarehouseUnavailable(f"{where}: a quota is used up ({_said(error)}); rerun later") from error
            if _reason(error) == "bytesBilledLimitExceeded":
                raise WarehouseRefused(f"{where}: above extra.max_gigabytes ({_said(error)})") from error
            raise WarehouseRefused(
                f"{where}: permission missing ({_said(error)}). docs/bigquery.md lists the roles needed"
            ) from error
        except (exceptions.Unauthorized, GoogleAuthError) as error:
            raise WarehouseRefused(f"{where}: the credentials cannot be used: {error}") from error
        except exceptions.ClientError as error:
            if _reason(error) in _RETRYABLE | {"quotaExceeded"}:
                raise WarehouseUnavailable(f"{where}: {_said(error)}; rerun later") from error
            raise WarehouseRefused(f"{where}: refused by BigQuery: {_said(error)}") from error
        except (exceptions.GoogleAPIError, requests.exceptions.RequestException) as error:
            raise WarehouseUnavailable(f"{where}: {error}; rerun later, running scans are taken up again") from error


def _typed(parameters: Mapping[str, Parameter]) -> list[bigquery.ScalarQueryParameter]:
    from google.cloud import bigquery

    types: dict[type, str] = {int: "INT64", float: "FLOAT64", str: "STRING", date: "DATE"}
    return [bigquery.ScalarQueryParameter(name, types[type(value)], value) for name, value in parameters.items()]


def _failed_retryably(job: bigquery.QueryJob) -> bool:
    return bool(job.error_result) and job.error_result.get("reason") in _RETRYABLE


def _reason(error: Any) -> str | None:
    return _first(error).get("reason")


def _said(error: Any) -> str:
    """The first line of what BigQuery said, without the request."""
    return str(_first(error).get("message") or error.message).strip().splitlines()[0]


def _first(error: Any) -> dict[str, Any]:
    """What a REST answer says of its first error; a gRPC error says nothing of the kind."""
    errors = [said for said in getattr(error, "errors", []) if isinstance(said, dict)]
    return errors[0] if errors else {}
