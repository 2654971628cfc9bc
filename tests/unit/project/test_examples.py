"""The sample model answers the example queries that users see, for reasons that make sense."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from distillery.linear.function_words import FUNCTION_WORDS
from distillery.linear.training import fit
from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from distillery.linear.model import LinearModel

ROOT = Path(__file__).parents[3]
EXAMPLES = {
    "rain on a tin roof": "audio",
    "sound of a kettle boiling": "audio",
    "dog barking at night": "audio",
    "penalty hitting the post in slow motion": "visual",
    "close-up of a red kite": "visual",
    "fireworks over the harbour": "visual",
    "what did the mayor say about the bridge": "transcription",
    "how to prune an apple tree": "transcription",
    "interview with a lighthouse keeper": "transcription",
    "documentary from 1987": "metadata",
    "latest news in 4K": "metadata",
}
"""Example query -> the channel that must have the largest weight."""
SHOWN_IN = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "cli").rglob("*.py")]
_COMMAND = re.compile(r"distillery route ((?:\\?\"[^\"\\]+\\?\" ?)+)")
_SNIPPET = re.compile(
    r'channel_weights\("([^"]+)"\)|"query": "([^".]{5,})"|^EXAMPLE = "([^"]+)"', re.MULTILINE
)


@pytest.fixture(scope="module")
def model() -> LinearModel:
    """What the local cloud distils from the sample dataset."""
    examples = []
    for line in (ROOT / "samples" / "dataset.jsonl").read_text("utf-8").splitlines():
        query, label = (turn["content"][0]["text"] for turn in json.loads(line)["messages"])
        weights = {name: value for name, value in json.loads(label).items() if name != "reasoning"}
        examples.append((query, weights))
    return fit(examples, default_channel_config())


@pytest.mark.parametrize(("query", "channel"), EXAMPLES.items())
def test_the_channel_that_a_person_expects_leads(model: LinearModel, query: str, channel: str) -> None:
    weights = model.predict(query)
    assert max(weights, key=lambda name: weights[name]) == channel


@pytest.mark.parametrize("query", EXAMPLES)
def test_reasons_are_content_words_of_the_query(model: LinearModel, query: str) -> None:
    named = re.findall(r"'([^']+)'", model.explain(query))
    assert named
    assert {word for word in named if word in FUNCTION_WORDS or len(word) < 2} == set()
    assert {word for word in named if word not in query.lower()} == set()


def test_every_example_that_is_shown_is_held_by_these_tests() -> None:
    shown = set()
    for file in SHOWN_IN:
        text = file.read_text("utf-8")
        for found in _COMMAND.finditer(text):
            shown |= set(re.findall(r'"([^"\\]+)\\?"', found[1]))
        for groups in _SNIPPET.findall(text):
            shown |= {group for group in groups if group}
    assert shown
    assert shown - EXAMPLES.keys() - {"{EXAMPLE}"} == set()


def test_the_answer_on_the_first_screen_is_the_models(model: LinearModel) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    answer = json.loads(next(line for line in readme.splitlines() if line.startswith('{"query":')))
    assert answer["weights"] == model.predict(answer["query"])
    assert model.explain(answer["query"]).startswith(answer["reasoning"].removesuffix("."))
