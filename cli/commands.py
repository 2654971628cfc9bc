"""How an action on a stack becomes a command: its parameters, and the options that say which stack."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.stack import Stack, Target, find_stack

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds the stack when it is needed, for commands that may do without."""

    target: Target

    def find(self) -> Stack:
        """The stack; BadInput when it is not there."""
        return find_stack(self.target)


def _where(
    name: str, kind: Any, words: str, default: object = None, flag: str | None = None
) -> inspect.Parameter:
    option = typer.Option(*([flag] if flag else []), help=words, rich_help_panel="Where (AWS)")
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


WHERE = (
    _where("profile", str | None, "Profile of the AWS SDK."),
    _where("region", str | None, "AWS region."),
    _where("stack_name", str | None, "Name of the stack; `distillery` by default."),
    _where("aws", bool, "AWS with the SDK's own settings, not the local cloud.", default=False, flag="--aws"),
)


def command_on(
    app: typer.Typer, found: Callable[[Target], Any], action: Callable[..., int]
) -> Callable[..., int]:
    """Make a command of an action; `found` makes its first argument of what the options say."""

    @functools.wraps(action)
    def command(
        *, profile: str | None, region: str | None, stack_name: str | None, aws: bool, **rest: Any
    ) -> int:
        return action(found(Target(profile, region, stack_name, aws)), **rest)

    signature = inspect.signature(action, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "stack"]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]  # read by typer and inspect
        parameters=[parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + [*WHERE]
    )
    app.command()(command)
    return action
