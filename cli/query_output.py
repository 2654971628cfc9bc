"""How the results of queries are printed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from cli.console import table
from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table


def results_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Queries with their channel weights. The largest weight is bold."""
    named = {channel for result in results for channel in result["weights"]}
    known = [channel for channel in default_channel_config().names if channel in named]
    channels = known + sorted(named.difference(known))
    rows = table("query", *channels, "dominant", "source", "ms", numbers=[*channels, "ms"])
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


def _weight(weight: float | None, largest: float) -> Text:
    if weight is None:
        return Text("-")
    return Text(f"{weight:.2f}", style="bold" if weight == largest else "dim" if weight == 0 else "")
