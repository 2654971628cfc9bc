"""Copies the layer's pins and hashes from the lock of the development environment.

    python -m tools.lock_layer

`make lock` runs it. Both use one resolution, so that the tests run with the versions that are deployed.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements/dev.txt"
NAMED = ROOT / "layers/distillery/requirements.in"
PINNED = ROOT / "layers/distillery/requirements.txt"


def names(text: str) -> list[str]:
    """The names in a requirements.in, without comments."""
    return [line for line in (raw.split("#")[0].strip() for raw in text.splitlines()) if line]


def pins(lock: str) -> dict[str, str]:
    """Name -> its pin with hashes, as a lock file has it."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines():
        if not line or line.startswith("#"):
            continue
        if not line.startswith(" "):
            name = line.split("==")[0]
            found[name] = ""
        found[name] += line + "\n"
    return found


def layer_requirements(named: str, lock: str) -> str:
    """The content of the layer's requirements.txt; raises KeyError when the lock lacks a name."""
    available = pins(lock)
    return "".join(available[name] for name in sorted(names(named)))


if __name__ == "__main__":
    PINNED.write_text(layer_requirements(NAMED.read_text("utf-8"), LOCK.read_text("utf-8")), "utf-8")
