"""Google's client for a place: with whose credentials, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from include.config.settings import BigQueryPlace
from include.warehouse.base import WarehouseRefused

if TYPE_CHECKING:
    from google.cloud import bigquery, bigquery_storage

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_HOW = (
    "Give the workers a service account (workload identity), name an Airflow connection with credentials in "
    "extra.gcp_conn_id, or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
)


def client_of(place: BigQueryPlace) -> bigquery.Client:
    """A client with the place's credentials. Raises WarehouseRefused if there are none."""
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import bigquery

    endpoint = place.api_endpoint
    try:
        return bigquery.Client(
            project=place.project,
            location=place.location,
            credentials=_credentials(place),
            client_options={"api_endpoint": endpoint} if endpoint else None,
        )
    except (GoogleAuthError, ValueError, OSError) as error:
        raise WarehouseRefused(
            f"connection plumbline_warehouse: no Google credentials found: {error}. {_HOW}"
        ) from error


def emulated_storage(endpoint: str) -> bigquery_storage.BigQueryReadClient:
    """A client of an emulator's Storage Read API, to which no credentials are sent."""
    import grpc
    from google.cloud.bigquery_storage import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    channel = grpc.insecure_channel(endpoint, options=[("grpc.max_receive_message_length", -1)])
    return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))


def _credentials(place: BigQueryPlace) -> Any:
    """None: Application Default Credentials. To an emulator, whose address begins with http://, none are sent."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.impersonated_credentials import Credentials as Impersonated

    if place.api_endpoint and place.api_endpoint.startswith("http://"):
        return AnonymousCredentials()
    found = _of_connection(place.gcp_conn_id) if place.gcp_conn_id else None
    if not place.impersonation_chain:
        return found
    *through, last = place.impersonation_chain
    source = found or google.auth.default(scopes=_SCOPES)[0]
    return Impersonated(source, target_principal=last, target_scopes=_SCOPES, delegates=through)


def _of_connection(name: str) -> Any:
    """Credentials of an Airflow connection of the type google_cloud_platform; None: it says to use the default ones."""
    import json

    import google.auth
    from airflow.sdk import Connection

    extra = Connection.get(name).extra_dejson
    given = {key.removeprefix("extra__google_cloud_platform__"): value for key, value in extra.items() if value}
    if "keyfile_dict" in given:
        key = given["keyfile_dict"]
        return google.auth.load_credentials_from_dict(json.loads(key) if isinstance(key, str) else key, scopes=_SCOPES)[
            0
        ]
    for option in ("key_path", "credential_config_file"):
        if option in given:
            return google.auth.load_credentials_from_file(given[option], scopes=_SCOPES)[0]
    return None


def state_of(place: Mapping[str, Any], job_id: str) -> str:
    """PENDING, RUNNING or DONE; "lost": BigQuery knows no such job. `place`: a BigQueryPlace as JSON."""
    from google.api_core.exceptions import NotFound

    try:
        return str(client_of(BigQueryPlace.model_validate(place)).get_job(job_id, retry=None, timeout=60).state)
    except NotFound:
        return "lost"


def stop(place: Mapping[str, Any], job_id: str) -> None:
    """Asks BigQuery to stop the job."""
    client_of(BigQueryPlace.model_validate(place)).cancel_job(job_id, retry=None, timeout=20)
