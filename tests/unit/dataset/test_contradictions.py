"""Which channel a reasoning calls the most important."""

from __future__ import annotations

import pytest

from distillery.dataset.contradictions import Contradictions
from distillery.earlier_names import CHANNEL_WORD
from tests.unit.dataset.datasets import (
    CHANNELS,
    FIRST,
    SECOND,
    findings_of,
    label,
    line,
    validate,
    varied_lines,
)

CLAIMS = {
    "{0} is the most important": True,
    "the query focuses on {0}": True,
    "spoken words, making {0} the dominant channel": True,
    "{0} gets the highest weight": True,
    "this is primarily {0}": True,
    "the most important channel is {0}": True,
    "it focuses on what is seen ({0})": True,
    "{0} is less critical": False,
    "{0} is not the main concern": False,
    "{0} isn't the most important": False,
    "{0} may be the dominant channel": False,
    "{0} is secondary, and so is the focus": False,
    "the query focuses on {0} and {1}": False,
    "{0} supports the {1}, which is key": False,
    "'{0} is the most important' says the query": False,
    "{0} is key for identifying the place": False,
    "the key scene is {0}": False,
    "a mostly quiet scene": False,
    f"the {{0}} {CHANNEL_WORD} is the most important": True,
    f"the most important {CHANNEL_WORD} is {{0}}": True,
}


@pytest.mark.parametrize(("reasoning", "claims"), CLAIMS.items(), ids=CLAIMS)
def test_channel_that_a_reasoning_calls_the_most_important(reasoning: str, claims: bool) -> None:
    named = Contradictions(CHANNELS).named_most(reasoning.format(*CHANNELS).capitalize() + ".")
    assert named == ({FIRST} if claims else set())


def test_channel_name_with_underscores_is_found_in_both_spellings() -> None:
    contradictions = Contradictions(("on_screen_text", "mood"))
    for spelling in ("on screen text", "on_screen_text"):
        assert contradictions.named_most(f"The {spelling} is the most important.") == {"on_screen_text"}


def test_reasoning_that_contradicts_the_weights_is_a_warning_and_a_tie_is_not() -> None:
    content = varied_lines(150)
    content += [
        line("red kite", label(0.6), f"The query focuses on {SECOND}."),
        line("blue kite", label(0.5), f"The query focuses on {SECOND}."),
        line("green kite", label(0.6), f"The query focuses on {FIRST}."),
    ]
    (finding,) = findings_of(validate(content).report, "reasoning_contradicts")
    assert (finding.line, finding.severity) == (151, "warning")
    assert f"calls {SECOND} the most important; the largest weight is that of {FIRST}" in finding.message
