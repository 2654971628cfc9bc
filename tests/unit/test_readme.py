"""What the README shows is what the software takes."""

from __future__ import annotations

import re
from pathlib import Path

from distillery.taxonomy import parse_taxonomy

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def example(heading: str, language: str) -> str:
    """The first block in a language under a heading of the README."""
    section = re.split(rf"^#+ {re.escape(heading)}$", README, flags=re.MULTILINE)[1]
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    block = re.search(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block is not None, f"no {language} example under {heading!r}"
    return block[1]


def test_example_of_a_taxonomy_can_be_used() -> None:
    assert parse_taxonomy(example("A taxonomy", "yaml")).names == ("speech", "noise")
