"""Commands for the configuration of the stack and of the shell: channels, outputs, completion."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # not marked as exported

from cli.console import print_json, print_text
from cli.exit_codes import SUCCESS
from cli.files import read_text
from cli.options import AsJson, on_stack
from cli.stack import Stack
from distillery.aws.stack_config import CHANNEL_CONFIG_KEY, stack_channel_config
from distillery.task.channels import ChannelConfig, dump_channel_config, parse_channel_config

PROGRAM = "distillery"
COMPLETE_VARIABLE = "_DISTILLERY_COMPLETE"
"""The environment variable in which the shell asks for completions."""

ChannelsFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="The new channel configuration, in YAML."),
]


@on_stack
def channels(stack: Stack, file: ChannelsFile = None, as_json: AsJson = False) -> int:
    """Show or replace the channel configuration of the stack.

    With a file, validates it and makes it the channel configuration for the next datasets.
    """
    channel_config = stack_channel_config(stack.bucket) if file is None else _replace(stack, file)
    if as_json:
        print_json(channel_config.model_dump(mode="json"))
    elif file is None:
        print_text(dump_channel_config(channel_config), end="")
    else:
        print_text(f"The channels of the stack are now {', '.join(channel_config.names)}.")
    return SUCCESS


Export = Annotated[bool, typer.Option("--export", help="Print `export` lines for the shell.")]


@on_stack
def outputs(stack: Stack, export: Export = False, as_json: AsJson = False) -> int:
    """Show the outputs of the stack: the names of its bucket, queues and tables.

    Load them into the shell with `eval "$(distillery outputs --export)"`.
    """
    if as_json:
        print_json(stack.outputs)
        return SUCCESS
    if export:
        for name, value in sorted(stack.outputs.items()):
            print_text(f"export {name}={shlex.quote(value)}")
        return SUCCESS
    width = max(map(len, stack.outputs), default=0)
    for name, value in sorted(stack.outputs.items()):
        print_text(f"{name:<{width}}  {value}")
    return SUCCESS


class Shell(StrEnum):
    """A shell that can complete commands and options."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
) -> int:
    """Print the script with which a shell completes commands and options.

    For bash, add `source <(distillery completion bash)` to `~/.bashrc`. For zsh, add
    `source <(distillery completion zsh)` to `~/.zshrc`, after `compinit`. For fish, write the script to
    `~/.config/fish/completions/distillery.fish`.
    """
    print_text(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell.value))
    return SUCCESS


def _replace(stack: Stack, file: Path) -> ChannelConfig:
    """Write a file to the bucket as the channel configuration; BadInput and no change if it is invalid."""
    text = read_text(file)
    channel_config = parse_channel_config(text)
    stack.bucket.put(CHANNEL_CONFIG_KEY, text.encode(), "application/yaml")
    return channel_config
