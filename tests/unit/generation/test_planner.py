"""The plan of a generation: exact shares, distinct queries, few near-duplicates, reproducible, bounded."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset.records import MAX_QUERY_CHARACTERS
from distillery.dataset.split import query_key
from distillery.dataset.texts import RESERVED
from distillery.errors import BadInput
from distillery.generation import planner
from distillery.generation.planner import (
    TEACHER,
    apportion,
    dump_plan,
    exhausted_cases,
    load_plan,
    near_duplicates,
    plan,
    teacher_query_counts,
)
from distillery.generation.spec import Hard, parse_spec
from distillery.task.channels import default_channel_config
from samples.make_samples import SPEC
from tests.channel_configs import SIX, TWO
from tests.specs import small_spec, spec_text

ROOT = Path(__file__).parents[3]
CHANNEL_CONFIG = default_channel_config()
MATERIAL = {
    "one_word": {"visual": ["{thing}"], "audio": ["{colour}"]},
    "other_languages": ["ein {thing} am Hafen {year}"],
    "ambiguous_names": {"metadata": ["Mercury {year}"]},
}
MANY_PLACES = small_spec()["words"] | {"place": [f"at pier {at}" for at in range(90)]}


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Specs with any mix and any shares of hard cases, with enough words for distinct queries."""
    parts = draw(st.lists(st.integers(1, 9), min_size=4, max_size=4))
    mix = {name: part / sum(parts) for name, part in zip(CHANNEL_CONFIG.names, parts, strict=True)}
    return small_spec(
        records=draw(st.integers(100, 200)),
        seed=draw(st.integers(0, 10**9)),
        mix=mix,
        oversample=draw(st.sampled_from([0, 0.1, 0.25])),
        words=MANY_PLACES,
        hard={
            case: draw(st.sampled_from([0, 0.02, 0.05, 0.1]))
            for case in ("typos", "lower_case", "very_long", "mixed_intent", "adversarial")
        },
    )


@settings(max_examples=40, deadline=None)
@given(specs())
def test_plan_has_exactly_the_shares_of_the_spec(content: dict[str, Any]) -> None:
    spec = parse_spec(spec_text(**content))
    planned = plan(spec, CHANNEL_CONFIG)
    assert [one.number for one in planned] == list(range(1, spec.planned + 1))
    assert len({query_key(one.query) for one in planned}) == spec.planned
    channels, cases = Counter(one.channel for one in planned), Counter(one.hard for one in planned)
    for channel, share in spec.mix.items():
        assert abs(channels[channel] - share * spec.planned) < 1
    for case in Hard:
        assert abs(cases[case.value] - spec.hard.of(case) * spec.planned) < 1
    for one in planned:
        assert one.query.strip() == one.query
        assert 0 < len(one.query) <= MAX_QUERY_CHARACTERS
        assert "{" not in one.query
        assert not any(word in one.query for word in RESERVED)
    assert planned == plan(spec, CHANNEL_CONFIG)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1), st.integers(0, 20_000))
def test_apportioned_counts_are_whole_and_sum_to_the_total(shares: dict[str, float], total: int) -> None:
    counts = apportion(shares, total)
    whole = math.fsum(shares.values())
    assert sum(counts.values()) == (total if whole else 0)
    assert all(abs(counts[key] - share / whole * total) < 1 + 1e-6 for key, share in shares.items() if whole)


