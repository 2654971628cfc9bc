"""`make demo` from a fresh clone: `python -m benchmarks.bench_demo`.

The repository's last commit is cloned to a temporary folder, where `make install` and `make demo` are timed.
pip runs without its cache, so the installation includes the downloads. It is measured once, because it takes
minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, Measured, answer
from local.cloud import ROOT

TARGET_SECONDS = 180.0
NOT_INHERITED = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "VIRTUAL_ENV")
SHOWN_CHARACTERS = 2_000


def environment() -> dict[str, str]:
    """Return this process's environment without the variables of this checkout."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_INHERITED and not name.startswith("DISTILLERY_")
    }
    tools = str(ROOT / ".venv" / "bin")
    path = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if part != tools)
    return kept | {"PATH": path, "PIP_NO_CACHE_DIR": "1"}


def timed(*command: str, cwd: Path) -> float:
    """Return the seconds of a command. Raises RuntimeError with the end of its output when it fails."""
    begun = time.monotonic()
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{done.stdout[-SHOWN_CHARACTERS:]}")
    sys.stderr.write(f"{done.stdout[-SHOWN_CHARACTERS:]}\n")
    return time.monotonic() - begun


def measure(quick: bool) -> Measured:
    """Measure once. `quick` changes nothing."""
    del quick
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "distillery"
        cloning = timed("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone), cwd=ROOT)
        installing = timed("make", "install", cwd=clone)
        showing = timed("make", "demo", cwd=clone)
    detail = {
        name: round(seconds, 1)
        for name, seconds in (("clone", cloning), ("install", installing), ("demo", showing))
    }
    total = round(installing + showing, 1)
    figures = [
        Figure("make demo from a fresh clone, total", total, "s", at_most=TARGET_SECONDS),
        Figure("make demo from a fresh clone, installation", detail["install"], "s"),
        Figure("make demo from a fresh clone, demonstration", detail["demo"], "s"),
    ]
    return Measured(figures, {"seconds": detail})


if __name__ == "__main__":
    answer(measure, __doc__)
