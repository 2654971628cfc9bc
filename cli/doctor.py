"""Examining a file offline: the same checks as a dropped dataset gets, with a fixed copy if wanted."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

from cli import screens
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.errors import BadInput
from distillery.messages import counted
from distillery.reports.validation_report import Found, found_by_code, render_validation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from distillery.task.channels import ChannelConfig

CLEAN, FOUND, UNREADABLE = 0, 1, 2
NO_LINES = ("empty_file", "binary_file", "compressed_file")
"""Codes of files that cannot be read as lines."""
OFFENDERS_PER_CODE = 3
SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


class UnreadableFile(BadInput):
    """There is nothing to examine."""


def examine(
    file: Path, channel_config: ChannelConfig, console: Console, fix: Path | None = None
) -> DatasetReport:
    """Examine a file, and write the fixed one to `fix` and the fixes to `<fix>.diff`.

    Raises UnreadableFile where the file has no lines to examine; nothing is written then.
    """
    if fix is not None and fix.resolve() == file.resolve():
        raise BadInput(f"{fix} is the file itself.", fix="Name another one for what is fixed.")
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(file.open("rb"))
            size = file.stat().st_size
        except OSError as error:
            raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from error
        fixed = stack.enter_context(_written(fix)) if fix else None
        diff = stack.enter_context(_written(diff_of(fix))) if fix else None
        progress = stack.enter_context(_progress(console))
        report = validate_dataset(
            _Watched(source, progress, size, file),
            channel_config=channel_config,
            rules=Rules(),
            train=stack.enter_context(tempfile.TemporaryFile()),
            holdout=stack.enter_context(tempfile.TemporaryFile()),
            diff=diff,
            fixed=fixed,
        )
        # Raised within: what was begun to be written is dropped.
        if not_lines := _why_unreadable(report):
            raise UnreadableFile(f"{file}: {not_lines}")
    return report.model_copy(update={"dataset": file.name})


def write_page(path: Path, report: DatasetReport, channel_config: ChannelConfig) -> None:
    """Write what was found as a page."""
    with _written(path) as file:
        file.write(render_validation(report, channel_config).encode())


def diff_of(fix: Path) -> Path:
    """Where the fixes of a file are written."""
    return fix.with_name(f"{fix.name}.diff")


def exit_code(report: DatasetReport) -> int:
    """0 without errors and warnings; notes do not count."""
    return FOUND if report.errors or report.warnings else CLEAN


def show_examination(console: Console, report: DatasetReport, fix: Path | None) -> None:
    """A table by code, the first offenders, what the dataset covers, and what was written."""
    found = found_by_code(report)
    if found:
        console.print(_by_code(found))
        console.print()
        console.print(_offenders(found))
        console.print()
    console.print(_covered(report), markup=False, soft_wrap=True)
    for reason in report.reasons:
        console.print(f"[red]It would be rejected:[/] {escape(reason)}", soft_wrap=True)
    if fix is not None:
        told = f"{counted(report.fixed, 'line')} fixed and {counted(report.quarantined, 'line')} left out"
        console.print(f"{fix} has {told}; {diff_of(fix).name} shows each.", markup=False, soft_wrap=True)
    sums = ", ".join(
        counted(count, word)
        for count, word in ((report.errors, "error"), (report.warnings, "warning"), (report.notes, "note"))
    )
    verdict = "[green]Clean[/]" if exit_code(report) == CLEAN else "[yellow]Findings[/]"
    console.print(f"{verdict}: {counted(report.lines, 'line')}, {sums}.", soft_wrap=True)


def _by_code(found: list[Found]) -> Table:
    rows = screens.table("severity", "code", "count", "what it means", numbers=["count"])
    for one in found:
        severity = one.kind.severity
        rows.add_row(
            f"[{SEVERITY_COLOURS[severity]}]{severity}[/]",
            one.code,
            f"{one.times:,}",
            one.kind.meaning + (" Fixed." if one.kind.fixed else ""),
        )
    return rows


def _offenders(found: list[Found]) -> Table:
    rows = screens.table("line", "code", "first found", "how to fix it", numbers=["line"])
    for one in found:
        for finding in one.first[:OFFENDERS_PER_CODE]:
            line = "" if finding.line is None else f"{finding.line:,}"
            rows.add_row(line, finding.code, escape(finding.message), escape(finding.fix))
    return rows


def _covered(report: DatasetReport) -> str:
    """What the dataset covers, in shares."""
    statistics = report.statistics
    parts = {
        "dominant channels": (statistics.dominant_counts, statistics.labelled),
        "languages": (statistics.languages, statistics.sampled),
    }
    lines = [f"{report.distinct:,} distinct queries in {counted(statistics.records, 'record')}"]
    for name, (counts, whole) in parts.items():
        if whole and counts:
            shares = ", ".join(f"{part} {count / whole:.0%}" for part, count in list(counts.items())[:8])
            lines.append(f"{name}: {shares}")
    if statistics.query_lengths:
        shares = ", ".join(
            f"{'more' if part.up_to is None else f'to {part.up_to}'} {part.queries:,}"
            for part in statistics.query_lengths
            if part.queries
        )
        lines.append(f"lengths in characters: {shares or 'none'}")
    return "\n".join(lines)


def _why_unreadable(report: DatasetReport) -> str:
    """A sentence where the file as a whole cannot be read as lines of text."""
    whole = next((f for f in report.findings if f.line is None and f.code in {*NO_LINES, "not_utf8"}), None)
    if whole is not None:
        return f"{whole.message} {whole.fix}"
    if report.lines and report.finding_counts.get("not_utf8") == report.lines:
        return "No line of the file is UTF-8. Save the file as UTF-8."
    return ""


@contextlib.contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when all is written, and is gone when something is raised."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error
    made = Path(file.name)
    try:
        with file:
            yield file
        made.chmod(0o644)
        made.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        made.unlink(missing_ok=True)


def _progress(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class _Watched:
    """A stream whose reading moves a bar."""

    def __init__(self, source: IO[bytes], progress: Progress, size: int, path: Path) -> None:
        self._source, self._progress, self._path = source, progress, path
        self._task = progress.add_task("reading", total=size)

    def read(self, amt: int, /) -> bytes:
        try:
            chunk = self._source.read(amt)
        except OSError as error:
            raise UnreadableFile(f"{self._path} cannot be read: {error.strerror}.") from error
        doing = "reading" if chunk else "comparing queries"
        self._progress.update(self._task, advance=len(chunk), description=doing)
        return chunk
