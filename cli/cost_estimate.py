"""Estimating the cost of distilling a dataset file, without a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.console import print_table, table
from cli.dataset_validation import validate_file
from cli.files import UnreadableFile, read_channel_config, read_text
from distillery.cost.estimate import Estimate, Span, make_estimate
from distillery.cost.prices import parse_prices, price_list
from distillery.errors import BadInput
from distillery.messages import usd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

MODELS = {
    "teacher": "amazon.nova-pro-v1:0",
    "student": "amazon.nova-micro-v1:0:128k",
    "baseline": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "judge": "amazon.nova-pro-v1:0",
}
"""The defaults of the template's model parameters."""


class UnusableDataset(BadInput):
    """The file cannot be read, or the stack would reject it."""


def estimate_file(
    file: Path,
    models: Mapping[str, str],
    console: Console,
    *,
    channel_config: Path | None = None,
    prices: Path | None = None,
) -> Estimate:
    """Validate a dataset and estimate its cost.

    Raises UnusableDataset for the dataset, and BadInput for the channel configuration and the price list.
    """
    channels = read_channel_config(channel_config)
    price_table = parse_prices(read_text(prices)) if prices else price_list()
    try:
        report = validate_file(file, channels, console)
    except UnreadableFile as error:
        raise UnusableDataset(error.message, fix=error.fix) from error
    if not report.valid:
        raise UnusableDataset(f"The stack would reject {file}. {' '.join(report.reasons)}")
    return make_estimate(report, channels, {**MODELS, **models}, price_table)


def show_estimate(console: Console, estimate: Estimate) -> None:
    """Print the estimate as a table, its sentence and how tokens are estimated."""
    numbers = ["calls", "tokens in", "tokens out", "low", "high"]
    rows = table(
        "item",
        *numbers,
        "note",
        numbers=numbers,
        folded=["note"],
        title=f"Prices in USD as of {estimate.prices_as_of:%F}",
    )
    for line in estimate.lines:
        rows.add_row(
            line.name,
            *map(_span, (line.calls, line.input_tokens, line.output_tokens)),
            *((usd(line.usd.low), usd(line.usd.high)) if line.usd else ("unknown", "unknown")),
            line.note,
        )
    rows.add_row(
        "total without unknown",
        "",
        "",
        "",
        usd(estimate.known.low),
        usd(estimate.known.high),
        "",
        style="bold",
    )
    print_table(console, rows)
    console.print(estimate.sentence(), markup=False, soft_wrap=True)
    console.print(estimate.estimate, style="dim", markup=False, soft_wrap=True)


def _span(span: Span | None) -> str:
    if span is None:
        return ""
    low, high = f"{span.low:,.0f}", f"{span.high:,.0f}"
    return low if low == high else f"{low} to {high}"
