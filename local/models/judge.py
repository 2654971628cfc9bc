"""The local judge: emulates an LLM that grades responses."""

from __future__ import annotations

from distillery.errors import UnreadableRouting
from distillery.task.answers import parse_routing
from distillery.task.weights import dominants, weight_score
from local.models.emulation import seeded_random
from local.models.prompt_reader import channels_of_label

_DEVIATION_RATE = 0.1
"""Share of the responses that are graded one step too high or too low."""


def judge(prompt: str, reference: str, response: str) -> tuple[float, str]:
    """Grade a response against a reference. Returns a grade from 0 to 1 and an explanation.

    The grade is the weight score mapped to 0..1, one step off for about a tenth of the responses, because LLM
    judges deviate too. Raises UnreadableRouting when the reference cannot be read.
    """
    channels = channels_of_label(reference)
    if not channels:
        raise UnreadableRouting("The reference has no weights.")
    expected = parse_routing(reference, channels).weights
    try:
        actual = parse_routing(response, channels).weights
    except UnreadableRouting:
        return 0.0, "The response has no readable weights."
    grade = weight_score(expected, actual, channels)
    rng = seeded_random("judge", prompt, response)
    if rng.random() < _DEVIATION_RATE:
        grade = min(5, max(1, grade + rng.choice((-1, 1))))
    worst = max(channels, key=lambda channel: abs(expected[channel] - actual[channel]))
    dominant = "the same" if dominants(expected) & dominants(actual) else "different"
    difference = abs(expected[worst] - actual[worst])
    return (grade - 1) / 4, (
        f"The dominant channel is {dominant}; the largest difference is {difference:.2f}, for {worst} "
        f"({actual[worst]:.2f}; the reference has {expected[worst]:.2f})."
    )
