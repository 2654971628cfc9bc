"""The command `distillery`: drop datasets, follow runs, route queries."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import Abort, TyperException

from cli import approvals, channel_configs, generations, offline, screens
from cli.commands import Finder, command_on
from cli.files import read_channel_config
from cli.following import TimedOut, all_runs, follow
from cli.queries import read_queries
from cli.queries import route as send_and_wait
from cli.stack import Stack, find_stack
from cli.terminal import TROUBLE, AsJson, app, complain, console, print_json
from cli.uploads import Drop, drop_file
from distillery.aws.bucket import run_key
from distillery.errors import BadInput, DistilleryError
from distillery.runs.states import Run, State
from distillery.task.channels import dump_channel_config

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMED_OUT = 6
VERDICTS = {State.PROMOTED: 0, State.REJECTED: 2, State.FAILED: 3, State.NOT_PROMOTED: 4, State.DUPLICATE: 5}

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.", show_default=False)]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds to follow the run at most.")]
Arrival = Annotated[float, typer.Option(min=1, help="Seconds within which the run has to appear.")]

ONE_DAY = 86_400.0
ARRIVAL = 60.0


__all__ = ["app", "main", "offline"]  # the offline commands join the application when they are imported

on_stack = functools.partial(command_on, app, find_stack)
near_stack = functools.partial(command_on, app, Finder)


@on_stack
def drop(
    stack: Stack,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A dataset, JSONL.", show_default=False)],
    dataset: Annotated[str | None, typer.Option(help="Its name; the file's by default.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run until it has ended.")] = False,
    timeout: Timeout = ONE_DAY,
    arrival: Arrival = ARRIVAL,
    as_json: AsJson = False,
) -> int:
    """Put a dataset into the bucket; a run follows from it."""
    dropped = drop_file(stack, file, dataset)
    if not watch:
        if as_json:
            print_json(_dropped(dropped))
        else:
            console().print(dropped.run_id, soft_wrap=True)
        return 0
    if not as_json:
        console().print(f"s3://{dropped.bucket}/{dropped.key} is run {dropped.run_id}", soft_wrap=True)
    return _follow(stack, dropped.run_id, timeout, arrival, as_json)


@on_stack
def watch(
    stack: Stack,
    run: RunId,
    timeout: Timeout = ONE_DAY,
    arrival: Arrival = ARRIVAL,
    as_json: AsJson = False,
) -> int:
    """Follow a run until it has ended; the exit code is its verdict. A generation is followed to its run."""
    if generations.is_generation(stack, run, arrival):
        return _follow_generation(stack, run, "", timeout, arrival, as_json)
    return _follow(stack, run, timeout, arrival, as_json)


@near_stack
def generate(
    stack: Finder,
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="What to generate, YAML.", show_default=False)],
    dataset: Annotated[str | None, typer.Option(help="Its name; the file's by default.")] = None,
    preview: Annotated[
        int | None, typer.Option(min=1, help="Show so many of the planned queries, offline, and stop.")
    ] = None,
    channels: Annotated[
        Path | None, typer.Option(help="The channels of a preview; else the shipped.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it, and the run that comes of it.")] = False,
    timeout: Timeout = ONE_DAY,
    arrival: Arrival = ARRIVAL,
    as_json: AsJson = False,
) -> int:
    """Have a dataset made of a spec: queries are planned and labelled by the teacher; a run follows."""
    if preview is not None:
        shown = generations.preview(generations.read_spec(spec)[0], read_channel_config(channels), preview)
        if as_json:
            print_json(shown)
        else:
            console().print(generations.preview_table(shown))
            console().print(generations.preview_words(shown), markup=False, soft_wrap=True)
        return 0
    found = stack.find()
    dropped = generations.drop_spec(found, spec, dataset)
    if watch:
        name, version = dropped.generation_id, dropped.version_id
        return _follow_generation(found, name, version, timeout, arrival, as_json)
    if as_json:
        print_json(dataclasses.asdict(dropped))
    else:
        console().print(dropped.generation_id, soft_wrap=True)
    return 0


@on_stack
def runs(
    stack: Stack,
    last: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 20,
    as_json: AsJson = False,
) -> int:
    """List runs, the latest first."""
    found = all_runs(stack)[:last]
    if as_json:
        print_json([run.model_dump(mode="json") for run in found])
    else:
        console().print(
            screens.runs_table(found) if found else "No run yet: `distillery drop FILE` begins one."
        )
    return 0


@on_stack
def show(
    stack: Stack,
    run: RunId,
    as_json: AsJson = False,
) -> int:
    """Show a run: where it came from, its states with times, findings, scores, verdict."""
    found = _run(stack, run)
    if as_json:
        print_json(_described(stack, found))
        return 0
    shown = console()
    shown.print(screens.lineage_table(found))
    shown.print(screens.timeline(found))
    screens.show_verdict(shown, found, _findings(stack, found), _report_address(stack, found))
    return 0


@on_stack
def report(
    stack: Stack,
    run: RunId,
    to: Annotated[
        Path | None, typer.Option(help="Where to; `<RUN>.html` by default.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Fetch a run's report, one HTML file that needs no network."""
    found = _run(stack, run)
    if not found.report_key:
        raise BadInput(f"The run {run} has no report: it is {found.state.value}.")
    file = (to or Path(f"{run}.html")).resolve()
    content = stack.bucket.read(found.report_key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror}.") from error
    if as_json:
        print_json({"run_id": run, "file": str(file), "address": file.as_uri()})
    else:
        console().print(file.as_uri(), soft_wrap=True)
    return 0


