"""What the modules of the Bedrock emulator share."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.bedrock.catalogue import Catalogue
from local.bedrock.events import Publisher
from local.bedrock.faults import Faults
from local.bedrock.settings import Settings
from local.bedrock.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

logger = logging.getLogger("local.bedrock")


@dataclass
class Context:
    """State, settings, injected faults and background tasks.

    `endpoint` is the local cloud's own address. `folder` holds the linear models of the custom models.
    """

    endpoint: str
    folder: Path
    settings: Settings = field(default_factory=Settings)
    store: Store = field(default_factory=Store)
    catalogue: Catalogue = field(default_factory=Catalogue)
    faults: Faults = field(default_factory=Faults)
    events: Publisher = field(init=False)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.events = Publisher(lambda: self.faults, self.spawn)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine in the background. An exception is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel_all(self) -> None:
        """Cancel all background tasks."""
        for task in list(self._tasks):
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("A background task of the Bedrock emulator failed", exc_info=error)


@asynccontextmanager
async def at_least(seconds: float) -> AsyncIterator[None]:
    """Make the `with` block take at least this many seconds."""
    started = time.monotonic()
    yield
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - started)))
