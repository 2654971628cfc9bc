"""The stack's taxonomy: shown, and replaced by a file that was checked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.files import read_text
from distillery.aws.stack_config import TAXONOMY_KEY, stack_taxonomy
from distillery.task.channels import Taxonomy, parse_taxonomy

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack


def read(stack: Stack) -> Taxonomy:
    """The taxonomy that the next dataset will be held to."""
    return stack_taxonomy(stack.bucket)


def put(stack: Stack, file: Path) -> Taxonomy:
    """Make a file the stack's taxonomy, unchanged; BadInput, and no change at all, when it is none."""
    text = read_text(file)
    taxonomy = parse_taxonomy(text)
    stack.bucket.put(TAXONOMY_KEY, text.encode(), "application/yaml")
    return taxonomy
