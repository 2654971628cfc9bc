"""Validating a dataset file offline, with the checks that the stack runs on an uploaded dataset."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.markup import escape

from cli.console import print_table, table
from cli.exit_codes import FINDINGS, SUCCESS
from cli.files import STANDARD_INPUT, UnreadableFile, check_output_file, open_file
from cli.progress import with_progress
from distillery.dataset.findings import new_finding
from distillery.dataset.formats import HEAD_BYTES, MAX_BYTES, NotConvertible, convert, form_of
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.errors import BadInput
from distillery.messages import counted
from distillery.reports.validation_report import Found, found_by_code, render_validation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from distillery.dataset.formats import Form
    from distillery.task.channels import ChannelConfig

NO_LINES = ("hopeless_file", "empty_file", "binary_file", "compressed_file")
"""Codes of the findings for files that cannot be read as lines."""
FINDINGS_PER_CODE = 3
"""Findings of one code that the table shows."""
SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def validate_file(
    file: Path, channel_config: ChannelConfig, console: Console, fix: Path | None = None
) -> DatasetReport:
    """Validate a file. With `fix`, write the fixed dataset there and the changes to `<fix>.diff`.

    With `fix`, a file in another tool's format is converted first; no changes are written then, because every
    line changes. Raises UnreadableFile if the file has no lines of text. Nothing is written in that case.
    """
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_file(file))
        head = source.read(HEAD_BYTES) if fix else b""
        form = form_of(head, channel_config.names) if fix else None
        if form is not None and form.convert is not None:
            source, head = stack.enter_context(_converted(file, head, source, channel_config)), b""
        else:
            form = None
        fixed = stack.enter_context(_written(fix)) if fix else None
        diff = stack.enter_context(_written(diff_of(fix))) if fix and form is None else None
        report = validate_dataset(
            stack.enter_context(
                with_progress(source, file, console, "reading", afterwards="comparing queries", head=head)
            ),
            channel_config=channel_config,
            rules=Rules(),
            train=stack.enter_context(tempfile.TemporaryFile()),
            holdout=stack.enter_context(tempfile.TemporaryFile()),
            diff=diff,
            fixed=fixed,
        )
        # Raised within the with statement, so that _written() removes its temporary files.
        if reason := _why_unreadable(report):
            raise UnreadableFile(f"{file}: {reason}")
    if form is not None:
        report = _with_conversion(report, form)
    name = "standard input" if str(file) == STANDARD_INPUT else file.name
    return report.model_copy(update={"dataset": name})


def check_outputs(file: Path, fix: Path | None, html: Path | None, *, force: bool) -> None:
    """Raise BadInput for an output file that exists, is in no folder, or is the dataset itself."""
    for out in (*((fix, diff_of(fix)) if fix else ()), *((html,) if html else ())):
        if out.resolve() == file.resolve():
            raise BadInput(f"{out} is the dataset itself.", fix="Choose another file.")
        check_output_file(out, force=force)


@contextlib.contextmanager
def _converted(file: Path, head: bytes, source: IO[bytes], config: ChannelConfig) -> Iterator[IO[bytes]]:
    """The records of a file in another tool's format, as lines in conversation form."""
    content = head + source.read(MAX_BYTES)
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"{file} has more than {MAX_BYTES:,} bytes and cannot be converted. Split it.")
    with tempfile.TemporaryFile() as lines:
        try:
            lines.writelines(convert(content, config.names))
        except NotConvertible as error:
            raise UnreadableFile(f"{file} cannot be converted: {error}. Correct the file.") from error
        lines.seek(0)
        yield lines


def _with_conversion(report: DatasetReport, form: Form) -> DatasetReport:
    """The report with a note that the file was converted."""
    note = new_finding("converted", None, f"The file was {form.name}. It is converted.")
    return report.model_copy(
        update={
            "findings": [*report.findings, note],
            "finding_counts": {**report.finding_counts, note.code: 1},
            "notes": report.notes + 1,
        }
    )


