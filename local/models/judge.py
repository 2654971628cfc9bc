"""The local judge: it grades a response as an LLM judge would."""

from __future__ import annotations

from distillery.errors import UnreadableRouting
from distillery.task.answers import parse_routing
from distillery.task.weights import dominants, weight_score
from local.models.emulation import seeded_random
from local.models.prompt_reader import channels_of_label

_MOODS = 0.1


def judge(prompt: str, reference: str, response: str) -> tuple[float, str]:
    """Grade a response as an LLM judge would: 0 to 1, and why.

    The weight score mapped to 0..1, one grade off for about a tenth of the responses, as judges are. Raises
    UnreadableRouting when the reference itself cannot be read: there is nothing to judge by.
    """
    channels = channels_of_label(reference)
    if not channels:
        raise UnreadableRouting("The reference holds no weights.")
    wanted = parse_routing(reference, channels).weights
    try:
        given = parse_routing(response, channels).weights
    except UnreadableRouting:
        return 0.0, "The response holds no weights that can be read."
    grade = weight_score(wanted, given, channels)
    rng = seeded_random("judge", prompt, response)
    if rng.random() < _MOODS:
        grade = min(5, max(1, grade + rng.choice((-1, 1))))
    worst = max(channels, key=lambda channel: abs(wanted[channel] - given[channel]))
    agree = "the same" if dominants(wanted) & dominants(given) else "another"
    off = abs(wanted[worst] - given[worst])
    return (grade - 1) / 4, (
        f"Puts {agree} channel first; the largest difference is {off:.2f}, at {worst} "
        f"({given[worst]:.2f} where the reference has {wanted[worst]:.2f})."
    )
