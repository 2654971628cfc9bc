"""The command for specs: generate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_error, print_json, print_table, print_text, terminal
from cli.exit_codes import SUCCESS
from cli.files import read_channel_config, read_spec
from cli.generation_preview import preview as make_preview
from cli.generation_preview import preview_summary, preview_table
from cli.options import (
    ONE_DAY,
    START_TIMEOUT,
    AsJson,
    DatasetName,
    StartTimeout,
    Timeout,
    on_target,
)
from cli.stack import Target, find_stack
from cli.uploads import name_note, upload_spec
from cli.watching import WatchOptions, watch_generation


@on_target
def generate(
    target: Target,
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC", help="A generation spec, in YAML.", show_default=False)
    ],
    dataset: DatasetName = None,
    preview: Annotated[
        int | None,
        typer.Option(
            metavar="COUNT",
            min=1,
            help="Print this many of the planned queries, offline, and upload nothing.",
        ),
    ] = None,
    channels: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="A channel configuration for the preview. The default is the one in the package.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the generation and its run until they end.")
    ] = False,
    timeout: Timeout = ONE_DAY,
    start_timeout: StartTimeout = START_TIMEOUT,
    as_json: AsJson = False,
) -> int:
    """Upload a spec and generate a dataset from it.

    The stack plans queries, the teacher labels them, and the dataset starts a run. Prints the ID of the
    generation. With `--watch`, follows the generation and its run until they end, and returns the exit code
    of `distillery watch`.
    """
    if preview is not None:
        content = make_preview(read_spec(spec)[0], read_channel_config(channels), preview)
        if as_json:
            print_json(content)
        else:
            print_table(terminal(), preview_table(content))
            print_text(preview_summary(content))
        return SUCCESS
    stack = find_stack(target)
    uploaded = upload_spec(stack, spec, dataset)
    if not as_json:
        print_error(name_note(dataset or spec.stem, uploaded.dataset))
    if watch:
        options = WatchOptions(timeout, start_timeout, as_json)
        return watch_generation(stack, uploaded.generation_id, options, uploaded.version_id)
    if as_json:
        print_json(dataclasses.asdict(uploaded))
    else:
        print_text(uploaded.generation_id)
    return SUCCESS