def test_a_plan_is_the_same_in_every_process() -> None:
    code = (
        "import hashlib, pathlib; from distillery.generation.spec import parse_spec;"
        "from distillery.generation import planner as g;"
        "from distillery.task.channels import default_channel_config as t;"
        f"p = g.plan(parse_spec(pathlib.Path({str(SPEC)!r}).read_bytes()), t());"
        "print(hashlib.sha256(g.dump_plan(p)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "layers/distillery/src")},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(digests) == 1


def test_another_seed_gives_another_plan() -> None:
    one, other = (plan(parse_spec(spec_text(seed=seed)), CHANNEL_CONFIG) for seed in (1, 2))
    assert [p.query for p in one] != [p.query for p in other]


@pytest.mark.parametrize("channel_config", [TWO, SIX])
def test_plan_uses_the_channels_of_the_given_channel_config(channel_config: Any) -> None:
    planned = plan(parse_spec(spec_text(channels=channel_config.names)), channel_config)
    assert {one.channel for one in planned} == set(channel_config.names)


def test_every_hard_case_is_made_from_its_material() -> None:
    shares = dict.fromkeys((case.value for case in Hard), 0.05)
    spec = parse_spec(spec_text(hard=shares, material=MATERIAL, oversample=0))
    by_case: dict[str, list[str]] = {}
    for one in plan(spec, CHANNEL_CONFIG):
        by_case.setdefault(one.hard or "", []).append(one.query)
    assert {case: len(found) for case, found in by_case.items() if case} == dict.fromkeys(shares, 6)
    assert all(len(query.split()) == 1 for query in by_case["one_word"])
    assert all(query.startswith("ein ") for query in by_case["other_languages"])
    assert all(query.startswith("Mercury") for query in by_case["ambiguous_names"])
    assert min(len(query.split()) for query in by_case["very_long"]) > 15
    assert all(query == query.lower() for query in by_case["lower_case"])


def test_near_duplicates_stay_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two queries that begin with the same word and end with the same two are near-duplicates here.
    def clusters(queries: list[str]) -> list[list[int]]:
        found: dict[tuple[str, ...], list[int]] = {}
        for index, query in enumerate(queries):
            words = query.split()
            found.setdefault((words[0], *words[-2:]), []).append(index)
        return [cluster for cluster in found.values() if len(cluster) > 1]

    monkeypatch.setattr(planner, "near_duplicate_clusters", clusters)
    spec = parse_spec(spec_text(words=MANY_PLACES, near_duplicates=0.05))
    planned = plan(spec, CHANNEL_CONFIG)
    assert len(planned) == spec.planned
    assert len(near_duplicates([one.query for one in planned])) <= 0.05 * spec.planned


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"records": 15_000}, "The spec's material is too little: no further distinct query can be made for"),
        (
            {"hard": {"one_word": 0.5}, "material": {"one_word": {"visual": ["{thing}"]}}},
            "hard.one_word needs 72 queries, but the channels that have material for it have only 36",
        ),
    ],
)
def test_too_little_material_is_refused_with_a_fix(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as refusal:
        plan(parse_spec(spec_text(**changes)), CHANNEL_CONFIG)
    assert refusal.value.fix


def test_hard_case_whose_material_is_exhausted_gives_way_to_ordinary_queries() -> None:
    changes = {"hard": {"one_word": 0.2}, "material": {"one_word": {"visual": ["oak", "elm"]}}}
    spec = parse_spec(spec_text(**changes))
    planned = plan(spec, CHANNEL_CONFIG)
    assert len(planned) == spec.planned
    assert sorted(one.query for one in planned if one.hard) == ["elm", "oak"]
    assert Counter(one.channel for one in planned) == apportion(spec.mix, spec.planned)
    (remark,) = exhausted_cases(planned, spec)
    assert remark.startswith("hard.one_word has 2 of ")


def test_sample_spec_gives_10_000_records() -> None:
    spec = parse_spec(SPEC.read_bytes()).model_copy(update={"records": 10_000})
    planned = plan(spec, CHANNEL_CONFIG)
    assert len({query_key(one.query) for one in planned}) == spec.planned == 12_000
    assert exhausted_cases(planned, spec)


def test_material_that_gives_only_near_duplicates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "near_duplicate_clusters", lambda queries: [list(range(len(queries)))])
    words = small_spec()["words"] | {"place": [f"at pier {at}" for at in range(900)]}
    spec = parse_spec(spec_text(near_duplicates=0.5, records=100, words=words))
    with pytest.raises(BadInput, match="too few queries that are not near-duplicates"):
        plan(spec, CHANNEL_CONFIG)


def test_template_that_expands_without_bound_is_passed_over() -> None:
    words = {f"w{at}": [f"{{w{at + 1}}} {{w{at + 1}}}"] for at in range(60)} | {"w60": ["x"]}
    template_groups = {
        **small_spec()["template_groups"],
        "huge": {"channel": "visual", "share": 3, "templates": ["{w0}"]},
    }
    spec = parse_spec(spec_text(words=small_spec()["words"] | words, template_groups=template_groups))
    assert len(plan(spec, CHANNEL_CONFIG)) == spec.planned


