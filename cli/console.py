"""Printing: the terminal, tables, one JSON document, error messages."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import JustifyMethod
    from rich.table import Column

PIPE_WIDTH = 120
WIDEST = 10_000
"""More columns than any cell has."""
LONGEST_WORD = 64
"""Columns of a word that is not broken in a folded cell. The IDs of runs and models are shorter."""
"""Columns of output to a file or a pipe, which has no width of its own."""


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with control characters, escape sequences and direction overrides as visible escapes.

    Queries, reasonings and messages come from outside; a terminal must not act on them.
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class SafeConsole(Console):
    """A console that prints control characters of any content as visible escapes."""

    def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
        """Render as Console does, with the text of each segment made printable."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def terminal(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console for standard output or standard error. A quiet console prints nothing."""
    # One for each call: tests and callers may have replaced sys.stdout since the import.
    console = SafeConsole(highlight=False, stderr=stderr, quiet=quiet)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text without markup and without line breaks of its own, so that it can be copied."""
    terminal().print(text, markup=False, soft_wrap=True, end=end)


def print_json(content: object) -> None:
    """Print one JSON document to standard output."""
    text = json.dumps(content, indent=2, ensure_ascii=not _is_utf8())
    print(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_error(message: str) -> None:
    """Print an error message to standard error."""
    if message:
        print(printable(message), file=sys.stderr)


def make_streams_safe() -> None:
    """Let standard output and standard error replace what their encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Send the rest of standard output nowhere, so that the interpreter does not fail when it ends."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 (a device)
        os.dup2(nowhere.fileno(), 1)


def _is_utf8() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf8")


def table(
    *columns: str, numbers: Iterable[str] = (), folded: Iterable[str] = (), title: str | None = None
) -> Table:
    """An empty table for `print_table`.

    The columns in `numbers` are aligned to the right. Only the columns in `folded` are broken over several
    lines; the others have IDs and figures, which people copy.
    """
    empty = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    right, narrow = set(numbers), set(folded)
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        empty.add_column(column, justify=justify, overflow="fold", no_wrap=column not in narrow)
    return empty


def print_table(console: Console, rows: Table) -> None:
    """Print a table. A table that is wider than the terminal is not cut; the terminal wraps its lines."""
    least, most = zip(*(_widths(console, column) for column in rows.columns), strict=True)
    between = (rows.padding[1] + rows.padding[3]) * (len(least) - 1)
    spare = max(console.width - between - sum(least), 0)
    wanted = sum(most) - sum(least)
    for column, low, high in zip(rows.columns, least, most, strict=True):
        column.width = low + ((high - low) * min(spare, wanted) // wanted if wanted else 0)
        column.no_wrap = False  # headings may be broken between words
    used = between + sum(column.width or 0 for column in rows.columns)
    for line in console.render_lines(rows, console.options.update(width=used), pad=False):
        text = Text.assemble(*((part.text, part.style or "") for part in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def _widths(console: Console, column: Column) -> tuple[int, int]:
    """The smallest and the largest width of a column that make sense."""
    options = console.options.update(width=WIDEST)
    heading = Measurement.get(console, options, column.header)
    sizes = [Measurement.get(console, options, cell) for cell in column.cells]
    widest = max((size.maximum for size in sizes), default=0)
    if column.no_wrap:
        return max(widest, heading.minimum), max(widest, heading.maximum)
    word = min(max((size.minimum for size in sizes), default=0), LONGEST_WORD)
    return max(word, heading.minimum), max(widest, heading.maximum)


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 05 s` or `2 h 10 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
