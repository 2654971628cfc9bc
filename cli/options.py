"""Options that several commands share, and the options that select the stack."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.stack import Target, find_stack

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_DAY = 86_400.0
START_TIMEOUT = 60.0

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="ID of a run.", show_default=False)]
DatasetFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A dataset, in JSON Lines format. `-` is standard input.", show_default=False
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Name of the dataset. The default is the name of the file."),
]
ChannelsFile = Annotated[
    Path | None,
    typer.Option(metavar="YAML", help="A channel configuration. The default is the one in the package."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Follow the run until it ends.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Time to wait for the run to end.")]
StartTimeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=1, help="Time to wait for the run to start.")
]


def on_stack(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that select the stack; the command receives the stack as its first argument."""
    return _with_stack_options(command, find_stack)


def on_target(command: Callable[..., int]) -> Callable[..., int]:
    """The same for a command that does not always need the stack: its first argument is the target."""
    return _with_stack_options(command, lambda target: target)


def _stack_option(
    name: str, kind: Any, text: str, default: object = None, flag: str | None = None
) -> inspect.Parameter:
    option = typer.Option(*([flag] if flag else []), help=text, rich_help_panel="Stack")
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


STACK_OPTIONS = (
    _stack_option("profile", str | None, "Use this profile of the AWS configuration."),
    _stack_option("region", str | None, "Use this AWS Region."),
    _stack_option("stack_name", str | None, "Name of the stack. The default is `distillery`."),
    _stack_option(
        "aws", bool, "Use AWS with the default credentials, not the local cloud.", default=False, flag="--aws"
    ),
)


def _with_stack_options(
    command: Callable[..., int], first_argument: Callable[[Target], Any]
) -> Callable[..., int]:
    @functools.wraps(command)
    def with_stack(
        *, profile: str | None, region: str | None, stack_name: str | None, aws: bool, **rest: Any
    ) -> int:
        return command(first_argument(Target(profile, region, stack_name, aws)), **rest)

    signature = inspect.signature(command, eval_str=True)
    _, *own = signature.parameters.values()
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    with_stack.__signature__ = signature.replace(  # type: ignore[attr-defined]  # read by typer and inspect
        parameters=[*parameters, *STACK_OPTIONS]
    )
    return with_stack
