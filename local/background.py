"""The local cloud in the background: `make up` and `make down`.

The background process holds a file lock while it runs. The lock shows whether the local cloud is up, so a
stale state file or a reused process id is never mistaken for it.
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

from local.cloud import POLL_SECONDS, ROOT

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
    """The command cannot run in the present state of this machine. The message is for the user."""


@dataclass(frozen=True, slots=True)
class Background:
    """The background process: its process id, which is also its group's id, and its port."""

    pid: int
    port: int


def running() -> Background | None:
    """Return the local cloud that runs in the background, or None."""
    if not LOCK.exists() or not STATE.exists():
        return None
    with LOCK.open("rb") as lock:
        if _try_lock(lock):
            return None
    return Background(**json.loads(STATE.read_text("utf-8")))


def spawn(port: int) -> tuple[Background, subprocess.Popen[bytes]]:
    """Start `python -m local.server` in its own session. The process holds the lock."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with LOCK.open("wb") as lock, LOG.open("wb") as log:
        if not _try_lock(lock):
            raise Refused("Another `make up` is starting the local cloud. Wait until it has finished.")
        process = subprocess.Popen(
            [sys.executable, "-m", "local.server", "--port", str(port), "--data-dir", str(DATA)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # The process inherits the open file that holds the lock, so the lock is released when it ends.
            pass_fds=[lock.fileno()],
        )
    background = Background(process.pid, port)
    STATE.write_text(json.dumps(asdict(background)), "utf-8")
    return background, process


def stop(background: Background) -> None:
    """Stop the process and the processes it started. Returns when the lock is released."""
    _signal(background, signal.SIGTERM)
    if not _stopped_within(STOP_SECONDS):
        _signal(background, signal.SIGKILL)
        _stopped_within(STOP_SECONDS)
    STATE.unlink(missing_ok=True)


@contextlib.contextmanager
def stopped_on_failure(background: Background) -> Iterator[None]:
    """Stop the background process when the `with` block fails or is interrupted."""
    try:
        yield
    except BaseException:
        stop(background)
        raise


def _stopped_within(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _signal(background: Background, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(background.pid, number)


def _try_lock(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
