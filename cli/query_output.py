"""How the results of queries are printed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from cli.console import table, terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.table import Table


def in_order(results: Sequence[Mapping[str, Any]], order: Sequence[str]) -> list[dict[str, Any]]:
    """The results with their weights in the order of the channels."""
    return [
        {**result, "weights": {channel: result["weights"][channel] for channel in _channels([result], order)}}
        for result in results
    ]


def results_table(results: Sequence[Mapping[str, Any]], order: Sequence[str]) -> Table:
    """Queries with their channel weights, the channels in the given order. The largest weight is bold."""
    channels = _channels(results, order)
    rows = table("query", *channels, "dominant", "source", "ms", numbers=[*channels, "ms"], folded=["query"])
    for result in results:
        weights = result["weights"]
        largest = max(weights.values())
        rows.add_row(
            escape(result["query"]),
            *(_weight(weights.get(channel), largest) for channel in channels),
            result["dominant"],
            result["source"],
            f"{result['latency_ms']:.0f}",
        )
    return rows


def answering_models(results: Sequence[Mapping[str, Any]]) -> str:
    """How many of the queries each model answered, in one line."""
    models = Counter(str(result.get("run_id") or result.get("model_id") or "no model") for result in results)
    return ", ".join(f"{count} answered by {model}" for model, count in models.most_common())


def as_jsonl(results: Sequence[Mapping[str, Any]]) -> bytes:
    """One JSON object a line."""
    return "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in results).encode()


def as_csv(results: Sequence[Mapping[str, Any]], order: Sequence[str]) -> bytes:
    """One row a result, with a column for each weight in the given order; lists and objects as JSON."""
    channels = _channels(results, order)
    columns = list(dict.fromkeys(name for result in results for name in result if name != "weights"))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*columns, *channels])
    for result in results:
        values = [result.get(name, "") for name in columns]
        cells = [json.dumps(value) if isinstance(value, dict | list) else value for value in values]
        rows.writerow([*cells, *(result["weights"].get(channel, "") for channel in channels)])
    return text.getvalue().encode()


@contextlib.contextmanager
def query_progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, which a terminal shows while results are missing."""
    console = terminal(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("queries answered", total=total)
        yield lambda done: bar.update(task, completed=done)


def _channels(results: Sequence[Mapping[str, Any]], order: Sequence[str]) -> list[str]:
    """The channels of the results in the given order; channels of an earlier configuration come last."""
    named = {channel for result in results for channel in result["weights"]}
    known = [channel for channel in order if channel in named]
    return known + sorted(named.difference(known))


def _weight(weight: float | None, largest: float) -> Text:
    if weight is None:
        return Text("-")
    return Text(f"{weight:.2f}", style="bold" if weight == largest else "dim" if weight == 0 else "")
