"""Prints the lines of requirements.txt that a Python version needs, without their markers.

    python target_requirements.py requirements.txt 3.14

pip evaluates markers with the version of the interpreter that runs it, not with `--python-version`. A
layer for another version would therefore lack packages, or ask for packages that have no wheel for it.

Standard library only, because the interpreter that runs the layer's build runs this.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MARKER = re.compile(r"python_full_version (<|>=) '(3\.[0-9]+)'")
"""The only form of marker that the lock has. It gives one answer for all releases of a minor version."""


def requirements_for(version: str, text: str) -> str:
    """The requirements, with their hashes, whose marker holds for a version such as `3.14`.

    Raises ValueError when a marker has another form than `MARKER`.
    """
    kept = []
    wanted = True
    for line in text.splitlines(keepends=True):
        if line[0] not in " \t":  # a requirement; its hashes follow, indented
            wanted, line = _evaluated(line, version)
        if wanted:
            kept.append(line)
    return "".join(kept)


def _evaluated(line: str, version: str) -> tuple[bool, str]:
    """Whether the version needs a requirement, and the requirement without its marker."""
    requirement, separator, rest = line.partition(" ; ")
    if not separator:
        return True, line
    marker = MARKER.fullmatch(rest.rstrip(" \\\n"))
    if marker is None:
        raise ValueError(f"The marker of this requirement cannot be evaluated: {line.strip()}")
    symbol, limit = marker.groups()
    older = _numbers(version) < _numbers(limit)
    return older if symbol == "<" else not older, f"{requirement} \\\n"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    try:
        sys.stdout.write(requirements_for(sys.argv[2], Path(sys.argv[1]).read_text("utf-8")))
    except ValueError as error:
        sys.exit(str(error))
