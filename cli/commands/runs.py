"""Commands for runs: runs, show, watch, report, approve, reject."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import approvals
from cli.console import print_json, print_table, print_text, terminal
from cli.exit_codes import SUCCESS
from cli.files import check_output_file, write_bytes
from cli.options import (
    ONE_DAY,
    START_TIMEOUT,
    AsJson,
    RunId,
    Timeout,
    on_stack,
)
from cli.polling import exists, is_generation
from cli.run_output import run_document, runs_table, show_run
from cli.stack import Stack
from cli.watching import WatchOptions, watch_generation, watch_run
from distillery.aws.bucket import run_key
from distillery.errors import BadInput
from distillery.runs.states import State

if TYPE_CHECKING:
    from distillery.runs.states import Run


@on_stack
def runs(
    stack: Stack,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs.")] = 20,
    as_json: AsJson = False,
) -> int:
    """List the latest runs, newest first."""
    latest = stack.runs()[:limit]
    if as_json:
        print_json([run.model_dump(mode="json") for run in latest])
    elif latest:
        print_table(terminal(), runs_table(latest))
    else:
        print_text("There are no runs. Start one with `distillery drop FILE`.")
    return SUCCESS


@on_stack
def show(stack: Stack, run: RunId, as_json: AsJson = False) -> int:
    """Show a run: its source, states with times, scores, findings and verdict."""
    found = _find_run(stack, run)
    if as_json:
        print_json(run_document(stack, found))
    else:
        show_run(terminal(), stack, found)
    return SUCCESS


@on_stack
def watch(
    stack: Stack,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="ID of a run or of a generation.", show_default=False)
    ],
    timeout: Timeout = ONE_DAY,
    start_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="Time to wait for the run to start. Without it, the run must exist.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Follow a run or a generation until it ends.

    Prints each state as it is reached, then the outcome. After a generation, follows its run.

    Exit codes: 0 promoted, 2 rejected, 3 failed (or the generation stopped), 4 not promoted, 5 duplicate,
    6 timeout.
    """
    if start_timeout is None and not exists(stack, run):
        raise approvals.unknown_run(run)
    wait = START_TIMEOUT if start_timeout is None else start_timeout
    options = WatchOptions(timeout, wait, as_json)
    if is_generation(stack, run, wait):
        return watch_generation(stack, run, options)
    return watch_run(stack, run, options)


@on_stack
def report(
    stack: Stack,
    run: RunId,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write. The default is `RUN.html`.", dir_okay=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: AsJson = False,
) -> int:
    """Download the report of a run, or the findings of a rejected dataset.

    The report is one HTML file that needs no network. Prints its address.
    """
    found = _find_run(stack, run)
    key = found.report_key or run_key(run, "validation.html")
    if not found.report_key and (found.state is not State.REJECTED or not stack.bucket.has(key)):
        raise BadInput(f"Run {run} has no report: it is {found.state.value}.")
    file = (to or Path(f"{run}.html")).resolve()
    check_output_file(file, force=force)
    write_bytes(file, stack.bucket.read(key))
    if as_json:
        print_json({"run_id": run, "file": str(file), "address": file.as_uri()})
    else:
        print_text(file.as_uri())
    return SUCCESS


@on_stack
def approve(stack: Stack, run: RunId, as_json: AsJson = False) -> int:
    """Approve the cost of a run that waits for approval.

    The run continues. The run table records who approved it and when.
    """
    return _print_decision(*approvals.approve(stack, run), as_json=as_json)


@on_stack
def reject(
    stack: Stack,
    run: RunId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, for the run table.")] = "",
    as_json: AsJson = False,
) -> int:
    """Reject the cost of a run that waits for approval.

    The run ends in REJECTED. The run table records who rejected it, when and why.
    """
    return _print_decision(*approvals.reject(stack, run, reason), as_json=as_json)


def _print_decision(run: Run, message: str, *, as_json: bool) -> int:
    if as_json:
        print_json(run.model_dump(mode="json"))
    else:
        print_text(message)
    return SUCCESS


def _find_run(stack: Stack, run_id: str) -> Run:
    found = stack.run_store.find(run_id)
    if found is None:
        raise approvals.unknown_run(run_id)
    return found
