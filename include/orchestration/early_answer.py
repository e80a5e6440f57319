"""The trigger that finds an answer which a person gave before the task that asked could wait for it.

Only the triggerer may read the answer that Airflow recorded; a task may not. It looks for as long as the question
waits, and never writes: asking again would erase an answer that is there already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import TriggerEvent

NEVER_ASKED = "never_asked"
"""Key of the event that says that Airflow holds no question of this task."""


class EarlyAnswer(HITLTrigger):
    """Fires with the answer to a question that was asked in an earlier try, or says that none was asked."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments."""
        return f"{__name__}.{type(self).__name__}", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits first: the scheduler must have seen the end of the try that deferred, or it fails the next."""
        await asyncio.sleep(self.poke_interval)
        try:
            async for event in super().run():
                yield event
        except AirflowRuntimeError as error:
            if "404" not in str(error):
                raise
            yield TriggerEvent({NEVER_ASKED: True})
