"""The Typer application: the table of commands, the help text, and the exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # not marked as exported
from typer.exceptions import Abort, TyperException

from cli.commands import configuration, datasets, generation, queries, runs
from cli.console import discard_output, make_streams_safe, print_error, print_text
from cli.exit_codes import BROKEN_PIPE, ERROR, TIMED_OUT, USAGE_ERROR
from cli.polling import TimedOut
from distillery import __version__
from distillery.errors import DistilleryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS: dict[str, dict[str, Callable[..., int]]] = {
    "Datasets": {
        "doctor": datasets.doctor,
        "estimate": datasets.estimate,
        "generate": generation.generate,
        "drop": datasets.drop,
        "forget-holdout": datasets.forget_holdout,
    },
    "Runs": {
        "runs": runs.runs,
        "show": runs.show,
        "watch": runs.watch,
        "report": runs.report,
        "approve": runs.approve,
        "reject": runs.reject,
    },
    "Queries": {"route": queries.route},
    "Stack": {"channels": configuration.channels, "outputs": configuration.outputs},
    "Shell": {"completion": configuration.completion},
}
"""Every command by its name, grouped as the help shows them."""
TAKES_TEXT = {"route": "queries"} | dict.fromkeys(("doctor", "drop", "estimate", "generate"), "file names")
"""Commands whose arguments may begin with a hyphen, and what these are."""

HELP = """Distillery learns query-aware channel weights for hybrid and multimodal search. It distills a large
model into a small model on Amazon Bedrock, and the small model answers your queries.

**Stack.** Commands use the local cloud, which `make up` starts at http://127.0.0.1:4566. Set the environment
variable `DISTILLERY_PORT` to use another port. With any of `--aws`, `--profile`, `--region` and
`--stack-name`, commands use AWS with the configuration and credentials of the AWS SDK.

**Output.** With `--json`, a command prints one JSON document to standard output. Errors go to standard error.

**Exit codes.** The exit code of a command that follows a run is the outcome of the run.

- 0: success; the run is PROMOTED
- 1: invalid input, or a stack that cannot be reached; `doctor`: findings
- 2: wrong usage; the run is REJECTED; `doctor` and `estimate`: the file is not a usable dataset
- 3: the run is FAILED, or the generation stopped without a dataset
- 4: the run is NOT_PROMOTED
- 5: the run is a DUPLICATE of an earlier run
- 6: a timeout expired
- 130: interrupted with Ctrl+C
"""


def _print_version(requested: bool) -> None:
    if requested:
        print_text(f"distillery {__version__}")
        raise typer.Exit


def _global_options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options of `distillery` itself."""


def _application() -> typer.Typer:
    application = typer.Typer(
        help=HELP,
        rich_markup_mode="markdown",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    application.callback()(_global_options)
    for panel, commands in COMMANDS.items():
        for name, command in commands.items():
            application.command(name, rich_help_panel=panel)(command)
    return application


app = _application()
completion_init()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Errors that a user can fix are printed without a traceback."""
    make_streams_safe()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        discard_output()
        return BROKEN_PIPE
    except OSError as error:
        discard_output()
        print_error(f"The output cannot be written: {error.strerror or error}.")
        return ERROR
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=arguments, prog_name=configuration.PROGRAM, standalone_mode=False)
    except TyperException as error:
        message = error.format_message().rstrip(".")
        # Without arguments the help is printed, and the message is empty.
        print_error(f"{message}. {_usage_hint(message, arguments)}" if message else "")
        return USAGE_ERROR
    except Abort:
        print_error("Interrupted.")
        return ERROR
    except TimedOut as error:
        print_error(str(error))
        return TIMED_OUT
    except DistilleryError as error:
        print_error(str(error))
        return ERROR
    return int(code or 0)


def _usage_hint(message: str, arguments: Sequence[str] | None) -> str:
    command = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    named = command if any(command in commands for commands in COMMANDS.values()) else "[COMMAND]"
    advice = ""
    if named in TAKES_TEXT and message.startswith("No such option"):
        advice = f"Put -- before {TAKES_TEXT[named]} that begin with a hyphen. "
    return f"{advice}For usage, run `distillery {named} --help`."
