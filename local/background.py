"""The local cloud in the background: `make up` and `make down`.

A lock that the background process holds for as long as it lives says whether it is up, so that a stale
file or a reused process id can never be taken for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.cloud import LOOK_EVERY, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

DIRECTORY = Path(os.environ.get("DISTILLERY_CLOUD_DIR") or ROOT / ".cloud").resolve()
LOCK = DIRECTORY / "lock"
STATE = DIRECTORY / "cloud.json"
LOG = DIRECTORY / "cloud.log"
DATA = DIRECTORY / "data"
STOP_SECONDS = 15.0


class Refused(Exception):
    """Something on this machine stands in the way; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Background:
    """The process in the background: its id (and its group's), and its port."""

    pid: int
    port: int


def running() -> Background | None:
    """The local cloud in the background, if it is up."""
    if not LOCK.exists() or not STATE.exists():
        return None
    with LOCK.open("rb") as lock:
        if _take(lock):
            return None
    return Background(**json.loads(STATE.read_text("utf-8")))


def spawn(port: int) -> tuple[Background, subprocess.Popen[bytes]]:
    """Start `python -m local.server` in a session of its own, holding the lock."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with LOCK.open("wb") as lock, LOG.open("wb") as log:
        if not _take(lock):
            raise Refused("Another `make up` began a moment ago; wait for it.")
        process = subprocess.Popen(
            [sys.executable, "-m", "local.server", "--port", str(port), "--data-dir", str(DATA)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # The lock belongs to the open file, which the process inherits: it is free when that has ended.
            pass_fds=[lock.fileno()],
        )
    background = Background(process.pid, port)
    STATE.write_text(json.dumps(asdict(background)), "utf-8")
    return background, process


def stop(background: Background) -> None:
    """End the process and those it started; returns when the lock is free."""
    _signal(background, signal.SIGTERM)
    if not _gone(STOP_SECONDS):
        _signal(background, signal.SIGKILL)
        _gone(STOP_SECONDS)
    STATE.unlink(missing_ok=True)


@contextlib.contextmanager
def stopped_on_failure(background: Background) -> Iterator[None]:
    """Leave nothing in the background when what follows fails or is interrupted."""
    try:
        yield
    except BaseException:
        stop(background)
        raise


def _gone(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY)
    return True


def _signal(background: Background, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(background.pid, number)


def _take(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
