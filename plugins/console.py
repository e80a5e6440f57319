"""The page "Plumbline" in Airflow's navigation, served by the API server; what it is made of stands in include/console.

Every process of Airflow loads its plugins. The application and what it imports are loaded by the first request alone.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin


@cache
def _application() -> Any:
    from include.console.app import app

    return app


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """The application, as ASGI asks for it."""
    application = await asyncio.to_thread(_application)
    await application(scope, receive, send)


class Console(AirflowPlugin):
    """Registers the application and its place in the navigation."""

    name = "console"
    fastapi_apps = ({"name": "Plumbline", "app": serve, "url_prefix": "/plumbline"},)
    external_views = (
        {
            "name": "Plumbline",
            "href": "plumbline/",  # resolves against the base URL, which may have a path
            "url_route": "plumbline",
            "destination": "nav",
            "nav_top_level": True,
        },
    )
