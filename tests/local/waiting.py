"""Waiting for a condition."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 0.05

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """Return the first true value of `look`. Fails the test when there is none within `seconds`."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        pause.wait(POLL_SECONDS)
    return seen
