"""Loads settings files into this AIRFLOW_HOME as the Astro CLI does, and prints the rows after each as JSON, last.

The Astro CLI (settings/settings.go) turns every entry of airflow_settings.yaml into one `airflow` command for a shell
in the container. These are the same commands, run by Airflow's own command-line parser in one process.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def commands(path: Path) -> Iterator[str]:
    """What the Astro CLI runs for the file: pools, then variables, then connections."""
    declared = yaml.safe_load(path.read_text(encoding="utf-8"))["airflow"]
    for pool in declared.get("pools") or []:
        yield f"airflow pools set {pool['pool_name']} {pool['pool_slot']} '{pool.get('pool_description') or ''}'"
    for variable in declared.get("variables") or []:
        yield f"airflow variables set {variable['variable_name']} '{variable['variable_value']}'"
    for connection in declared.get("connections") or []:
        command = f"airflow connections add '{connection['conn_id']}' --conn-type '{connection['conn_type']}'"
        extra = connection.get("conn_extra")
        if extra:
            text = json.dumps(extra, separators=(",", ":"), sort_keys=True) if isinstance(extra, dict) else extra
            command += f" --conn-extra '{text}'"
        for part in ("host", "login", "password", "schema", "port"):
            if connection.get(f"conn_{part}"):
                command += f" --conn-{part} '{connection[f'conn_{part}']}'"
        yield command


def rows() -> dict[str, list[dict[str, Any]]]:
    """All connections, pools and variables of the metadata database."""
    from airflow.models import Connection, Pool, Variable
    from airflow.utils.session import create_session

    plain = ("conn_id", "conn_type", "description", "host", "schema", "login", "password", "port")
    with create_session() as session:
        return {
            "connections": [
                {name: getattr(row, name) for name in plain} | {"extra": row.extra_dejson}
                for row in session.query(Connection).order_by(Connection.conn_id)
            ],
            "pools": [
                {name: getattr(row, name) for name in ("pool", "slots", "description", "include_deferred")}
                for row in session.query(Pool).order_by(Pool.pool)
            ],
            "variables": [
                {"key": row.key, "value": row.val, "description": row.description}
                for row in session.query(Variable).order_by(Variable.key)
            ],
        }


def main() -> None:
    from airflow.cli.cli_parser import get_parser

    from include.local.metadata import migrate

    migrate()
    found = []
    for path in sys.argv[1:]:
        for command in commands(Path(path)):
            arguments = get_parser().parse_args(shlex.split(command)[1:])
            arguments.func(arguments)
        found.append(rows())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
