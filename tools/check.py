"""Runs the gate's tools at the same time and prints the output of those that fail.

    python -m tools.check

Exit code 1 when a tool fails. As many tools run at once as there are processors; the slowest start first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
TYPED = ("layers/distillery/src", "functions", "cli", "local", "tools", "samples", "benchmarks", "tests")
"""What mypy checks."""
TOOLS = {
    "template after translation": ("python", "-m", "tools.translate"),
    "template": ("sam", "validate", "--lint"),
    "types": ("mypy", "--no-error-summary", *TYPED),
    "import directions": ("lint-imports", "--no-cache", "--no-logo"),
    "retired words": ("python", "-m", "tools.retired_words"),
    "lint": ("ruff", "check", "--quiet", "."),
    "format": ("ruff", "format", "--check", "--quiet", "."),
}
"""What is checked -> program of .venv and its arguments."""


def run(command: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and output (standard output and standard error together) of a program in .venv."""
    program = Path(sys.executable).with_name(command[0])
    finished = subprocess.run(  # noqa: S603 (the fixed programs above)
        [program, *command[1:]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stdout


def main(tools: dict[str, tuple[str, ...]] = TOOLS) -> int:
    """Run the tools, print each failure under its name; exit code 1 when there is one."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        failed = [
            (name, output)
            for name, (code, output) in zip(tools, pool.map(run, tools.values()), strict=True)
            if code
        ]
    for name, output in failed:
        sys.stdout.write(f"== {name} failed: {' '.join(tools[name])}\n{output.strip()}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
