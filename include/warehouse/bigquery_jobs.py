"""BigQuery jobs: who asked for them, what they may cost, when they are sent again, and how they end.

**Scans.** A scan's job id follows from the query, its parameters and the run it serves (`Caller.attempt`). A retry, or
another worker after a crash, therefore finds the job already running or done and takes its result instead of paying
twice; a cleared run is a new attempt. Its rows lie in a table of their own that expires in RESULT_DAYS, where the
results of other queries are gone after a day. A dry run comes first: its bytes go to the log, and above the limit
nothing runs.

**Errors** are ruled by the table of bigquery_errors. Single requests are repeated by Google's own client. What a job
failed of is read from the job itself (jobs.get): jobs.getQueryResults tells it as if the request had failed, and the
client would then repeat that request until its time is up.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import count
from typing import IO, TYPE_CHECKING, Any, TypeVar

from include.config.settings import BigQueryPlace
from include.warehouse.base import (
    Caller,
    Parameter,
    RunningJob,
    StillRunning,
    TableDiffers,
    TableMissing,
    WarehouseRefused,
    WarehouseUnavailable,
)
from include.warehouse.bigquery_client import client_of, emulated_storage
from include.warehouse.bigquery_errors import JobFailed, Ruling, line_of, said

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery, bigquery_storage

log = logging.getLogger(__name__)

MOST_TRIES = 6
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between tries: a random time up to twice the first, which doubles with each."""

POLL_SECONDS = (0.5, 8.0)
"""Seconds between two looks at a running job, at first and at most."""

RESULT_DAYS = 7
"""How long a scan's rows are kept for whoever comes again for them."""

_GIGABYTE = 10**9
_T = TypeVar("_T")


@dataclass(frozen=True)
class SentJob:
    """A job that was sent on `ds` (UTC), and what it took: a row of `warehouse_usage` of its own."""

    ds: date
    dag: str
    task: str
    about_day: date
    jobs: int
    bytes_billed: int
    slot_ms: int


