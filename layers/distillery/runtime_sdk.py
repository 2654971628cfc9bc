"""Whether the SDK in Lambda's runtime has every operation that the package calls."""

from __future__ import annotations

from pathlib import Path


def lacking(package: Path, runtime: str | None) -> list[str]:
    """A sentence for each operation that the runtime's SDK could lack."""
    return []
