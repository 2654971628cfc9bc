"""Commands that need no stack and no network: what a file holds, and what distilling it may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import doctor as examination
from cli import estimates
from cli.files import read_channel_config
from cli.terminal import AsJson, app, complain, console, print_json
from distillery.errors import BadInput

REJECTED = 2
"""Exit code for a file that is no dataset, as for a run that was rejected."""
Dataset = Annotated[Path, typer.Argument(metavar="FILE", help="A dataset, JSONL.", show_default=False)]
Channels = Annotated[Path | None, typer.Option(help="The channels; the shipped ones by default.")]


@app.command()
def doctor(
    file: Dataset,
    fix: Annotated[
        Path | None, typer.Option(help="Where to write the fixed file; its fixes go to `<OUT>.diff`.")
    ] = None,
    channels: Channels = None,
    html: Annotated[Path | None, typer.Option(help="Where to write the findings as a page.")] = None,
    as_json: AsJson = False,
) -> int:
    """Examine a dataset offline. Exit codes: 0 clean (notes do not count), 1 findings, 2 unreadable."""
    shown = Console(stderr=True, quiet=True) if as_json else console()
    try:
        channel_config = read_channel_config(channels)
        report = examination.examine(file, channel_config, shown, fix)
        if html is not None:
            examination.write_page(html, report, channel_config)
    except BadInput as error:
        # Not 1: that says that there are findings.
        complain(str(error))
        return examination.UNREADABLE
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        examination.show_examination(shown, report, fix)
    return examination.exit_code(report)


@app.command()
def estimate(
    file: Dataset,
    channels: Channels = None,
    prices: Annotated[Path | None, typer.Option(help="Another price list than the shipped one.")] = None,
    teacher: Annotated[str, typer.Option(help="The model that teaches.")] = estimates.MODELS["teacher"],
    student: Annotated[str, typer.Option(help="The model that learns.")] = estimates.MODELS["student"],
    baseline: Annotated[str, typer.Option(help="The model in use today.")] = estimates.MODELS["baseline"],
    judge: Annotated[str, typer.Option(help="The model that judges.")] = estimates.MODELS["judge"],
    as_json: AsJson = False,
) -> int:
    """Say what distilling a file may cost and when that pays for itself; asks no stack and no network."""
    models = {"teacher": teacher, "student": student, "baseline": baseline, "judge": judge}
    try:
        made = estimates.estimate_file(file, models, channel_config=channels, prices=prices)
    except estimates.Unusable as error:
        complain(str(error))
        return REJECTED
    if as_json:
        print_json(made.model_dump(mode="json") | {"sentence": made.sentence()})
    else:
        estimates.show_estimate(console(), made)
    return 0
