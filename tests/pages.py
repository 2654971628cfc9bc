"""The code blocks of README.md and docs/*.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<kind>\w+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block; `kind` is the second word after the opening fence.

    `sh` blocks without a kind run on a local cloud. `sh aws` needs an account, tests of the make targets run
    `sh make`, `sh decide` needs a run that waits for approval, and `sh text` shows what a command prints.
    """

    language: str
    kind: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Every code block of a page, in order."""
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        yield Block(found["language"], found["kind"] or "", found["text"])