class Jobs:
    """Runs statements in `place` on behalf of `caller`."""

    def __init__(self, place: BigQueryPlace, caller: Caller) -> None:
        from google.cloud.bigquery import DEFAULT_RETRY

        self.dataset = f"{place.project}.{place.dataset}"
        self.staging = f"{place.project}.{place.staging_dataset or place.dataset}"
        self._dataset_seen = False
        self.snapshots = None if place.snapshot_dataset is None else f"{place.project}.{place.snapshot_dataset}"
        self._place = place
        self._caller = caller
        self._client = client_of(place)
        self._retry = DEFAULT_RETRY.with_timeout(place.retry_seconds)
        self.billed = 0
        self._awaited: Any = None
        self._storage_denied = False

    # Statements

    def run(self, sql: str, parameters: Mapping[str, Parameter], about: str) -> pa.Table:
        """The result of a statement that may be sent again as often as one likes: one request if it is soon done."""
        config = self._query_config(_typed(parameters))

        def once(_: int) -> pa.Table:
            rows = self._client.query_and_wait(sql, job_config=config, retry=self._retry, job_retry=None)
            return self._rows(rows, lambda: self._client.get_job(rows.job_id, retry=self._retry), about)

        with self._named(about):
            return self._again(once, about)

    def scan(
        self, sql: str, parameters: Mapping[str, Parameter], about: str, *, as_they_are: str | None = None
    ) -> pa.Table:
        """The result of a big query, of the job that already runs or ran for this attempt if there is one.

        as_they_are: the same statement of the tables as they are; `sql` then reads them as of the moment @as_of, which
        is that of the dry run, by BigQuery's clock. A job that is taken up again keeps its own.
        """
        from google.api_core.exceptions import NotFound

        identity = self._scan_id(sql, parameters)
        numbers = count()

        def once(_: int) -> pa.Table:
            while (job := self._taken_up(f"{identity}-{(number := next(numbers))}", about)) is not None:
                try:
                    self._wait(job, about, self._caller.patience_seconds)
                    return self._rows(job.result(retry=self._retry), lambda done=job: done, about)  # type: ignore[misc]
                except (JobFailed, NotFound) as error:  # of an earlier try, or its rows are gone
                    log.warning("%s: job %s is of no use (%s), another is sent", about, job.job_id, said(error))
            moment = self._weigh(as_they_are or sql, parameters, about)
            asked = parameters if as_they_are is None else {**parameters, "as_of": moment}
            job = self._sent(sql, asked, f"{identity}-{number}", about)
            self._wait(job, about, self._caller.patience_seconds)
            return self._rows(job.result(retry=self._retry), lambda: job, about)

        with self._named(about):
            return self._again(once, about)

    def append_once(
        self, sql: str, parameters: Mapping[str, Parameter], about: str, key: str, taken: Callable[[], bool]
    ) -> bool:
        """Whether `sql` inserted its row. Of several callers with one `key`, at most one does, and the others know.

        INSERTs do not conflict with one another, so the compare-and-swap rests on BigQuery accepting each job id once:
        the next id is sent only when the job before it is done and `taken()` says that its row is not there. A job that
        BigQuery no longer knows may still run: WarehouseUnavailable.
        """
        from google.api_core.exceptions import Conflict, NotFound

        mine = uuid.uuid4().hex
        numbers = count()

        def once(_: int) -> bool:
            while True:
                job_id = f"plumbline-{key}-{next(numbers)}"
                config = self._query_config(_typed(parameters))
                config.labels = {**config.labels, "writer": mine}
                job = None
                try:
                    try:
                        job = self._client.query(
                            sql, job_config=config, job_id=job_id, job_retry=None, retry=self._retry
                        )
                    except Conflict:
                        job = self._conflicting(job_id)
                    self._wait(job, about)
                except JobFailed:
                    if job is not None and job.labels.get("writer") == mine:
                        raise
                    continue
                except NotFound as error:
                    if said(error).startswith("Not found: Job"):
                        raise WarehouseUnavailable(f"{about}: job {job_id} is lost; rerun later") from error
                    raise
                if job.labels.get("writer") == mine:
                    return job.num_dml_affected_rows == 1
                if taken():
                    return False

        with self._named(about):
            return self._again(once, about)

    def load(self, content: pa.Table, table: str, schema: list[bigquery.SchemaField], about: str) -> None:
        """Makes `content` all there is of `table`, or of a day of it ("dataset.table$YYYYMMDD"), atomically."""
        import pyarrow.parquet as pq

        file = io.BytesIO()
        pq.write_table(content, file)
        self.load_file(file, table, schema, about)

    def load_file(
        self,
        file: IO[bytes],
        table: str,
        schema: list[bigquery.SchemaField],
        about: str,
        **whole: Any,
    ) -> None:
        """The same of a Parquet file. `whole`: how a partitioned table that is replaced whole is laid out."""
        from google.api_core.exceptions import Conflict
        from google.cloud import bigquery

        size = file.seek(0, io.SEEK_END)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            schema=schema,
            labels=self._labels(),
            job_timeout_ms=self._job_timeout,
            destination_encryption_configuration=self._encryption,
            **whole,
        )

        retries = int(self._place.retry_seconds).bit_length()  # uploads count tries: after 1 s, 2 s, 4 s ...

        def once(_: int) -> None:
            file.seek(0)
            job_id = f"plumbline-{uuid.uuid4().hex}"
            target = bigquery.TableReference.from_string(table)
            try:
                job = self._client.load_table_from_file(
                    file, target, job_id=job_id, size=size, job_config=config, num_retries=retries
                )
            except Conflict:  # it arrived, and the answer to it did not
                job = self._conflicting(job_id)
            self._wait(job, about)

        with self._named(about):
            self._again(once, about)

    def cancel(self) -> None:
        """Stops the job that is awaited, if there is one: nobody comes for its result."""
        job, self._awaited = self._awaited, None
        if job is not None:
            log.warning("job %s is cancelled", job.job_id)
            self._client.cancel_job(job.job_id, retry=None, timeout=10)

    def sent_since(self, moment: datetime) -> Iterator[SentJob]:
        """The account's own jobs on this dataset, as BigQuery tells of them; it knows those of six months."""
        mine = self._labels()
        with self._named("the list of jobs"):
            for job in self._client.list_jobs(min_creation_time=moment, retry=self._retry):
                labels = job.labels or {}
                if any(labels.get(name) != mine[name] for name in ("product", "dataset")):
                    continue
                about, sent_on = labels.get("day", ""), job.created.astimezone(UTC).date()
                yield SentJob(
                    ds=sent_on,
                    dag=labels.get("dag", ""),
                    task=labels.get("task", ""),
                    about_day=date.fromisoformat(about) if about else sent_on,
                    jobs=1,
                    bytes_billed=getattr(job, "total_bytes_billed", None) or 0,
                    slot_ms=getattr(job, "slot_millis", None) or 0,
                )

    # Tables

    def table(self, name: str, *, in_dataset: bool = True) -> bigquery.Table | None:
        """Metadata of a table or view of the dataset; None if there is none.

        `in_dataset`: that the dataset is missing is refused by name; else None as well.
        """
        from google.api_core.exceptions import NotFound

        with self._named(name):
            try:
                found = self._client.get_table(f"{self.dataset}.{name}", retry=self._retry)
            except NotFound:
                if in_dataset and not self._dataset_seen:  # the message does not tell which of the two is missing
                    self._client.get_dataset(self.dataset, retry=self._retry)
                    self._dataset_seen = True
                return None
            self._dataset_seen = True
            return found

    def create(self, table: bigquery.Table) -> None:
        """Makes the table, unless another was faster."""
        table.encryption_configuration = self._encryption
        with self._named(table.table_id):
            self._client.create_table(table, exists_ok=True, retry=self._retry)

    def add_columns(self, table: bigquery.Table, fields: list[bigquery.SchemaField]) -> None:
        """Adds nullable columns to a table that has rows."""
        table.schema = [*table.schema, *fields]
        with self._named(table.table_id):
            self._client.update_table(table, ["schema"], retry=self._retry)

    def snapshot(self, table: str, copy: str) -> None:
        """Keeps `table` as it is now under the name `copy`, read-only."""
        from google.cloud import bigquery

        config = bigquery.CopyJobConfig(operation_type=bigquery.job.OperationType.SNAPSHOT, labels=self._labels())
        with self._named(copy):
            self._wait(self._client.copy_table(table, copy, job_config=config, retry=self._retry), copy)

    def drop(self, table: str) -> None:
        with self._named(table):
            self._client.delete_table(table, not_found_ok=True, retry=self._retry)

    # How a job is sent, found and awaited

    def _again(self, once: Callable[[int], _T], about: str) -> _T:
        """The result of `once`, tried again after a pause for as long as the table of errors says so."""
        from google.api_core.retry import exponential_sleep_generator

        pauses = exponential_sleep_generator(FIRST_PAUSE, LONGEST_PAUSE)
        for number in range(MOST_TRIES - 1):
            try:
                return once(number)
            except Exception as error:
                if isinstance(error, StillRunning) or line_of(error).ruling is not Ruling.NEXT_JOB:
                    raise
                log.warning("%s: %s; sent again", about, said(error))
            time.sleep(next(pauses))
        return once(MOST_TRIES - 1)

    def _wait(self, job: Any, about: str, seconds: float | None = None) -> None:
        """Waits for the job's end. Raises JobFailed, and StillRunning after so many seconds."""
        self._awaited = job
        until = None if seconds is None else time.monotonic() + seconds
        pause, most = POLL_SECONDS
        while job.state != "DONE":
            job.reload(retry=self._retry)
            if job.state == "DONE":
                break
            left = most if until is None else until - time.monotonic()
            if left <= 0:
                running = RunningJob(job.job_id, self._place.model_dump(mode="json"))
                raise StillRunning(f"{about}: job {job.job_id} is still running", running)
            time.sleep(min(pause, left))
            pause = min(2 * pause, most)
        self._awaited = None
        if job.error_result:
            raise JobFailed(job.error_result)
        billed = getattr(job, "total_bytes_billed", None)
        if billed:
            self.billed += int(billed)
            log.info("%s: job %s was billed %.3f GB", about, job.job_id, billed / _GIGABYTE)

    def _taken_up(self, job_id: str, about: str) -> Any:
        """The job of that id; None if there is none."""
        from google.api_core.exceptions import NotFound

        try:
            job = self._client.get_job(job_id, retry=self._retry)
        except NotFound:
            return None
        log.info("%s: job %s is %s already, taken up again", about, job_id, job.state)
        return job

    def _conflicting(self, job_id: str) -> Any:
        """The job whose id is in use. BigQuery may say for a moment that it knows no such job."""
        from google.api_core.exceptions import NotFound
        from google.api_core.retry import Retry, if_exception_type

        patient = Retry(if_exception_type(NotFound), initial=0.5, timeout=min(30.0, self._place.retry_seconds))
        return patient(self._client.get_job)(job_id, retry=self._retry)

    def _sent(self, sql: str, parameters: Mapping[str, Parameter], job_id: str, about: str) -> Any:
        """The scan, sent; or another worker's, if that was faster."""
        from google.api_core.exceptions import Conflict
        from google.cloud import bigquery

        config = self._query_config(_typed(parameters))
        results = bigquery.Table(f"{self.staging}.{job_id.replace('-', '_')}")
        config.destination = results.reference
        config.write_disposition = bigquery.WriteDisposition.WRITE_TRUNCATE
        config.destination_encryption_configuration = self._encryption
        results.expires = datetime.now(UTC) + timedelta(days=RESULT_DAYS)
        results.schema = []
        self.create(results)
        try:
            job = self._client.query(sql, job_config=config, job_id=job_id, job_retry=None, retry=self._retry)
        except Conflict:
            job = self._conflicting(job_id)
        log.info("%s: job %s", about, job_id)
        return job

    def _rows(self, rows: Any, job: Callable[[], Any], about: str) -> pa.Table:
        """All rows: by the Storage Read API if it is there, allowed and worth it, else by REST, from `job()` anew."""
        from google.api_core import exceptions

        storage = None if self._place.storage_endpoint else self._storage  # an emulator's knows no results
        if storage is not None:
            try:
                return rows.to_arrow(bqstorage_client=storage)
            except exceptions.Forbidden as error:
                log.warning("%s: fetched by REST, which is slower: %s", about, said(error))
                rows = job().result(retry=self._retry)
        return rows.to_arrow(create_bqstorage_client=False)

    def stored_rows(self, table: str, columns: Sequence[str], start: date, end: date) -> pa.Table | None:
        """Rows of a table of the dataset from day `start` to day `end`, by the Storage Read API: it takes no job.

        None: it is not there, or not allowed. Raises TableMissing if the dataset was seen and the table is not there,
        and TableDiffers if it may not be there, or lacks a column.
        """
        from google.api_core import exceptions

        storage = self._storage
        if storage is None or self._storage_denied:
            return None
        project, dataset = self.dataset.split(".")
        asked = {
            "table": f"projects/{project}/datasets/{dataset}/tables/{table}",
            "data_format": "ARROW",
            "read_options": {
                "selected_fields": list(columns),
                "row_restriction": f"ds BETWEEN DATE '{start.isoformat()}' AND DATE '{end.isoformat()}'",
            },
        }

        def once(_: int) -> pa.Table:
            import pyarrow as pa

            session = storage.create_read_session(
                parent=f"projects/{project}", read_session=asked, max_stream_count=1, timeout=self._place.retry_seconds
            )
            self._dataset_seen = True
            if not session.streams:
                schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
                return schema.empty_table()
            return storage.read_rows(session.streams[0].name).to_arrow(session)

        with self._named(table):
            try:
                return self._again(once, table)
            except exceptions.Forbidden as error:
                log.warning("%s: read by a query, which is slower and takes a job: %s", table, said(error))
                self._storage_denied = True
            except exceptions.ResourceExhausted as error:
                log.warning("%s: read by a query: %s", table, said(error))
            except (exceptions.NotFound, exceptions.BadRequest) as error:
                missing = self._dataset_seen and isinstance(error, exceptions.NotFound)
                raise (TableMissing if missing else TableDiffers)(f"{self.dataset}.{table}: {said(error)}") from error
        return None

    @cached_property
    def _storage(self) -> bigquery_storage.BigQueryReadClient | None:
        """A client of the Storage Read API; None at another endpoint than Google's that names none."""
        from google.cloud import bigquery_storage

        if self._place.storage_endpoint is not None:
            return emulated_storage(self._place.storage_endpoint)
        if self._place.api_endpoint is not None:
            return None
        return bigquery_storage.BigQueryReadClient(credentials=self._client._credentials)

    def _weigh(self, sql: str, parameters: Mapping[str, Parameter], about: str) -> datetime:
        """Writes to the log what a scan would read; the moment. Raises WarehouseRefused above the limit."""
        config = self._query_config(_typed(parameters))
        config.dry_run, config.use_query_cache = True, False
        job = self._client.query(sql, job_config=config, retry=self._retry)
        read = job.total_bytes_processed or 0
        log.info("%s: would read %.3f GB, at most %g GB allowed", about, read / _GIGABYTE, self._place.max_gigabytes)
        if read > self._place.max_gigabytes * _GIGABYTE:
            raise WarehouseRefused(
                f"{about} would read {read / _GIGABYTE:,.1f} GB, more than the {self._place.max_gigabytes:g} GB that "
                "extra.max_gigabytes of connection plumbline_warehouse allows; nothing was run"
            )
        moment: datetime = job.created
        return moment

    def _scan_id(self, sql: str, parameters: Mapping[str, Parameter]) -> str:
        words = json.dumps([sql, {k: str(v) for k, v in sorted(parameters.items())}, self._caller.attempt])
        return f"plumbline-{self._place.dataset}-{hashlib.sha256(words.encode()).hexdigest()[:32]}"

    def _query_config(
        self, parameters: list[bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter]
    ) -> bigquery.QueryJobConfig:
        from google.cloud import bigquery

        return bigquery.QueryJobConfig(
            default_dataset=self.dataset,
            query_parameters=parameters,
            labels=self._labels(),
            maximum_bytes_billed=int(self._place.max_gigabytes * _GIGABYTE),
            job_timeout_ms=self._job_timeout,
        )

    @property
    def _job_timeout(self) -> int | None:
        return None if self._place.job_minutes is None else round(self._place.job_minutes * 60_000)

    @property
    def _encryption(self) -> bigquery.EncryptionConfiguration | None:
        from google.cloud import bigquery

        key = self._place.kms_key
        return None if key is None else bigquery.EncryptionConfiguration(kms_key_name=key)

    def _labels(self) -> dict[str, str]:
        who = self._caller
        words = {"product": "plumbline", "dataset": self._place.dataset}
        words |= {"dag": who.dag, "task": who.task, "day": who.day}
        return {name: re.sub(r"[^a-z0-9_-]", "_", value.lower())[:63] for name, value in words.items() if value}

    @contextmanager
    def _named(self, about: str) -> Iterator[None]:
        """Turns the client's errors into the warehouse's, by the table of errors, saying what to do."""
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
        except GoogleAuthError as error:
            raise WarehouseRefused(f"{where}: the credentials cannot be used: {error}") from error
        except (JobFailed, exceptions.GoogleAPIError, requests.exceptions.RequestException) as error:
            line = line_of(error)
            kind = {Ruling.TABLE: TableDiffers, Ruling.PERSON: WarehouseRefused}.get(line.ruling, WarehouseUnavailable)
            raise kind(f"{where}: {said(error)}: {line.advice}") from error


def _typed(
    parameters: Mapping[str, Parameter],
) -> list[bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter]:
    from google.cloud import bigquery

    types: dict[type, str] = {int: "INT64", float: "FLOAT64", str: "STRING", date: "DATE"}
    types |= {datetime: "TIMESTAMP", type(None): "TIMESTAMP"}  # @as_of alone may be NULL
    return [
        bigquery.ArrayQueryParameter(name, "DATE", value)
        if isinstance(value, list)
        else bigquery.ScalarQueryParameter(name, types[type(value)], value)
        for name, value in parameters.items()
    ]
