"""The command's surroundings: the application that commands join, and how they speak."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

TROUBLE = 1
"""Exit code of wrong usage, and of what a user has to fix first."""
PIPE_WIDTH = 120
"""Columns of what goes to a file or a pipe, which have none of their own."""

HELP = """Turn labelled queries into a fast, cheap router, and use it.

[bold]Where.[/bold] The local cloud (`make up`) at http://127.0.0.1:$DISTILLERY_PORT, port 4566 by default.
With any of --aws, --profile, --region or --stack-name it is what the AWS SDK's own settings say.

[bold]Exit codes.[/bold] 0: done; of a run: promoted. 1: wrong usage, or the stack is not there.
Of a run that was followed: 2 rejected, 3 failed, 4 not promoted, 5 duplicate. Of a generation: its run's,
or 2 rejected, 3 failed or stopped with no dataset. Of an estimate: 2 for a file that is no dataset.
6: what was waited for did not come in time. 130: interrupted.

With --json standard output holds one JSON document and nothing else; errors are one sentence on
standard error.
"""

app = typer.Typer(help=HELP, rich_markup_mode="rich", no_args_is_help=True, add_completion=False)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")]


def complain(sentence: str) -> int:
    """Say on standard error what is wrong; returns the exit code for it."""
    if sentence:
        print(sentence, file=sys.stderr)
    return TROUBLE


def console() -> Console:
    """The terminal, or what stands for it."""
    # Made per call: the streams may have been replaced since the import.
    made = Console(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_WIDTH
    return made


def print_json(content: object) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(content, indent=2, ensure_ascii=False))
