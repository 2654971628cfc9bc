"""`make bench`: every benchmark, one table, and build/bench.json.

`python -m benchmarks [--only NAME ...] [--json OUT] [--quick]`. Each benchmark is a process of its own, one
after the other. A target that is missed is told and no failure; the exit code is 1 only when a benchmark
could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Measured

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("validation", "similarity", "student", "routing", "startup", "chain", "demo")
NOT_QUICK = {"demo"}
WORDS = {True: "met", False: "[red]missed[/red]", None: ""}


def machine() -> dict[str, Any]:
    """What the figures were taken on, and how busy it was before they were."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "commit": _commit(),
    }


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def run(name: str, *, quick: bool) -> Measured | None:
    """One benchmark in a process of its own; None when it could not run, and its own words are on stderr."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return None if done.returncode else Measured.loads(done.stdout)


def shown(value: float) -> str:
    """Four digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def table(figures: list[Figure], taken_on: dict[str, Any]) -> Table:
    """All figures with their targets."""
    caption = "{cpu}, {cores} cores, Python {python}, {date}, commit {commit}, load before {load_before}"
    made = Table(title="Measured", caption=caption.format(**taken_on))
    made.add_column("what")
    made.add_column("figure", justify="right", no_wrap=True)
    made.add_column("target", no_wrap=True)
    made.add_column("", no_wrap=True)
    for figure in figures:
        made.add_row(figure.name, f"{shown(figure.value)} {figure.unit}", figure.target, WORDS[figure.met])
    return made


def main() -> int:
    """Run, tell, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--only", choices=NAMES, action="append", help="this benchmark only; may be repeated")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="where to write")
    parser.add_argument("--quick", action="store_true", help="measure less often, and leave out what is long")
    arguments = parser.parse_args()
    left_out = NOT_QUICK if arguments.quick else set()
    names = arguments.only or [name for name in NAMES if name not in left_out]

    taken_on = machine()
    measured: dict[str, Measured] = {}
    failed: list[str] = []
    said = Console(stderr=True)
    for name in names:
        said.print(f"{name} ...", style="dim")
        found = run(name, quick=arguments.quick)
        if found is None:
            failed.append(name)
        else:
            measured[name] = found

    figures = [figure for found in measured.values() for figure in found.figures]
    console = Console()
    console.print(table(figures, taken_on))
    content = {
        "machine": taken_on,
        "quick": arguments.quick,
        "figures": [
            {
                "name": figure.name,
                "value": figure.value,
                "unit": figure.unit,
                "target": figure.target,
                "met": figure.met,
            }
            for figure in figures
        ],
        "detail": {name: found.detail for name, found in measured.items()},
        "could_not_run": failed,
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(f"{json.dumps(content, indent=2)}\n", "utf-8")
    console.print(f"Written to {arguments.json}")
    if failed:
        said.print(f"Could not run: {', '.join(failed)} (see above).", style="red")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