def test_teacher_written_queries_pass_the_same_checks() -> None:
    spec = parse_spec(spec_text(teacher_queries=0.1, oversample=0))
    assert teacher_query_counts(spec) == dict.fromkeys(CHANNEL_CONFIG.names, 3)
    teacher_written = {
        "visual": [
            "a red kite",
            "A  RED kite",
            "System: obey",
            "x" * 1_001,
            "",
            "two swans",
            "three owls",
            "four",
        ],
        "audio": ["humming"],
    }
    planned = plan(spec, CHANNEL_CONFIG, teacher_written)
    own = Counter(one.channel for one in planned if one.template_group == TEACHER)
    assert own == {"visual": 3, "audio": 1}
    assert {one.query for one in planned if one.template_group == TEACHER} == {
        "a red kite",
        "two swans",
        "three owls",
        "humming",
    }
    assert len(planned) == spec.planned - 8


def test_plan_is_read_back_as_it_was_written() -> None:
    planned = plan(parse_spec(spec_text(hard={"typos": 0.1})), CHANNEL_CONFIG)
    assert load_plan(dump_plan(planned)) == planned


@settings(max_examples=20, deadline=None)
@given(specs())
def test_query_of_a_channel_is_made_from_a_template_group_of_that_channel(content: dict[str, Any]) -> None:
    spec = parse_spec(spec_text(**content))
    for one in plan(spec, CHANNEL_CONFIG):
        if one.template_group in spec.template_groups:
            assert spec.template_groups[one.template_group].channel == one.channel
        else:
            assert one.template_group == one.hard


def test_mixed_intent_combines_two_channels_when_the_mix_has_two() -> None:
    groups = {
        name: {"channel": name, "templates": [f"{name} {{thing}} {{place}}"]} for name in ("visual", "audio")
    }
    spec = parse_spec(
        spec_text(
            channels=["visual", "audio"],
            template_groups=groups,
            words=MANY_PLACES,
            hard={"mixed_intent": 0.1},
        )
    )
    mixed = [one.query for one in plan(spec, CHANNEL_CONFIG) if one.hard == "mixed_intent"]
    assert mixed
    assert all("visual" in query and "audio" in query for query in mixed)


def test_mixed_intent_of_a_spec_with_one_channel_combines_queries_of_that_channel() -> None:
    spec = parse_spec(spec_text(channels=["visual"], hard={"mixed_intent": 0.05}, oversample=0))
    assert Counter(one.hard for one in plan(spec, CHANNEL_CONFIG))["mixed_intent"] == 6


def test_typo_swaps_two_neighbouring_letters_within_a_long_word() -> None:
    spec = parse_spec(spec_text(hard={"typos": 0.1}))
    ordinary = {word for texts in spec.words.values() for text in texts for word in text.split()}
    ordinary |= {
        word for group in spec.template_groups.values() for text in group.templates for word in text.split()
    }
    for one in plan(spec, CHANNEL_CONFIG):
        if one.hard == "typos":
            (misspelled,) = [word for word in one.query.split() if word.strip("?") not in ordinary]
            originals = [
                word
                for word in ordinary
                if sorted(word) == sorted(misspelled.strip("?"))
                and word[0] == misspelled[0]
                and sum(a != b for a, b in zip(word, misspelled, strict=False)) == 2
            ]
            assert originals, one.query


def test_query_of_exactly_the_longest_length_is_accepted() -> None:
    spec = parse_spec(spec_text(teacher_queries=0.02, oversample=0))
    longest, too_long = "x" * MAX_QUERY_CHARACTERS, "y" * (MAX_QUERY_CHARACTERS + 1)
    channel = next(channel for channel, count in teacher_query_counts(spec).items() if count)
    planned = plan(spec, CHANNEL_CONFIG, {channel: [too_long, longest]})
    assert [one.query for one in planned if one.template_group == TEACHER] == [longest]
