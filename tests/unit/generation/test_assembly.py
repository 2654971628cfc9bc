"""Choosing the records of a dataset: the mix is kept within two points or the difference is reported."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset.records import check_line
from distillery.generation import planner
from distillery.generation.assembly import LEEWAY, Labelled, choose, dataset_bytes, dataset_key
from distillery.generation.planner import Planned
from distillery.generation.spec import Spec, parse_spec
from distillery.task.channels import default_channel_config
from tests.specs import spec_text

CHANNEL_CONFIG = default_channel_config()


def labelled(counts: dict[str, int]) -> list[Labelled]:
    """This many queries led by each channel, in a fixed mixed order."""
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
def test_mix_is_kept_within_two_points_or_the_difference_is_reported(counts: list[int]) -> None:
    found = labelled(dict(zip(CHANNEL_CONFIG.names, counts, strict=True)))
    choice = choose(found, spec(), CHANNEL_CONFIG)
    assert len(choice.chosen) == min(100, len(found))
    leading = Counter(one.leads for one in choice.chosen)
    off = [
        f
        for f in CHANNEL_CONFIG.names
        if len(choice.chosen) and abs(leading[f] / len(choice.chosen) - 0.25) > LEEWAY + 1e-9
    ]
    remarks = " ".join(choice.remarks)
    assert ("do not allow the mix" in remarks) == bool(off)
    assert all(channel in remarks for channel in off)
    if all(count >= 25 for count in counts):
        assert not choice.remarks
    numbers = [one.planned.number for one in choice.chosen]
    assert numbers == sorted(set(numbers))


def test_other_channels_fill_up_within_the_leeway_first() -> None:
    choice = choose(
        labelled({"visual": 24, "audio": 90, "transcription": 90, "metadata": 90}), spec(), CHANNEL_CONFIG
    )
    assert len(choice.chosen) == 100
    assert choice.remarks == []
    assert max(abs(share - 0.25) for share in choice.mix.values()) <= LEEWAY


def test_fewer_labels_than_records_are_reported() -> None:
    choice = choose(labelled(dict.fromkeys(CHANNEL_CONFIG.names, 20)), spec(), CHANNEL_CONFIG)
    assert len(choice.chosen) == 80
    assert choice.remarks == ["The dataset has 80 records instead of 100."]


def test_channel_outside_the_mix_is_used_last() -> None:
    asked = spec(channels=["visual", "audio"])
    choice = choose(labelled({"visual": 60, "audio": 60, "metadata": 300}), asked, CHANNEL_CONFIG)
    assert {one.leads for one in choice.chosen} == {"visual", "audio"}


def test_near_duplicates_beyond_the_limit_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    found = labelled(dict.fromkeys(CHANNEL_CONFIG.names, 40))
    monkeypatch.setattr(planner, "near_duplicate_clusters", lambda _: [list(range(10, 60))])
    none, some = (choose(found, spec(near_duplicates=share), CHANNEL_CONFIG) for share in (0, 0.05))
    duplicates = {one.planned.number for one in found[11:60]}
    assert not [one for one in none.chosen if one.planned.number in duplicates]
    assert sum(one.planned.number in duplicates for one in some.chosen) == some.near_duplicates <= 5
    assert len(none.chosen) == len(some.chosen) == 100


def test_every_line_is_accepted_by_validation_without_findings() -> None:
    choice = choose(labelled(dict.fromkeys(CHANNEL_CONFIG.names, 30)), spec(), CHANNEL_CONFIG)
    lines = dataset_bytes(choice.chosen, CHANNEL_CONFIG).splitlines()
    checked = [check_line(line, at, CHANNEL_CONFIG.names) for at, line in enumerate(lines, 1)]
    assert all(entry.record is not None and not entry.findings for entry in checked)
    assert json.loads(lines[0])["messages"][1]["role"] == "assistant"


def test_dataset_key_depends_on_the_content() -> None:
    assert dataset_key("films", b"a") == dataset_key("films", b"a") != dataset_key("films", b"b")
    assert dataset_key("films", b"a").startswith("datasets/films/generated-")


def test_near_duplicates_are_cut_again_when_fewer_records_are_left_than_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 59 of 100 labels are near-duplicates and 5 are allowed. That leaves 46 records, which allow only 2.
    found = labelled({"visual": 100})
    monkeypatch.setattr(planner, "near_duplicate_clusters", lambda _: [list(range(60))])
    choice = choose(found, spec(near_duplicates=0.05), CHANNEL_CONFIG)
    duplicates = {one.planned.number for one in found[1:60]}
    assert sum(one.planned.number in duplicates for one in choice.chosen) == choice.near_duplicates == 2
    assert len(choice.chosen) == 43


@pytest.mark.parametrize(("metadata", "reported"), [(23, False), (22, True)])
def test_mix_that_is_off_by_exactly_the_leeway_is_not_reported(metadata: int, reported: bool) -> None:
    counts = {"visual": 26, "audio": 26, "transcription": 25 + 23 - metadata, "metadata": metadata}
    choice = choose(labelled(counts), spec(), CHANNEL_CONFIG)
    assert len(choice.chosen) == 100
    assert bool(choice.remarks) is reported
