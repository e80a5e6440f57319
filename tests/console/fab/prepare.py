"""Makes the FAB auth manager's tables, its roles and users, named on the command line as JSON: role by name."""

from __future__ import annotations

import json
import sys

LABELS_ROLE = {"role": "Plumbline labels", "perms": [("can_create", "Assets"), ("can_read", "Assets")]}
"""What a review tool needs that pushes labels: to find the asset, and to post its events."""


def main() -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from airflow.providers.fab.auth_manager.models.db import FABDBManager
    from airflow.utils.session import create_session

    with create_session() as session:
        FABDBManager(session).initdb()
    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        manager.bulk_sync_roles([LABELS_ROLE])
        for name, role in json.loads(sys.argv[1]).items():
            manager.add_user(name, name, name, f"{name}@example.com", manager.find_role(role), password=name)


if __name__ == "__main__":
    main()
