"""What the connection's extra asks for reaches Google: credentials, key, time, and where results lie."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.auth.impersonated_credentials import Credentials as Impersonated

from include.config.settings import BigQueryPlace
from include.contract.tables import TABLES
from include.warehouse.base import WarehouseRefused
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_client import client_of
from tests.bigquery.landing import deliver
from tests.bigquery.proxy import Proxy
from tests.warehouse.frames import DAY, rows_of, scores

PLACE = BigQueryPlace(project="p", dataset="d", location="EU", max_gigabytes=1)
KEY = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"


def test_key_time_and_staging_dataset_go_with_every_job(opened: Callable[..., BigQueryWarehouse], proxy: Proxy) -> None:
    plain = opened()
    deliver(plain, "video_scores", DAY, scores(20))
    staging = f"{plain.jobs._place.dataset}_staging"
    plain.jobs._client.create_dataset(staging)
    warehouse, sliced = opened(kms_key=KEY, job_minutes=5, staging_dataset=staging), TABLES["quality_results"]
    proxy.requests.clear()
    warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    warehouse.replace("score_histogram", DAY, rows_of(TABLES["score_histogram"], 2))
    warehouse.replace(sliced.name, DAY, rows_of(sliced, 2).assign(gate="scores"), slice_value="scores")
    made = [
        body for method, path, body in proxy.requests if method == "POST" and path.split("?")[0].endswith("/tables")
    ]
    assert {body["encryptionConfiguration"]["kmsKeyName"] for body in made} == {KEY}
    jobs = [job for job in proxy.jobs() if not job.get("dryRun")]
    assert len(jobs) > 2
    times = {job.get("jobTimeoutMs") or job["query"].get("jobTimeoutMs") for job in jobs}
    assert {str(time) for time in times} == {"300000"}
    (scan,) = [job["query"] for job in jobs if "destinationTable" in job.get("query", {})]
    assert scan["destinationTable"]["datasetId"] == staging
    assert scan["destinationEncryptionConfiguration"] == {"kmsKeyName": KEY}
    assert all(
        job["load"]["destinationEncryptionConfiguration"] == {"kmsKeyName": KEY} for job in jobs if "load" in job
    )


def test_the_last_account_of_the_chain_is_impersonated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.auth.default", lambda **_: (AnonymousCredentials(), "p"))
    chain = ["first@p.iam.gserviceaccount.com", "last@p.iam.gserviceaccount.com"]
    credentials = client_of(PLACE.model_copy(update={"impersonation_chain": chain}))._credentials
    assert isinstance(credentials, Impersonated)
    assert credentials.service_account_email == chain[1]
    assert credentials._delegates == chain[:1]


def test_credentials_of_an_airflow_connection_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "client_email": "robot@p.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": pem,
        "project_id": "p",
    }
    connection = {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": json.dumps(account)}}
    monkeypatch.setenv("AIRFLOW_CONN_MY_GOOGLE", json.dumps(connection))
    place = PLACE.model_copy(update={"gcp_conn_id": "my_google"})
    assert client_of(place)._credentials.service_account_email == account["client_email"]
    monkeypatch.setenv("AIRFLOW_CONN_MY_GOOGLE", json.dumps(connection | {"extra": {"key_path": "/nowhere.json"}}))
    with pytest.raises(WarehouseRefused, match="no Google credentials found"):
        client_of(place)
