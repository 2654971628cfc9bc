"""`make bench`: runs every benchmark, prints one table and writes build/bench.json.

`python -m benchmarks [--only NAME ...] [--json OUT] [--quick]`. The benchmarks run one after the other,
each in its own process. A missed target is shown but is not an error: the exit code is 1 only when a
benchmark could not run.
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
NAMES = ("validation", "near_duplicates", "linear", "routing", "startup", "chain", "demo")
LONG = {"demo"}
RESULTS = {True: "met", False: "[red]missed[/red]", None: ""}


def machine() -> dict[str, Any]:
    """Describe the machine, its load before the measurement and the commit."""
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
    """Run one benchmark in its own process. Returns None when it failed; its errors are on standard error."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return None if done.returncode else Measured.loads(done.stdout)


def shown(value: float) -> str:
    """Format a value with four significant digits, or with all digits before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def table(figures: list[Figure], measured_on: dict[str, Any]) -> Table:
    """Build the table of all figures with their targets."""
    caption = "{cpu}, {cores} cores, Python {python}, {date}, commit {commit}, load before {load_before}"
    result = Table(title="Benchmarks", caption=caption.format(**measured_on))
    result.add_column("benchmark")
    result.add_column("result", justify="right", no_wrap=True)
    result.add_column("target", no_wrap=True)
    result.add_column("", no_wrap=True)
    for figure in figures:
        result.add_row(
            figure.name, f"{shown(figure.value)} {figure.unit}", figure.target, RESULTS[figure.met]
        )
    return result


def main() -> int:
    """Run the benchmarks, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "--only", choices=NAMES, action="append", help="run this benchmark only; may be repeated"
    )
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "bench.json", help="file for the results"
    )
    parser.add_argument("--quick", action="store_true", help="measure less often and skip long benchmarks")
    arguments = parser.parse_args()
    skipped = LONG if arguments.quick else set()
    names = arguments.only or [name for name in NAMES if name not in skipped]

    measured_on = machine()
    measured: dict[str, Measured] = {}
    failed: list[str] = []
    progress = Console(stderr=True)
    for name in names:
        progress.print(f"{name} ...", style="dim")
        found = run(name, quick=arguments.quick)
        if found is None:
            failed.append(name)
        else:
            measured[name] = found

    figures = [figure for found in measured.values() for figure in found.figures]
    console = Console()
    console.print(table(figures, measured_on))
    content = {
        "machine": measured_on,
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
        progress.print(f"Could not run: {', '.join(failed)} (see above).", style="red")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
