"""`distillery forget-holdout`: nothing is forgotten without a name that exists and `--force`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.app import main
from distillery.aws.holdout_store import HeldOut
from distillery.dataset.split import query_key
from tests.unit.cli.stacks import ON_AWS, printed

if TYPE_CHECKING:
    from cli.stack import Stack

KEYS = [query_key(f"query {number}") for number in range(3)]


@pytest.fixture(autouse=True)
def held_out(stack: Stack) -> Stack:
    """A stack whose dataset `films` holds out three queries."""
    stack.holdouts.add("films", KEYS, known=HeldOut(frozenset(), 1))
    return stack


def test_without_force_nothing_is_forgotten(held_out: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget-holdout", "films", *ON_AWS]) == 1
    assert "has 3 queries held out; nothing was forgotten. Add --force" in capsys.readouterr().err
    assert held_out.holdouts.read("films").keys == set(KEYS)


def test_with_force_the_held_out_queries_are_forgotten(
    held_out: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forget-holdout", "films", "--force", "--json", *ON_AWS]) == 0
    assert printed(capsys) == {"dataset": "films", "forgotten": 3}
    assert held_out.holdouts.read("films").keys == frozenset()


def test_a_dataset_that_holds_nothing_out_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget-holdout", "film", "--force", *ON_AWS]) == 1
    assert "No version of dataset 'film' has held out queries. Check the name" in capsys.readouterr().err
