"""Printing: the terminal, tables, one JSON document, error messages."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

PIPE_WIDTH = 120
"""Columns of output to a file or a pipe, which has no width of its own."""


def terminal(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console for standard output or standard error. A quiet console prints nothing."""
    # One for each call: tests and callers may have replaced sys.stdout since the import.
    console = Console(highlight=False, stderr=stderr, quiet=quiet)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text without markup and without line breaks of its own, so that it can be copied."""
    terminal().print(text, markup=False, soft_wrap=True, end=end)


def print_json(content: object) -> None:
    """Print one JSON document to standard output."""
    print(json.dumps(content, indent=2, ensure_ascii=False))


def print_error(message: str) -> None:
    """Print an error message to standard error."""
    if message:
        print(message, file=sys.stderr)


def table(*columns: str, numbers: Iterable[str] = (), title: str | None = None) -> Table:
    """An empty table; the columns in `numbers` are aligned to the right."""
    empty = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    right = set(numbers)
    for column in columns:
        empty.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return empty


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 05 s` or `2 h 10 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