@on_stack
def route(
    stack: Stack,
    queries: Annotated[
        list[str] | None, typer.Argument(metavar='"QUERY"...', help="Queries to score.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="More of them: JSONL with `query`, or one a line.")
    ] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many of them.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the results.")] = 60.0,
    as_json: AsJson = False,
) -> int:
    """Send queries to the router's queue and show their weights."""
    wanted = [*(queries or []), *(read_queries(file) if file else [])][:first]
    if not wanted:
        raise BadInput("There is no query to route.", fix='For example: distillery route "goals by Pelé".')
    routed = send_and_wait(stack, wanted, timeout=timeout)
    if as_json:
        print_json({"results": routed.results, "unanswered": routed.unanswered})
    elif routed.results:
        console().print(screens.results_table(routed.results))
        console().print(screens.answered_by(routed.results), markup=False, soft_wrap=True)
    if routed.unanswered:
        raise TimedOut(
            f"{len(routed.unanswered)} of {len(wanted)} queries had no result within {timeout:g} seconds.",
            fix="The stack's dead-letter queue holds, with the reason, what cannot be answered.",
        )
    return 0


@on_stack
def approve(stack: Stack, run: RunId, as_json: AsJson = False) -> int:
    """Let a run go on that waits because of what it may cost; who and when is recorded."""
    return _print_decision(*approvals.approve(stack, run), as_json=as_json)


@on_stack
def reject(
    stack: Stack,
    run: RunId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the record.")] = "",
    as_json: AsJson = False,
) -> int:
    """End a run that waits because of what it may cost; who, when and why is recorded."""
    return _print_decision(*approvals.reject(stack, run, reason), as_json=as_json)


@on_stack
def channels(
    stack: Stack,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The stack's channel configuration from now on, YAML."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show the stack's channels or, given a file, check it and make it the stack's channel configuration."""
    found = channel_configs.read(stack) if file is None else channel_configs.put(stack, file)
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif file is None:
        console().print(dump_channel_config(found), markup=False, soft_wrap=True, end="")
    else:
        console().print(
            f"The stack's channels are now {', '.join(found.names)}.", markup=False, soft_wrap=True
        )
    return 0


@on_stack
def outputs(
    stack: Stack,
    as_json: AsJson = False,
) -> int:
    """Show the stack's outputs: names of its bucket, queues and tables."""
    if as_json:
        print_json(stack.outputs)
        return 0
    width = max(map(len, stack.outputs), default=0)
    for name, value in sorted(stack.outputs.items()):
        # Never folded: these are for copying.
        console().print(f"{name:<{width}}  {value}", markup=False, soft_wrap=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code and lets no traceback through for what a user can fix."""
    try:
        code = app(args=arguments, prog_name="distillery", standalone_mode=False)
    except TyperException as error:
        return complain(error.format_message())
    except Abort:
        return complain("Interrupted.")
    except TimedOut as error:
        complain(str(error))
        return TIMED_OUT
    except DistilleryError as error:
        return complain(str(error))
    return int(code or 0)


def _print_decision(run: Run, sentence: str, *, as_json: bool) -> int:
    if as_json:
        print_json(run.model_dump(mode="json"))
    else:
        console().print(sentence, markup=False, soft_wrap=True)
    return 0


def _follow(stack: Stack, run_id: str, timeout: float, arrival: float, as_json: bool) -> int:
    if as_json:
        run = _ended(stack, run_id, timeout, arrival)
        print_json(_described(stack, run))
    else:
        found = screens.show_progress(console(), follow(stack, run_id, timeout=timeout, arrival=arrival))
        run = _appeared(found, run_id)
        screens.show_verdict(console(), run, _findings(stack, run), _report_address(stack, run))
    return verdict_code(run)


def _ended(stack: Stack, run_id: str, timeout: float, arrival: float) -> Run:
    """Follow a run in silence, but for the one thing that a person has to do."""
    run, told = None, False
    for snapshot in follow(stack, run_id, timeout=timeout, arrival=arrival):
        run = snapshot.run
        if run is not None and run.state is State.AWAITING_APPROVAL and not told:
            # Standard output is kept for the document; without a word this would seem to hang.
            told = True
            complain(f"{run.run_id} is {snapshot.doing}")
    return _appeared(run, run_id)


def _appeared(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise TimedOut(f"No run {run_id} appeared.")
    return run


def _follow_generation(
    stack: Stack, name: str, version: str, timeout: float, arrival: float, as_json: bool
) -> int:
    """Follow a generation and then its run; the exit code is the run's verdict, if there is one."""
    looks = generations.follow_generation(stack, name, timeout=timeout, arrival=arrival, version=version)
    generation = None
    if as_json:
        for look in looks:
            generation = look.generation
    else:
        generation = generations.show_generation(console(), looks)
    if generation is None:
        raise TimedOut(f"No generation {name} appeared.")
    if not generation.run_id:
        if as_json:
            print_json({"generation": generation.model_dump(mode="json"), "run": None})
        return generations.EXIT_CODES.get(generation.state, TROUBLE)
    if not as_json:
        return _follow(stack, generation.run_id, timeout, arrival, as_json)
    run = _ended(stack, generation.run_id, timeout, arrival)
    print_json({"generation": generation.model_dump(mode="json"), "run": _described(stack, run)})
    return verdict_code(run)


def verdict_code(run: Run) -> int:
    """The exit code for an ended run; a retired one counts as what it was before."""
    if run.state is State.RETIRED:
        return VERDICTS[State.PROMOTED if run.entered(State.PROMOTED) else State.NOT_PROMOTED]
    return VERDICTS[run.state]


def _run(stack: Stack, run_id: str) -> Run:
    found = stack.run_store.find(run_id)
    if found is None:
        raise BadInput(f"There is no run {run_id}.", fix="`distillery runs` lists those there are.")
    return found


def _dropped(dropped: Drop) -> dict[str, str]:
    return {
        "run_id": dropped.run_id,
        "bucket": dropped.bucket,
        "key": dropped.key,
        "version_id": dropped.version_id,
    }


def _described(stack: Stack, run: Run) -> dict[str, Any]:
    return run.model_dump(mode="json") | {
        "findings": _findings(stack, run),
        "report": _report_address(stack, run),
    }


def _findings(stack: Stack, run: Run) -> list[dict[str, Any]]:
    """What validation found, errors first; only a rejected run is certain to have any."""
    if run.state is not State.REJECTED:
        return []
    validation = json.loads(stack.bucket.read(run_key(run.run_id, "validation.json")))
    severities = ["error", "warning", "note"]
    return sorted(validation["findings"], key=lambda finding: severities.index(finding["severity"]))


def _report_address(stack: Stack, run: Run) -> str | None:
    return stack.bucket.uri(run.report_key) if run.report_key else None
