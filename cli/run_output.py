"""How a run is printed: timeline, scores, verdict, findings, and its JSON document."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.spinner import Spinner
from rich.text import Text

from cli.approvals import cost, waiting
from cli.console import duration, print_table, table
from distillery.aws.bucket import run_key
from distillery.reports.headlines import HEADLINES, cost_sentences
from distillery.reports.page import score
from distillery.runs.states import CANDIDATES, ENDED, Run, State, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, RenderableType
    from rich.table import Table

    from cli.stack import Stack

STATE_COLOURS = {
    State.AWAITING_APPROVAL: "yellow",
    State.PROMOTED: "green",
    State.NOT_PROMOTED: "yellow",
    State.DUPLICATE: "yellow",
    State.REJECTED: "red",
    State.FAILED: "red",
    State.RETIRED: "dim",
}
OTHER_STATES = "cyan"
FINDINGS_SHOWN = 20
SEVERITIES = ("error", "warning", "note")
SHOWN_ELSEWHERE = {
    "history",
    "scores",
    "measured_cost",
    "reasons",
    "warnings",
    "failure",
    "run_id",
    "state",
    "announced",
}
"""Fields of a run that the timeline and the verdict show."""


def run_document(stack: Stack, run: Run) -> dict[str, Any]:
    """The JSON document of a run: its entry in the run table, its findings and the address of its report."""
    return run.model_dump(mode="json") | {
        "findings": _read_findings(stack, run),
        "report": _report_address(stack, run),
    }


def show_run(console: Console, stack: Stack, run: Run) -> None:
    """Print the lineage of a run, its timeline and its verdict."""
    print_table(console, lineage_table(run))
    print_table(console, timeline(run))
    show_verdict(console, stack, run)


def show_verdict(console: Console, stack: Stack, run: Run) -> None:
    """Print the outcome of a run: its scores and reasons, its findings, or the step that failed."""
    if run.scores:
        print_table(console, _scores_table(run))
        for sentence in cost_sentences(run):
            console.print(f"  {escape(sentence)}", soft_wrap=True)
    style = f"bold {STATE_COLOURS.get(run.state, OTHER_STATES)}"
    console.print(Text.assemble((run.state.value, style), f"  {run.run_id}"), soft_wrap=True)
    for line in _outcome(run):
        console.print(f"  {escape(line)}", soft_wrap=True)
    reasons = " ".join(run.reasons)
    # A reason of a rejected run repeats the message of a finding for the whole file.
    findings = [finding for finding in _read_findings(stack, run) if finding["message"] not in reasons]
    if findings:
        print_table(console, _findings_table(findings))
    if run.served_by:
        console.print(f"  served by: {escape('; '.join(run.served_by))}", soft_wrap=True)
    if report := _report_address(stack, run):
        console.print(f"  report: {escape(report)}", soft_wrap=True)


def _outcome(run: Run) -> list[str]:
    lines = list(run.reasons)
    if run.state is State.AWAITING_APPROVAL:
        lines.append(waiting(run))
    lines += [f"warning: {warning}" for warning in run.warnings]
    if run.failure:
        lines.append(f"{run.failure.step}: {run.failure.cause}")
    if run.duplicate_of:
        lines.append(f"the same content was distilled by run {run.duplicate_of}")
    return lines


def timeline(run: Run, activity: str = "", *, live: bool = False) -> Table:
    """The states of a run with the time when each began and how long it took.

    `live` animates the current state.
    """
    rows = table("", "state", "at", "duration", "", numbers=["duration"])
    durations = seconds_in_states(run)
    for place, (move, seconds) in enumerate(zip(run.history, durations, strict=True)):
        last = place == len(run.history) - 1
        running = last and run.state not in ENDED
        mark: RenderableType = Spinner("dots") if running and live else Text("·" if running else "✓")
        if last and run.state in {State.FAILED, State.REJECTED}:
            mark = Text("✗", style="red")
        rows.add_row(
            mark,
            state_text(move.state),
            f"{move.at.astimezone():%H:%M:%S}",
            "" if last and not running else duration(seconds),
            Text(activity if last else "", style="dim"),
        )
    return rows


def seconds_in_states(run: Run) -> list[float]:
    """Seconds in each state of the history. The time in the current state counts until now."""
    times = [move.at for move in run.history]
    times.append(times[-1] if run.state in ENDED else now())
    return [max(0.0, (after - before).total_seconds()) for before, after in pairwise(times)]


def state_text(state: State) -> Text:
    """The name of a state in its colour."""
    return Text(state.value, style=STATE_COLOURS.get(state, OTHER_STATES))


def runs_table(runs: Sequence[Run]) -> Table:
    """One row for each run."""
    numbers = ["duration", "records", "weight score"]
    rows = table(
        "run",
        "state",
        "started",
        *numbers,
        "cost estimate",
        numbers=numbers,
        folded=["started", "cost estimate"],
    )
    for run in runs:
        rows.add_row(
            run.run_id,
            state_text(run.state),
            f"{run.history[0].at.astimezone():%Y-%m-%d %H:%M:%S}",
            duration(sum(seconds_in_states(run))),
            f"{run.counts['accepted']:,}" if "accepted" in run.counts else "-",
            score(run.scores["distilled"].get("weight_score")) if "distilled" in run.scores else "-",
            cost(run),
        )
    return rows


def lineage_table(run: Run) -> Table:
    """What a run was made from and what it made, field by field."""
    rows = table("", "")
    for name, value in run.model_dump(mode="json").items():
        if value and name not in SHOWN_ELSEWHERE:
            rows.add_row(Text(name.replace("_", " "), style="dim"), escape(_field(value)))
    return rows


def _field(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {inner}" for name, inner in value.items())
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _scores_table(run: Run) -> Table:
    """The headline figures of the report, one row each."""
    candidates = sorted(run.scores, key=_candidate_order)
    rows = table("", *candidates, numbers=candidates)
    for headline in HEADLINES:
        rows.add_row(headline.label, *(headline.cell(run.scores[candidate]) for candidate in candidates))
    return rows


def _candidate_order(candidate: str) -> int:
    return [*CANDIDATES, candidate].index(candidate)


def _findings_table(findings: Sequence[Mapping[str, Any]]) -> Table:
    rows = table("line", "code", "finding", "fix", numbers=["line"], folded=["finding", "fix"])
    for finding in findings[:FINDINGS_SHOWN]:
        line = finding["line"]
        rows.add_row(
            "" if line is None else str(line),
            *(escape(str(finding[part])) for part in ("code", "message", "fix")),
        )
    if len(findings) > FINDINGS_SHOWN:
        rows.add_row("", "", f"and {len(findings) - FINDINGS_SHOWN} more", "")
    return rows


def _read_findings(stack: Stack, run: Run) -> list[dict[str, Any]]:
    """The findings in validation.json, errors first. Only a rejected run is certain to have the file."""
    if run.state is not State.REJECTED:
        return []
    validation = json.loads(stack.bucket.read(run_key(run.run_id, "validation.json")))
    return sorted(validation["findings"], key=lambda finding: SEVERITIES.index(finding["severity"]))


def _report_address(stack: Stack, run: Run) -> str | None:
    return stack.bucket.uri(run.report_key) if run.report_key else None