def write_page(path: Path, report: DatasetReport, channel_config: ChannelConfig) -> None:
    """Write the findings as an HTML page."""
    with _written(path) as file:
        file.write(render_validation(report, channel_config).encode())


def diff_of(fix: Path) -> Path:
    """The file for the changes that were made in the fixed dataset."""
    return fix.with_name(f"{fix.name}.diff")


def exit_code(report: DatasetReport) -> int:
    """FINDINGS if the dataset has errors or warnings. Notes do not count."""
    return FINDINGS if report.errors or report.warnings else SUCCESS


def show_report(console: Console, report: DatasetReport, fix: Path | None) -> None:
    """Print the findings by code, the first of each code, what the dataset covers and what was written."""
    found = found_by_code(report)
    if found:
        print_table(console, _codes_table(found))
        console.print()
        print_table(console, _findings_table(found))
        console.print()
    console.print(_coverage(report), markup=False, soft_wrap=True)
    for reason in report.reasons:
        console.print(f"[red]The stack would reject the dataset:[/] {escape(reason)}", soft_wrap=True)
    if fix is not None:
        changes = f"{counted(report.fixed, 'line')} fixed, {counted(report.quarantined, 'line')} quarantined"
        diff = "" if "converted" in report.finding_counts else f" and the changes to {diff_of(fix)}"
        console.print(f"Wrote {fix} ({changes}){diff}.", markup=False, soft_wrap=True)
    counts = ", ".join(
        counted(count, word)
        for count, word in ((report.errors, "error"), (report.warnings, "warning"), (report.notes, "note"))
    )
    verdict = "[green]Clean[/]" if exit_code(report) == SUCCESS else "[yellow]Findings[/]"
    console.print(f"{verdict}: {counted(report.lines, 'line')}, {counts}.", soft_wrap=True)


def _codes_table(found: list[Found]) -> Table:
    rows = table("severity", "code", "count", "meaning", numbers=["count"], folded=["meaning"])
    for one in found:
        severity = one.kind.severity
        rows.add_row(
            f"[{SEVERITY_COLOURS[severity]}]{severity}[/]",
            one.code,
            f"{one.times:,}",
            one.kind.meaning + (" Fixed." if one.kind.fixed else ""),
        )
    return rows


def _findings_table(found: list[Found]) -> Table:
    rows = table("line", "code", "finding", "fix", numbers=["line"], folded=["finding", "fix"])
    for one in found:
        for finding in one.first[:FINDINGS_PER_CODE]:
            line = "" if finding.line is None else f"{finding.line:,}"
            rows.add_row(line, finding.code, escape(finding.message), escape(finding.fix))
    return rows


def _coverage(report: DatasetReport) -> str:
    """The shares of channels and languages, and the lengths of the queries."""
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
            f"{'more' if part.up_to is None else f'up to {part.up_to}'}: {part.queries:,}"
            for part in statistics.query_lengths
            if part.queries
        )
        lines.append(f"query lengths in characters: {shares or 'none'}")
    return "\n".join(lines)


def _why_unreadable(report: DatasetReport) -> str:
    """Why the whole file cannot be read as lines of text; empty if it can."""
    whole = next((f for f in report.findings if f.line is None and f.code in {*NO_LINES, "not_utf8"}), None)
    if whole is not None:
        return f"{whole.message} {whole.fix}"
    if report.lines and report.finding_counts.get("not_utf8") == report.lines:
        return "No line of the file is UTF-8. Save the file as UTF-8."
    return ""


@contextlib.contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file that replaces `path` when the block ends, and is removed if the block raises."""
    path = path.resolve()  # a link stays, and the file that it points to is replaced
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} is not a regular file.", fix="Choose another file.")
    try:
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error
    temporary = Path(file.name)
    try:
        with file:
            yield file
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
