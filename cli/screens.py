"""What the commands show: tables, a run's live progress, findings."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.approvals import cost, waiting
from distillery.runs.states import CANDIDATES, ENDED, Run, State, now
from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console, RenderableType

    from cli.following import Snapshot

COLOURS = {
    State.AWAITING_APPROVAL: "yellow",
    State.PROMOTED: "green",
    State.NOT_PROMOTED: "yellow",
    State.DUPLICATE: "yellow",
    State.REJECTED: "red",
    State.FAILED: "red",
    State.RETIRED: "dim",
}
FINDINGS_SHOWN = 20


def state_text(state: State) -> Text:
    """A state in its colour."""
    return Text(state.value, style=COLOURS.get(state, "cyan"))


def table(*columns: str, numbers: Iterable[str] = (), title: str | None = None) -> Table:
    """An empty table; the columns in `numbers` are set to the right."""
    empty = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    right = set(numbers)
    for column in columns:
        empty.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return empty


def seconds_in(run: Run) -> list[float]:
    """Seconds the run spent in each state of its history; the last counts up to now while it goes on."""
    times = [move.at for move in run.history]
    times.append(times[-1] if run.state in ENDED else now())
    return [max(0.0, (after - before).total_seconds()) for before, after in pairwise(times)]


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 05 s` or `2 h 10 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def timeline(run: Run, doing: str = "", *, live: bool = False) -> Table:
    """State by state with the time it was entered and the time spent there."""
    rows = table("", "state", "at", "for", "", numbers=["for"])
    spent = seconds_in(run)
    for place, (move, seconds) in enumerate(zip(run.history, spent, strict=True)):
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
            Text(doing if last else "", style="dim"),
        )
    return rows


def show_progress(console: Console, snapshots: Iterable[Snapshot]) -> Run | None:
    """Show a run while it goes: redrawn on a terminal, a line for every change elsewhere.

    Returns the run as it was last seen.
    """
    return _redrawn(console, snapshots) if console.is_terminal else _by_line(console, snapshots)


def _redrawn(console: Console, snapshots: Iterable[Snapshot]) -> Run | None:
    run = None
    with Live(console=console, refresh_per_second=8) as live:
        for snapshot in snapshots:
            run = snapshot.run
            live.update(
                timeline(run, snapshot.doing, live=True) if run else Spinner("dots", text=snapshot.doing)
            )
    return run


def _by_line(console: Console, snapshots: Iterable[Snapshot]) -> Run | None:
    run, shown, said = None, 0, ""
    for snapshot in snapshots:
        run = snapshot.run
        moves = run.history[shown:] if run else []
        for move in moves:
            begin = run.history[0].at if run else move.at
            after = (move.at - begin).total_seconds()
            console.print(f"{move.at.astimezone():%H:%M:%S}  {move.state.value:<12}  +{duration(after)}")
        shown += len(moves)
        if snapshot.doing and snapshot.doing != said:
            console.print(f"{now().astimezone():%H:%M:%S}    {escape(snapshot.doing)}", soft_wrap=True)
        said = snapshot.doing
    return run


def show_verdict(
    console: Console, run: Run, findings: Sequence[Mapping[str, Any]], report: str | None
) -> None:
    """What became of a run: scores and reasons, or what is wrong with the dataset, or where it failed."""
    if run.scores:
        console.print(_scores(run))
    console.print(
        Text.assemble((run.state.value, f"bold {COLOURS.get(run.state, 'cyan')}"), f"  {run.run_id}")
    )
    for reason in run.reasons:
        console.print(f"  {escape(reason)}", soft_wrap=True)
    if run.state is State.AWAITING_APPROVAL:
        console.print(f"  {escape(waiting(run))}", soft_wrap=True)
    for warning in run.warnings:
        console.print(f"  warning: {escape(warning)}", soft_wrap=True)
    if run.failure:
        console.print(f"  {escape(run.failure.step)}: {escape(run.failure.cause)}", soft_wrap=True)
    if run.duplicate_of:
        console.print(f"  the same content was distilled as {run.duplicate_of}", soft_wrap=True)
    said = " ".join(run.reasons)
    left = [finding for finding in findings if finding["message"] not in said]
    if left:
        console.print(_findings(left))
    if run.served_by:
        console.print(f"  served by: {escape('; '.join(run.served_by))}", soft_wrap=True)
    if report:
        console.print(f"  report: {escape(report)}", soft_wrap=True)


def _scores(run: Run) -> Table:
    measures = list(dict.fromkeys(measure for scores in run.scores.values() for measure in scores))
    rows = table(
        "candidate", *(m.replace("_", " ") for m in measures), numbers=[m.replace("_", " ") for m in measures]
    )
    for candidate in sorted(run.scores, key=_candidate_order):
        rows.add_row(candidate, *(_figure(run.scores[candidate].get(measure)) for measure in measures))
    return rows


def _candidate_order(candidate: str) -> int:
    return [*CANDIDATES, candidate].index(candidate)


def _figure(value: Any) -> str:
    if isinstance(value, float):
        # Four significant digits: weight score means and costs of fractions of a cent stand in one table.
        return f"{value:.{max(2, 3 - math.floor(math.log10(abs(value))))}f}" if value else "0"
    if isinstance(value, list):
        return " to ".join(_figure(item) for item in value)
    return "-" if value is None else escape(str(value))


def _findings(findings: Sequence[Mapping[str, Any]]) -> Table:
    rows = table("line", "code", "what", "how to fix it", numbers=["line"])
    for finding in findings[:FINDINGS_SHOWN]:
        line = finding["line"]
        rows.add_row(
            "" if line is None else str(line),
            *(escape(str(finding[part])) for part in ("code", "message", "fix")),
        )
    if len(findings) > FINDINGS_SHOWN:
        rows.add_row("", "", f"and {len(findings) - FINDINGS_SHOWN} more", "")
    return rows


def runs_table(runs: Sequence[Run]) -> Table:
    """One line per run."""
    rows = table(
        "run",
        "state",
        "begun",
        "took",
        "records",
        "weight_score",
        "estimate",
        numbers=["took", "records", "weight_score"],
    )
    for run in runs:
        weight_score = run.scores.get("distilled", {}).get("weight_score")
        rows.add_row(
            run.run_id,
            state_text(run.state),
            f"{run.history[0].at.astimezone():%Y-%m-%d %H:%M:%S}",
            duration(sum(seconds_in(run))),
            _figure(run.counts.get("accepted")),
            _figure(weight_score),
            cost(run),
        )
    return rows


def lineage_table(run: Run) -> Table:
    """What a run is made of and what it made."""
    rows = table("", "")
    for name, value in run.model_dump(mode="json").items():
        if name in {"history", "scores", "reasons", "failure", "run_id", "state", "announced"} or not value:
            continue
        rows.add_row(Text(name.replace("_", " "), style="dim"), escape(_listed(value)))
    return rows


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {inner}" for name, inner in value.items())
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def results_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Queries with their weights, the channels in the channel configuration's order."""
    named = {channel for result in results for channel in result["weights"]}
    known = [channel for channel in default_channel_config().names if channel in named]
    channels = known + sorted(named.difference(known))
    rows = table("query", *channels, "dominant", "source", "ms", numbers=[*channels, "ms"])
    for result in results:
        weights = result["weights"]
        top = max(weights.values())
        rows.add_row(
            escape(result["query"]),
            *(_weight(weights.get(channel), top) for channel in channels),
            result["dominant"],
            result["source"],
            f"{result['latency_ms']:.0f}",
        )
    return rows


def answered_by(results: Sequence[Mapping[str, Any]]) -> str:
    """Which models answered how many of the queries, in a line."""
    models = Counter(str(result.get("run_id") or result.get("model_id") or "no model") for result in results)
    return ", ".join(f"{count} answered by {model}" for model, count in models.most_common())


def _weight(weight: float | None, top: float) -> Text:
    if weight is None:
        return Text("-")
    return Text(f"{weight:.2f}", style="bold" if weight == top else "dim" if weight == 0 else "")
