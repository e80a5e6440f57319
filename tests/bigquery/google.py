"""A strict Google in front of the emulator: what the rules of `rules.py` say, and what the emulator lacks.

It answers as jobs.insert, jobs.get, jobs.query, jobs.getQueryResults, the upload of load jobs and the changes of tables
answer; all else passes through.
"""

from __future__ import annotations

import email.parser
import email.policy
import http.client
import io
import json
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bigquery.statements import inlined, made_with_filter, reserved_name, tables_of, unfiltered
from tests.waiting import HANG

MOST_BYTES = 10 * 1024 * 1024
RESULT_HOURS = 24
UPDATES, UPDATE_SECONDS = 5, 10.0
TRAVEL_DAYS = 7
LEAST_BILLED = 10 * 1024 * 1024

# https://cloud.google.com/bigquery/docs/error-messages
STATUS = {
    "accessDenied": 403,
    "backendError": 503,
    "bytesBilledLimitExceeded": 400,
    "duplicate": 409,
    "internalError": 500,
    "invalid": 400,
    "invalidQuery": 400,
    "jobBackendError": 400,
    "jobInternalError": 400,
    "jobRateLimitExceeded": 400,
    "notFound": 404,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "resourcesExceeded": 400,
    "stopped": 200,
    "timeout": 400,
}

TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}

Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclass
class Failure:
    """The next `times` jobs whose statement (or "load <table>") contains `of` fail, after they were accepted."""

    of: str
    reason: str
    message: str
    times: int = 1


@dataclass
class Job:
    """A job as Google keeps it: `failed` is its errorResult, `at` the hour it was done, `named` whether its rows have
    a table of their own, `lost` how often it will not be found.
    """

    resource: dict[str, Any]
    failed: dict[str, str] | None = None
    at: float = 0.0
    named: bool = False
    lost: int = 0
    created: float = field(default_factory=time.time)


