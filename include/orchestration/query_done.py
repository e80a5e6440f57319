"""The trigger that waits for a query of BigQuery in a task's stead, and stops it if somebody ends the task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

log = logging.getLogger(__name__)

LOOK_SECONDS = 15.0
"""Between two looks at the job. One costs a request, and nothing else."""


class QueryDone(BaseTrigger):
    """Fires once the job is done, however it ended: the task looks itself.

    Args:
        job_id: the job.
        place: where it runs, as JSON; it holds no secret.
    """

    def __init__(self, job_id: str, place: dict[str, Any]) -> None:
        super().__init__()
        self.job_id, self.place = job_id, place

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments."""
        return f"{__name__}.{type(self).__name__}", {"job_id": self.job_id, "place": self.place}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Looks at the job until it is done; a look that fails is no reason to stop looking."""
        from include.warehouse.bigquery_client import state_of

        while True:
            try:
                state = await asyncio.to_thread(state_of, self.place, self.job_id)
            except Exception as error:
                log.warning("job %s could not be looked at: %s", self.job_id, error)
                state = "unknown"
            if state in {"DONE", "lost"}:
                yield TriggerEvent({"job": self.job_id, "state": state})
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def on_kill(self) -> None:
        """Somebody cleared the waiting task, or marked it: nobody comes for the result."""
        from include.warehouse.bigquery_client import stop

        log.warning("job %s is cancelled: its task was ended", self.job_id)
        await asyncio.to_thread(stop, self.place, self.job_id)
