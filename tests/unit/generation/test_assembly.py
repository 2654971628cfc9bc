"""Choosing records: the mix within two points where the labels allow, and what is said where they do not."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset.records import check_line
from distillery.generation import planner
from distillery.generation.assembly import LEEWAY, Labelled, choose, dataset_bytes, dataset_key
from distillery.generation.planner import Planned
from distillery.generation.spec import Spec, parse_spec
from distillery.task.channels import default_channel_config
from tests.specs import spec_text

if TYPE_CHECKING:
    import pytest

CHANNEL_CONFIG = default_channel_config()


def labelled(counts: dict[str, int]) -> list[Labelled]:
    """So many queries led by each channel, in turns as far as they go."""
    channels = [channel for channel, count in counts.items() for _ in range(count)]
    order = sorted(range(len(channels)), key=lambda at: (at * 7_919) % 104_729)
    return [
        Labelled(
            Planned(number, f"query {at}", "template_group", channels[at]),
            {name: 0.7 if name == channels[at] else 0.1 for name in CHANNEL_CONFIG.names},
            "because",
        )
        for number, at in enumerate(order, start=1)
    ]


def spec(records: int = 100, **changes: object) -> Spec:
    return parse_spec(spec_text(records=records, **changes))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 120), min_size=4, max_size=4))
def test_the_mix_is_kept_within_two_points_or_it_is_said(counts: list[int]) -> None:
    found = labelled(dict(zip(CHANNEL_CONFIG.names, counts, strict=True)))
    choice = choose(found, spec(), CHANNEL_CONFIG)
    assert len(choice.chosen) == min(100, len(found))
    leading = Counter(one.leads for one in choice.chosen)
    off = [
        f
        for f in CHANNEL_CONFIG.names
        if len(choice.chosen) and abs(leading[f] / len(choice.chosen) - 0.25) > LEEWAY + 1e-9
    ]
    said = " ".join(choice.remarks)
    assert ("do not allow the mix" in said) == bool(off)
    assert all(channel in said for channel in off)
    if all(count >= 25 for count in counts):
        assert not choice.remarks
    numbers = [one.planned.number for one in choice.chosen]
    assert numbers == sorted(set(numbers))


def test_what_one_channel_lacks_the_others_give_within_the_leeway_first() -> None:
    choice = choose(
        labelled({"visual": 24, "audio": 90, "transcription": 90, "metadata": 90}), spec(), CHANNEL_CONFIG
    )
    assert len(choice.chosen) == 100
    assert choice.remarks == []
    assert max(abs(share - 0.25) for share in choice.mix.values()) <= LEEWAY


def test_fewer_labels_than_records_are_said() -> None:
    choice = choose(labelled(dict.fromkeys(CHANNEL_CONFIG.names, 20)), spec(), CHANNEL_CONFIG)
    assert len(choice.chosen) == 80
    assert choice.remarks == ["80 records instead of 100."]


def test_a_channel_that_nobody_asked_for_comes_last() -> None:
    asked = spec(channels=["visual", "audio"])
    choice = choose(labelled({"visual": 60, "audio": 60, "metadata": 300}), asked, CHANNEL_CONFIG)
    assert {one.leads for one in choice.chosen} == {"visual", "audio"}


def test_near_duplicates_beyond_the_limit_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    found = labelled(dict.fromkeys(CHANNEL_CONFIG.names, 40))
    monkeypatch.setattr(planner, "near_duplicate_clusters", lambda _: [list(range(10, 60))])
    none, some = (choose(found, spec(near_duplicates=share), CHANNEL_CONFIG) for share in (0, 0.05))
    copies = {one.planned.number for one in found[11:60]}
    assert not [one for one in none.chosen if one.planned.number in copies]
    assert sum(one.planned.number in copies for one in some.chosen) == some.near_duplicates <= 5
    assert len(none.chosen) == len(some.chosen) == 100


def test_every_line_is_a_record_that_validation_takes() -> None:
    choice = choose(labelled(dict.fromkeys(CHANNEL_CONFIG.names, 30)), spec(), CHANNEL_CONFIG)
    lines = dataset_bytes(choice.chosen, CHANNEL_CONFIG).splitlines()
    checked = [check_line(line, at, CHANNEL_CONFIG.names) for at, line in enumerate(lines, 1)]
    assert all(entry.record is not None and not entry.findings for entry in checked)
    assert json.loads(lines[0])["messages"][1]["role"] == "assistant"


def test_a_dataset_is_named_after_its_content() -> None:
    assert dataset_key("films", b"a") == dataset_key("films", b"a") != dataset_key("films", b"b")
    assert dataset_key("films", b"a").startswith("datasets/films/generated-")