def error(status: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    """An answer as BigQuery words its errors."""
    words = {"reason": reason, "message": message, "domain": "global"}
    return status, {"error": {"code": status, "message": message, "errors": [words], "status": reason}}


def refusal(reason: str, message: str) -> Answer:
    status, body = error(STATUS[reason] if reason != "stopped" else 400, reason, message)
    return _json(status, body)


def _json(status: int, body: Any) -> Answer:
    return status, [("Content-Type", "application/json")], json.dumps(body).encode()


@dataclass
class Google:
    """The service.

    `hours`: its clock, which a test sets forward. `running`: jobs stay RUNNING. `failures`: those to come.
    `weight`: bytes that every dry run says. `lost_after_conflict`: how often a job whose id is in use is not found.
    """

    port: int
    failures: list[Failure] = field(default_factory=list)
    hours: float = 0.0
    running: bool = False
    weight: int = 0
    lost_after_conflict: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _expires: dict[str, float] = field(default_factory=dict)
    _requiring: set[str] = field(default_factory=set)
    _updates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _answers: dict[str, Answer] = field(default_factory=dict)
    _uploads: dict[str, tuple[dict[str, Any], bytearray]] = field(default_factory=dict)

    def reset(self) -> None:
        """As a test begins: nothing is to fail, and jobs end."""
        self.failures.clear()
        self.hours, self.running, self.weight, self.lost_after_conflict = 0.0, False, 0, 0

    def answer(  # noqa: PLR0911
        self, method: str, address: str, headers: Mapping[str, str], raw: bytes, body: dict[str, Any]
    ) -> Answer:
        path = urlsplit(address).path
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if path.startswith("/upload/"):
            return self._upload(method, path, asked, headers, raw, body)
        if len(raw) > MOST_BYTES:
            return refusal("invalid", f"Request payload size exceeds the limit: {MOST_BYTES} bytes.")
        if found := re.fullmatch(r".*/projects/([^/]+)/(jobs|queries)(?:/([^/]+))?(/cancel)?", path):
            project, kind, job_id, cancel = found.groups()
            if method == "POST" and kind == "jobs" and job_id is None:
                return self._insert(project, body)
            if method == "GET" and kind == "jobs" and job_id is None:
                return self._listed(asked)
            if method == "POST" and kind == "queries":
                return self._query(project, body)
            if method == "GET" and job_id and job_id in self.jobs:
                return self._get(job_id) if kind == "jobs" else self._results(method, address, job_id)
            if cancel and job_id in self.jobs:
                self.jobs[job_id].failed = {"reason": "stopped", "message": "Job execution was cancelled"}
                return _json(200, {"kind": "bigquery#jobCancelResponse", "job": self.jobs[job_id].resource})
        if found := re.fullmatch(r"(.*/datasets/[^/]+/tables)(?:/([^/]+))?", path):
            refused = self._table_changes(method, found[1], found[2] or _table_id(body), body)
            if refused is not None:
                return refused
        return self.emulator(method, address, headers, raw)

    # Jobs

    def _insert(self, project: str, body: dict[str, Any]) -> Answer:
        configuration = body.get("configuration", {})
        query, dry = configuration.get("query"), configuration.get("dryRun")
        job_id = body.get("jobReference", {}).get("jobId") or f"job_{uuid.uuid4().hex}"
        if query is None:
            return self.emulator("POST", f"/bigquery/v2/projects/{project}/jobs", {}, json.dumps(body).encode())
        refused = self._refused(query["query"]) or self._beyond_time_travel(project, query)
        if dry:
            now = time.time() + 3600 * self.hours
            return refused or _json(200, _weighed(project, configuration, self.weight, now))
        reference = {"projectId": project, "jobId": job_id, "location": "US"}
        resource = {"kind": "bigquery#job", "jobReference": reference, "configuration": configuration}
        with self.lock:
            if job_id in self.jobs:
                self.jobs[job_id].lost = self.lost_after_conflict
                return refusal("duplicate", f"Already Exists: Job {project}:US.{job_id}")
            job = self.jobs[job_id] = Job(resource, at=self.hours, named="destinationTable" in query)
        if refused is not None:
            job.failed = _error_of(refused)
            return refused
        job.failed = self._to_fail(query["query"])
        if job.failed is None:
            try:
                status, headers, content = self._emulated(project, job_id, configuration)
            except OSError:
                del self.jobs[job_id]
                raise
            if status != HTTPStatus.OK:
                job.failed = _error_of((status, headers, content))
                return refusal(**job.failed)
            answered = json.loads(content)
            if failed := answered["status"].get("errorResult"):
                job.failed = _worded(failed)
            resource["statistics"] = answered.get("statistics", {})
            self._note(query["query"])
        return _json(200, _pending(resource))

    def _emulated(self, project: str, job_id: str, configuration: dict[str, Any]) -> Answer:
        """The emulator's answer; it has no results with names of their own, which `_results` makes up for."""
        query = dict(configuration["query"])
        query["query"] = inlined(_at_the_moment(query))
        query.pop("destinationTable", None)
        query.pop("writeDisposition", None)
        body = {
            "jobReference": {"projectId": project, "jobId": job_id},
            "configuration": {**configuration, "query": query},
        }
        return self.emulator("POST", f"/bigquery/v2/projects/{project}/jobs", {}, json.dumps(body).encode())

    def _query(self, project: str, body: dict[str, Any]) -> Answer:
        request = body.get("requestId", "")
        if request and request in self._answers:
            return self._answers[request]
        job_id = f"job_{request or uuid.uuid4().hex}"
        wanted = ("query", "defaultDataset", "queryParameters", "parameterMode", "useLegacySql", "maximumBytesBilled")
        query = {name: body[name] for name in wanted if name in body}
        status, headers, content = self._insert(
            project,
            {
                "jobReference": {"projectId": project, "jobId": job_id},
                "configuration": {"query": query, "labels": body.get("labels", {}), "jobType": "QUERY"},
            },
        )
        if status == HTTPStatus.OK:
            address = f"/bigquery/v2/projects/{project}/queries/{job_id}?maxResults={body.get('maxResults', 10_000)}"
            status, headers, content = self._results("GET", address, job_id)
            if status == HTTPStatus.OK:
                answered = json.loads(content) | {"kind": "bigquery#queryResponse"}
                answered["jobReference"] = self.jobs[job_id].resource["jobReference"]
                affected = self.jobs[job_id].resource.get("statistics", {}).get("query", {}).get("numDmlAffectedRows")
                content = json.dumps(answered | ({"numDmlAffectedRows": affected} if affected else {})).encode()
        if request and not self.running:
            self._answers[request] = (status, headers, content)
        return status, headers, content

    def _get(self, job_id: str) -> Answer:
        job = self.jobs[job_id]
        if job.lost:
            job.lost -= 1
            return refusal("notFound", f"Not found: Job {job_id}")
        if self.running and job.failed is None:
            return _json(200, _pending(job.resource))
        status: dict[str, Any] = {"state": "DONE"}
        if job.failed:
            status |= {"errorResult": job.failed, "errors": [job.failed]}
        return _json(200, job.resource | {"status": status})

    def _listed(self, asked: Mapping[str, str]) -> Answer:
        """The account's jobs, the newest first, with what each was billed."""
        since = int(asked.get("minCreationTime", 0))
        found = [
            {key: job.resource[key] for key in ("jobReference", "configuration")}
            | {"id": job_id, "state": "DONE", "status": {"state": "DONE"}, "statistics": _billed(job)}
            for job_id, job in reversed(self.jobs.items())
            if job.created * 1000 >= since
        ]
        return _json(200, {"kind": "bigquery#jobList", "jobs": found})

    def _results(self, method: str, address: str, job_id: str) -> Answer:
        job = self.jobs[job_id]
        if self.running and job.failed is None:
            answer = {"kind": "bigquery#getQueryResultsResponse", "jobComplete": False}
            return _json(200, answer | {"jobReference": job.resource["jobReference"]})
        if job.failed:
            return refusal(job.failed["reason"], job.failed["message"])
        if not job.named and self.hours - job.at >= RESULT_HOURS:
            return refusal("notFound", f"Not found: Table {job_id}:_anonymous.anon_{job_id}")
        if job.named and not self._result_stands(job.resource["configuration"]["query"]["destinationTable"]):
            return refusal("notFound", f"Not found: Table of the results of {job_id}")
        return self.emulator(method, address, {}, b"")

    def _result_stands(self, table: dict[str, str]) -> bool:
        """Whether a named result is there still: until its table expires."""
        return self._expires.get(table["tableId"], float("inf")) > self.hours

    def _refused(self, text: str) -> Answer | None:
        if name := reserved_name(text):
            return refusal("invalidQuery", f"Syntax error: Unexpected keyword {name.upper()}")
        if table := unfiltered(text, self._requiring):
            return refusal(
                "invalidQuery",
                f"Cannot query over table '{table}' without a filter over column(s) 'ds' that can be used for "
                "partition elimination",
            )
        return None

    def _beyond_time_travel(self, project: str, query: dict[str, Any]) -> Answer | None:
        """Of a statement that reads a table as it was: why it cannot."""
        name = re.search(r"(\w+)`? FOR SYSTEM_TIME AS OF @(\w+)", query["query"])
        if name is None:
            return None
        values = {one["name"]: one["parameterValue"].get("value") for one in query["queryParameters"]}
        asked = datetime.fromisoformat(values[name[2]]).timestamp()
        dataset = query["defaultDataset"]["datasetId"]
        path = f"/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{name[1]}"
        if json.loads(self.emulator("GET", path, {}, b"")[2]).get("type") == "VIEW":
            return refusal("invalidQuery", "FOR SYSTEM_TIME AS OF is not supported for views")
        earliest = time.time() + 3600 * self.hours - 24 * 3600 * TRAVEL_DAYS
        if asked < earliest:
            table = f"{project}:{dataset}.{name[1]}"
            told = f"Invalid snapshot time {asked * 1000:.0f} for table {table}@{asked * 1000:.0f}. "
            return refusal("invalidQuery", f"{told}Cannot read before {earliest * 1000:.0f}")
        return None

    def _to_fail(self, statement: str) -> dict[str, str] | None:
        with self.lock:
            for failure in self.failures:
                if failure.times and failure.of in statement:
                    failure.times -= 1
                    return {"reason": failure.reason, "message": failure.message}
        return None

    def _note(self, text: str) -> None:
        for table, requires in made_with_filter(text):
            self._require(table, requires)

    def _require(self, table: str, requires: bool) -> None:
        (self._requiring.add if requires else self._requiring.discard)(table)

    # Tables

    def _table_changes(self, method: str, tables: str, table: str, body: dict[str, Any]) -> Answer | None:
        if method not in {"POST", "PATCH", "PUT", "DELETE"}:
            return None
        with self.lock:
            changes = self._updates[f"{tables}/{table}"]
            changes[:] = [at for at in changes if at > time.monotonic() - UPDATE_SECONDS]
            if len(changes) >= UPDATES:
                told = f"Exceeded rate limits: too many table update operations for {table}"
                return refusal("rateLimitExceeded", told)
            changes.append(time.monotonic())
        if method == "POST":
            self._require(table, bool(body.get("requirePartitionFilter")))
            if "expirationTime" in body:
                self._expires[table] = self.hours + (int(body["expirationTime"]) / 1000 - time.time()) / 3600
        elif method in {"PATCH", "PUT"} and "schema" in body:
            status, _, content = self.emulator("GET", f"{tables}/{table}", {}, b"")
            found = json.loads(content)["schema"]["fields"] if status == HTTPStatus.OK else []
            there = {part["name"] for part in found}
            for part in body["schema"]["fields"]:
                if part["name"] not in there and part.get("mode") == "REQUIRED":
                    told = f"Provided Schema does not match Table {table}. Cannot add required fields to an existing "
                    return refusal("invalid", f"{told}schema. (field: {part['name']})")
                if part["name"] not in there:
                    self._added(tables, table, part)
        return None

    def _added(self, tables: str, table: str, column: dict[str, str]) -> None:
        """The emulator takes note of a new column, and does not make it."""
        project, dataset = re.findall(r"/(?:projects|datasets)/([^/]+)", tables)
        sql = f"ALTER TABLE `{table}` ADD COLUMN `{column['name']}` {TYPES.get(column['type'], column['type'])}"
        place = {"projectId": project, "datasetId": dataset}
        configuration = {"query": {"query": sql, "useLegacySql": False, "defaultDataset": place}}
        self._emulated(project, f"alter_{uuid.uuid4().hex}", configuration)

    # Load jobs

    def _upload(  # noqa: PLR0917
        self,
        method: str,
        path: str,
        asked: Mapping[str, str],
        headers: Mapping[str, str],
        raw: bytes,
        body: dict[str, Any],
    ) -> Answer:
        if method == "POST" and asked.get("uploadType") == "multipart":
            envelope, content = _parts(headers["content-type"], raw)
            return self._load(envelope, content)
        if method == "POST":
            session = uuid.uuid4().hex
            self._uploads[session] = (body, bytearray())
            return 200, [("Location", f"http://{headers['Host']}{path}?session={session}")], b""
        envelope, held = self._uploads[asked["session"]]
        held.extend(raw)
        total = headers.get("content-range", "").rpartition("/")[2]
        if total.isdigit() and len(held) < int(total):
            return 308, [("Range", f"bytes=0-{len(held) - 1}")], b""
        return self._load(envelope, bytes(held))

    def _load(self, body: dict[str, Any], content: bytes) -> Answer:
        load = body["configuration"]["load"]
        target, project = load["destinationTable"], load["destinationTable"]["projectId"]
        reference = body.get("jobReference") or {"jobId": uuid.uuid4().hex}
        job_id = reference["jobId"]
        resource = {
            "kind": "bigquery#job",
            "jobReference": {"projectId": project, "jobId": job_id, "location": "US"},
            "configuration": body["configuration"] | {"jobType": "LOAD"},
        }
        with self.lock:
            if job_id in self.jobs:
                return refusal("duplicate", f"Already Exists: Job {project}:US.{job_id}")
            job = self.jobs[job_id] = Job(resource, at=self.hours, named=True)
        try:
            job.failed = self._to_fail(f"load {target['tableId']}") or self._loaded(target, load, content)
        except OSError:
            del self.jobs[job_id]  # the service is gone, and never heard of it
            raise
        return _json(200, _pending(resource))

    def _loaded(  # noqa: PLR0911
        self, target: dict[str, str], load: dict[str, Any], content: bytes
    ) -> dict[str, str] | None:
        """Loads; what failed, else."""
        import pyarrow.parquet as pq

        table, _, day = target["tableId"].partition("$")
        tables = f"/bigquery/v2/projects/{target['projectId']}/datasets/{target['datasetId']}/tables"
        status, _, found = self.emulator("GET", f"{tables}/{table}", {}, b"")
        if status != HTTPStatus.OK:
            name = f"{target['projectId']}:{target['datasetId']}.{table}"
            return {"reason": "notFound", "message": f"Not found: Table {name}"}
        there = {part["name"]: part["type"] for part in json.loads(found)["schema"]["fields"]}
        for part in load["schema"]["fields"]:
            told = f"Provided Schema does not match Table {table}. "
            if part["name"] not in there:
                return {"reason": "invalid", "message": f"{told}Cannot add fields (field: {part['name']})"}
            if TYPES.get(part["type"], part["type"]) != TYPES.get(there[part["name"]], there[part["name"]]):
                return {"reason": "invalid", "message": f"{told}Field {part['name']} has changed type"}
        if not day:
            return self._loaded_whole(target, load, content)
        days = set(pq.read_table(io.BytesIO(content), columns=["ds"]).column("ds").to_pylist())
        if {f"{one:%Y%m%d}" for one in days} - {day}:
            told = f"Some rows belong to different partitions rather than destination partition {table}${day}"
            return {"reason": "invalid", "message": told}
        aside = target | {"tableId": f"partition_{uuid.uuid4().hex}"}
        made = {"tableReference": aside, "schema": load["schema"]}
        self.emulator("POST", tables, {}, json.dumps(made).encode())
        if failed := self._loaded_whole(aside, load, content):
            return failed
        names = ", ".join(f"`{part['name']}`" for part in load["schema"]["fields"])
        iso = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        merge = (
            f"MERGE `{table}` USING `{aside['tableId']}` ON FALSE WHEN NOT MATCHED BY SOURCE AND ds = DATE '{iso}' "
            f"THEN DELETE WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({names})"
        )
        dataset = {"projectId": target["projectId"], "datasetId": target["datasetId"]}
        configuration = {"query": {"query": merge, "useLegacySql": False, "defaultDataset": dataset}}
        status, _, answered = self._emulated(target["projectId"], f"merge_{uuid.uuid4().hex}", configuration)
        self.emulator("DELETE", f"{tables}/{aside['tableId']}", {}, b"")
        if status != HTTPStatus.OK:
            return _error_of((status, [], answered))
        failed_merge: dict[str, str] | None = json.loads(answered)["status"].get("errorResult")
        return failed_merge

    def _loaded_whole(self, target: dict[str, str], load: dict[str, Any], content: bytes) -> dict[str, str] | None:
        """By a resumable upload, since the emulator spoils the bytes of a multipart one."""
        body = {"configuration": {"load": load | {"destinationTable": target}}}
        path = f"/upload/bigquery/v2/projects/{target['projectId']}/jobs?uploadType=resumable"
        _, headers, _ = self.emulator("POST", path, {}, json.dumps(body).encode())
        session = urlsplit(dict(headers)["location"])
        sent = {
            "content-type": "application/octet-stream",
            "content-range": f"bytes 0-{len(content) - 1}/{len(content)}",
        }
        status, _, answered = self.emulator("PUT", f"{session.path}?{session.query}", sent, content)
        if status != HTTPStatus.OK:
            return _error_of((status, [], answered))
        failed: dict[str, str] | None = json.loads(answered)["status"].get("errorResult")
        return failed

    def emulator(self, method: str, address: str, headers: Mapping[str, str], raw: bytes) -> Answer:
        """The emulator's own answer. Raises OSError if it is gone."""
        kept = {k: v for k, v in headers.items() if k not in _NOT_PASSED_ON}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        try:
            connection.request(method, address, raw or None, {"content-type": "application/json"} | kept)
            response = connection.getresponse()
            return response.status, [(k.lower(), v) for k, v in response.getheaders()], response.read()
        finally:
            connection.close()


_NOT_PASSED_ON = {"content-length", "content-encoding", "accept-encoding"}


def _billed(job: Job) -> dict[str, Any]:
    """A load is free; a query bills at least LEAST_BILLED for each table, one that failed nothing."""
    made = {"creationTime": str(round(job.created * 1000))}
    query = job.resource["configuration"].get("query")
    if query is None or job.failed:
        return made
    tables = len(tables_of(query["query"]))
    return made | {"query": {"totalBytesBilled": str(tables * LEAST_BILLED), "totalSlotMs": "1200"}}


def _at_the_moment(query: Mapping[str, Any]) -> str:
    """The statement with the moment of FOR SYSTEM_TIME AS OF in it: the emulator takes no parameter there."""
    values = {one.get("name"): one["parameterValue"].get("value") for one in query.get("queryParameters", ())}

    def literal(found: re.Match[str]) -> str:
        moment = min(datetime.fromisoformat(values[found[1]]), datetime.now(UTC))  # its clock is not set forward
        return f"FOR SYSTEM_TIME AS OF TIMESTAMP '{moment.isoformat()}'"

    return re.sub(r"FOR SYSTEM_TIME AS OF @(\w+)", literal, query["query"])


def _weighed(project: str, configuration: dict[str, Any], weight: int, now: float) -> dict[str, Any]:
    """A dry run's answer at `now`, in seconds; the emulator's own takes as long as the query, and says 0 bytes."""
    weighed = {"totalBytesProcessed": str(weight)}
    return {
        "kind": "bigquery#job",
        "jobReference": {"projectId": project, "location": "US"},
        "configuration": configuration,
        "status": {"state": "DONE"},
        "statistics": weighed | {"creationTime": str(int(now * 1000)), "query": weighed},
    }


def _pending(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != "statistics"} | {"status": {"state": "RUNNING"}}


def _error_of(answer: Answer) -> dict[str, str]:
    if b'"errors"' not in answer[2]:
        raise RuntimeError(f"the emulator answered {answer[0]}: {answer[2][:500]!r}")
    return _worded(json.loads(answer[2])["error"]["errors"][0])


def _worded(said: dict[str, str]) -> dict[str, str]:
    """What the emulator's engine says of a column that is not there, in Google's words."""
    column = re.search(r'Referenced column "(\w+)" not found', said["message"])
    message = f"Unrecognized name: {column[1]} at [1:8]" if column else said["message"]
    return {"reason": said["reason"], "message": message}


def _table_id(body: dict[str, Any]) -> str:
    return str(body.get("tableReference", {}).get("tableId", ""))


def _parts(kind: str, raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the content of a multipart/related body, to the byte."""
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode())
    boundary = str(message.get_param("boundary"))
    _, described, held, _ = raw.split(b"--" + boundary.encode())
    return json.loads(described.split(b"\r\n\r\n", 1)[1]), held.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
