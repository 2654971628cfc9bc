"""A small spec for tests, for two or more channels of any names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = ["red", "blue", "green", "yellow", "white", "black", "silver", "orange", "pink", "grey"]
THINGS = ["kayak", "tram", "anvil", "marquee", "sledge", "windmill", "barge", "loom", "kiln", "wharf"]
PLACES = ["near the quarry", "by the mill", "at the ford", "past the weir", "in the barn", "by the depot"]
PATTERNS = {
    "visual": ["{colour} {thing} close-up {place}", "footage of a {thing} {place}"],
    "audio": ["the sound of a {thing} {place}", "loud {thing} noise {place}"],
    "transcription": ["lecture on the {thing} {place}", "who explains the {thing} {place}?"],
    "metadata": ["{thing} uploaded in {year} {place}", "season {digit} of {thing} {year}"],
}


def small_spec(channels: Sequence[str] | None = None, **changes: Any) -> dict[str, Any]:
    """The content of a spec file; channels without patterns in this module get a general template."""
    names = tuple(channels or default_channel_config().names)
    mix = {name: round(1 / len(names), 3) for name in names}
    mix[names[0]] += 1 - sum(mix.values())
    return {
        "records": 120,
        "seed": 7,
        "mix": mix,
        "near_duplicates": 1.0,
        "max_cost_usd": 5,
        "deadline_minutes": 30,
        "template_groups": {
            f"about_{name}": {
                "channel": name,
                "templates": PATTERNS.get(name, [f"{name} of the {{colour}} {{thing}} {{place}}"]),
            }
            for name in names
        },
        "words": {
            "colour": COLOURS,
            "thing": THINGS,
            "place": PLACES,
            "year": [str(year) for year in range(1990, 2020)],
            "digit": ["1", "2", "3", "4"],
        },
        **changes,
    }


def spec_text(**changes: Any) -> str:
    """The text of a spec file."""
    return yaml.safe_dump(small_spec(**changes), allow_unicode=True, sort_keys=False)
