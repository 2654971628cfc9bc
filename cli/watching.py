"""Following a run or a generation: prints the progress and then the outcome, and returns the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner

from cli.console import duration, print_error, print_json, terminal
from cli.exit_codes import generation_exit_code, run_exit_code
from cli.polling import TimedOut, poll_generation, poll_run
from cli.run_output import run_document, show_verdict, timeline
from distillery.runs.states import State, now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from cli.polling import GenerationSnapshot, RunSnapshot
    from cli.stack import Stack
    from distillery.generation.states import Generation
    from distillery.runs.states import Run


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How long to follow, in seconds, and whether to print one JSON document at the end."""

    timeout: float
    start_timeout: float
    as_json: bool


def watch_run(stack: Stack, run_id: str, options: WatchOptions) -> int:
    """Follow a run until it ends; returns the exit code for its outcome."""
    if options.as_json:
        run = _wait_for_run(stack, run_id, options)
        print_json(run_document(stack, run))
    else:
        console = terminal()
        run = _started(show_run_progress(console, _run_snapshots(stack, run_id, options)), run_id)
        show_verdict(console, stack, run)
    return run_exit_code(run)


def watch_generation(stack: Stack, generation_id: str, options: WatchOptions, version: str = "") -> int:
    """Follow a generation and then its run; returns the exit code for the run, if there is one.

    `version` is the object version of the spec, if it was uploaded just before.
    """
    snapshots = poll_generation(
        stack,
        generation_id,
        timeout=options.timeout,
        start_timeout=options.start_timeout,
        version=version,
    )
    generation = None
    if options.as_json:
        for snapshot in snapshots:
            generation = snapshot.generation
    else:
        generation = show_generation_progress(terminal(), snapshots)
    if generation is None:
        raise TimedOut(f"Generation {generation_id} did not start.")
    document = generation.model_dump(mode="json")
    if not generation.run_id:
        if options.as_json:
            print_json({"generation": document, "run": None})
        return generation_exit_code(generation)
    if not options.as_json:
        return watch_run(stack, generation.run_id, options)
    run = _wait_for_run(stack, generation.run_id, options)
    print_json({"generation": document, "run": run_document(stack, run)})
    return run_exit_code(run)


def _run_snapshots(stack: Stack, run_id: str, options: WatchOptions) -> Iterable[RunSnapshot]:
    return poll_run(stack, run_id, timeout=options.timeout, start_timeout=options.start_timeout)


def _wait_for_run(stack: Stack, run_id: str, options: WatchOptions) -> Run:
    """Follow a run and print nothing but a request for approval, once and to standard error."""
    run, asked = None, False
    for snapshot in _run_snapshots(stack, run_id, options):
        run = snapshot.run
        if run is not None and run.state is State.AWAITING_APPROVAL and not asked:
            # Standard output is for the JSON document. Without a message the command would seem to hang.
            asked = True
            print_error(f"{run.run_id} is {snapshot.activity}")
    return _started(run, run_id)


def _started(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise TimedOut(f"Run {run_id} did not start.")
    return run


def show_run_progress(console: Console, snapshots: Iterable[RunSnapshot]) -> Run | None:
    """Print the progress of a run: a live timeline on a terminal, otherwise one line for each change.

    Returns the run of the last snapshot.
    """
    return _live_timeline(console, snapshots) if console.is_terminal else _progress_lines(console, snapshots)


def _live_timeline(console: Console, snapshots: Iterable[RunSnapshot]) -> Run | None:
    run = None
    with Live(console=console, refresh_per_second=8) as live:
        for snapshot in snapshots:
            run, activity = snapshot.run, snapshot.activity
            live.update(timeline(run, activity, live=True) if run else Spinner("dots", text=activity))
    return run


def _progress_lines(console: Console, snapshots: Iterable[RunSnapshot]) -> Run | None:
    run, printed_moves, last_activity = None, 0, ""
    for snapshot in snapshots:
        run = snapshot.run
        for move in run.history[printed_moves:] if run else []:
            begin = run.history[0].at if run else move.at
            after = (move.at - begin).total_seconds()
            console.print(f"{move.at.astimezone():%H:%M:%S}  {move.state.value:<12}  +{duration(after)}")
            printed_moves += 1
        if snapshot.activity and snapshot.activity != last_activity:
            console.print(f"{now().astimezone():%H:%M:%S}    {escape(snapshot.activity)}", soft_wrap=True)
        last_activity = snapshot.activity
    return run


def show_generation_progress(console: Console, snapshots: Iterable[GenerationSnapshot]) -> Generation | None:
    """Print the progress of a generation and its outcome: live on a terminal, otherwise line by line.

    Returns the generation of the last snapshot.
    """
    generation, last_line = None, ""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=8) as live:
            for snapshot in snapshots:
                generation = snapshot.generation
                state = f"{generation.state.value}  " if generation else ""
                live.update(Spinner("dots", text=f"{state}{snapshot.progress}"))
    else:
        for snapshot in snapshots:
            generation = snapshot.generation
            line = f"{generation.state.value if generation else '':<12} {snapshot.progress}"
            if line != last_line:
                console.print(f"{now().astimezone():%H:%M:%S}  {line}", markup=False, soft_wrap=True)
            last_line = line
    if generation is not None:
        _show_generation_outcome(console, generation)
    return generation


def _show_generation_outcome(console: Console, generation: Generation) -> None:
    lines = [f"{generation.state.value}  {generation.generation_id}"]
    if generation.dataset_key:
        lines.append(f"  {generation.counts.get('records', 0)} records in {generation.dataset_key}")
    lines += [f"  {reason}" for reason in generation.reasons]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
