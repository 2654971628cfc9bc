"""Commands for datasets: doctor, estimate, drop, forget-holdout."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cli import cost_estimate, dataset_validation
from cli.console import print_error, print_json, print_text, terminal
from cli.exit_codes import REJECTED, SUCCESS, UNREADABLE
from cli.files import read_channel_config
from cli.options import (
    ONE_DAY,
    START_TIMEOUT,
    AsJson,
    ChannelsFile,
    DatasetFile,
    DatasetName,
    StartTimeout,
    Timeout,
    Watch,
    on_stack,
)
from cli.stack import Stack
from cli.uploads import check_dataset_file, name_note, upload_dataset
from cli.watching import WatchOptions, watch_run
from distillery.aws.stack_config import stack_channel_config
from distillery.errors import BadInput
from distillery.messages import counted

OutputFile = Annotated[
    Path | None,
    typer.Option(metavar="OUT", help="Write the fixed dataset to this file, and the changes to `OUT.diff`."),
]
HtmlFile = Annotated[Path | None, typer.Option(metavar="PAGE", help="Write the findings to this HTML page.")]
PricesFile = Annotated[
    Path | None, typer.Option(metavar="YAML", help="A price list. The default is the one in the package.")
]


def _model_option(role: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(metavar="ID", help=f"ID of the {role} model.")
    return option


def doctor(
    file: DatasetFile,
    fix: OutputFile = None,
    channels: ChannelsFile = None,
    html: HtmlFile = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the files of --fix and --html.")] = False,
    as_json: AsJson = False,
) -> int:
    """Validate a dataset offline.

    Runs the checks that the stack runs on an uploaded dataset, and prints the findings and what the dataset
    covers.

    Exit codes: 0 no errors or warnings, 1 errors or warnings, 2 a file that cannot be read or written.
    """
    console = terminal(stderr=as_json, quiet=as_json)
    try:
        dataset_validation.check_outputs(file, fix, html, force=force)
        channel_config = read_channel_config(channels)
        report = dataset_validation.validate_file(file, channel_config, console, fix)
        if html is not None:
            dataset_validation.write_page(html, report, channel_config)
    except BadInput as error:
        print_error(str(error))
        return UNREADABLE
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        dataset_validation.show_report(console, report, fix)
    return dataset_validation.exit_code(report)


def estimate(
    file: DatasetFile,
    channels: ChannelsFile = None,
    prices: PricesFile = None,
    teacher: Annotated[str, _model_option("teacher")] = cost_estimate.MODELS["teacher"],
    student: Annotated[str, _model_option("student")] = cost_estimate.MODELS["student"],
    baseline: Annotated[str, _model_option("baseline")] = cost_estimate.MODELS["baseline"],
    judge: Annotated[str, _model_option("judge")] = cost_estimate.MODELS["judge"],
    as_json: AsJson = False,
) -> int:
    """Estimate the cost of distilling a dataset, offline.

    Prints the low and high cost of each item, and the number of queries after which the run pays for itself.

    Exit codes: 0 success, 1 invalid channel configuration or price list, 2 not a usable dataset.
    """
    models = {"teacher": teacher, "student": student, "baseline": baseline, "judge": judge}
    try:
        made = cost_estimate.estimate_file(
            file, models, terminal(stderr=True, quiet=as_json), channel_config=channels, prices=prices
        )
    except cost_estimate.UnusableDataset as error:
        print_error(str(error))
        return REJECTED
    if as_json:
        print_json(made.model_dump(mode="json") | {"sentence": made.sentence()})
    else:
        cost_estimate.show_estimate(terminal(), made)
    return SUCCESS


@on_stack
def drop(
    stack: Stack,
    file: DatasetFile,
    dataset: DatasetName = None,
    watch: Watch = False,
    timeout: Timeout = ONE_DAY,
    start_timeout: StartTimeout = START_TIMEOUT,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Validate the file before the upload.")
    ] = True,
    again: Annotated[
        bool,
        typer.Option("--again", help="Train a model even if an earlier run trained it with the same data."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Upload a dataset and start a run.

    Validates the file first, and does not upload a dataset that the stack would reject. Prints the ID of the
    run. With `--watch`, follows the run until it ends, and returns the exit code of `distillery watch`.

    Exit codes: 0 uploaded, 1 the file cannot be read, 2 the dataset would be rejected.
    """
    check_dataset_file(file)
    progress = terminal(stderr=True, quiet=as_json)
    if check:
        report = dataset_validation.validate_file(file, stack_channel_config(stack.bucket), progress)
        if not report.valid:
            reasons = " ".join(report.reasons)
            print_error(
                f"{file} was not uploaded. {reasons} Run `distillery doctor {file}` for all findings."
            )
            return REJECTED
    uploaded = upload_dataset(stack, file, dataset, progress, again=again)
    if not as_json:
        print_error(name_note(dataset or file.stem, uploaded.dataset))
    if watch:
        if not as_json:
            print_text(f"Uploaded s3://{uploaded.bucket}/{uploaded.key}; the run is {uploaded.run_id}")
        return watch_run(stack, uploaded.run_id, WatchOptions(timeout, start_timeout, as_json))
    if as_json:
        print_json(dataclasses.asdict(uploaded))
    else:
        print_text(uploaded.run_id)
    return SUCCESS


@on_stack
def forget_holdout(
    stack: Stack,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset.", show_default=False)],
    force: Annotated[
        bool, typer.Option("--force", help="Forget them. Needed, as nothing restores them.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Forget which queries of a dataset were held out.

    The next version is split as if it were the first, so it may train on queries that earlier versions were
    evaluated with. Scores of earlier and later versions are then not comparable.
    """
    held = len(stack.holdouts.read(dataset).keys)
    if not held:
        raise BadInput(
            f"No version of dataset {dataset!r} has held out queries.",
            fix="Check the name: it is the folder under datasets/ in the data bucket.",
        )
    if not force:
        raise BadInput(
            f"Dataset {dataset!r} has {counted(held, 'query', 'queries')} held out; nothing was forgotten.",
            fix="Add --force to let later versions train on them.",
        )
    forgotten = stack.holdouts.forget(dataset)
    if as_json:
        print_json({"dataset": dataset, "forgotten": forgotten})
    else:
        print_text(
            f"Forgot {counted(forgotten, 'held-out query', 'held-out queries')} of dataset {dataset!r}."
        )
    return SUCCESS
