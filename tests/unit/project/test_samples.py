"""The committed sample data: that the script makes exactly it, and that it is fit to be distilled."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from benchmarks.bench_linear import TEACHER_LABELS
from distillery.dataset.split import query_key
from distillery.generation.assembly import LEEWAY
from distillery.generation.planner import plan
from distillery.generation.spec import parse_spec
from distillery.task.answers import parse_routing
from distillery.task.channels import default_channel_config
from distillery.task.prompts import student_prompt
from distillery.task.weights import dominant, weight_score
from local.models.baseline import Baseline
from samples.make_samples import QUERIES, SPEC, write_samples

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "samples"
RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")
CHANNEL_CONFIG = default_channel_config()
RECORDS = parse_spec(SPEC.read_bytes()).records


def _records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / "dataset.jsonl").read_text("utf-8").splitlines()]


def _query(record: dict[str, Any]) -> str:
    return str(record["messages"][0]["content"][0]["text"])


def _label(record: dict[str, Any]) -> str:
    return str(record["messages"][1]["content"][0]["text"])


def _to_route() -> list[dict[str, str]]:
    return [json.loads(line) for line in (SAMPLES / "queries.jsonl").read_text("utf-8").splitlines()]


def test_the_script_reproduces_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    for made in write_samples(tmp_path):
        assert made.read_bytes() == (SAMPLES / made.name).read_bytes(), f"{made.name} is stale"


def test_every_record_has_the_form_bedrock_asks_for() -> None:
    records = _records()
    assert len(records) == RECORDS >= 1000
    for record in records:
        assert record["schemaVersion"] == "bedrock-conversation-2024"
        assert record["system"] == [{"text": student_prompt(CHANNEL_CONFIG)}]
        assert [message["role"] for message in record["messages"]] == ["user", "assistant"]
        routing = parse_routing(_label(record), CHANNEL_CONFIG.names)
        assert routing.repairs == ()
        assert routing.reasoning


def test_no_file_holds_a_reserved_string_or_a_line_that_is_too_long() -> None:
    for name in ("dataset.jsonl", "queries.jsonl"):
        content = (SAMPLES / name).read_text("utf-8")
        assert not [word for word in RESERVED if word.lower() in content.lower()]
        assert max(len(line.encode()) for line in content.splitlines()) < 16_000


def test_all_queries_differ_and_none_to_route_was_trained_on() -> None:
    trained = {query_key(_query(record)) for record in _records()}
    asked = _to_route()
    routed = {query_key(entry["query"]) for entry in asked}
    assert len(trained) == RECORDS
    assert len(routed) == len({entry["query_id"] for entry in asked}) == QUERIES == 60
    assert not trained & routed


def test_queries_are_varied_and_no_channel_is_rare() -> None:
    queries = [_query(record) for record in _records()]
    lengths = [len(query.split()) for query in queries]
    assert min(lengths) == 1
    assert max(lengths) > 15
    assert sum(query.endswith("?") for query in queries) >= 10
    assert sum('"' in query for query in queries) >= 20
    leading = Counter(
        dominant(parse_routing(_label(record), CHANNEL_CONFIG.names).weights) for record in _records()
    )
    assert set(leading) == set(CHANNEL_CONFIG.names)
    assert min(leading.values()) > RECORDS * 0.15


def test_the_baseline_is_good_but_beatable_on_the_samples() -> None:
    baseline = Baseline(CHANNEL_CONFIG)
    grades = []
    for record in _records():
        wanted = parse_routing(_label(record), CHANNEL_CONFIG.names).weights
        given = parse_routing(baseline.answer("", _query(record)).text, CHANNEL_CONFIG.names).weights
        grades.append(weight_score(wanted, given, CHANNEL_CONFIG.names))
    assert 4.0 <= mean(grades) <= 4.4


def test_the_leading_channels_are_those_that_the_spec_asks_for() -> None:
    leading = Counter(
        dominant(parse_routing(_label(record), CHANNEL_CONFIG.names).weights) for record in _records()
    )
    for channel, share in parse_spec(SPEC.read_bytes()).mix.items():
        assert abs(leading[channel] / RECORDS - share) <= LEEWAY, channel


def test_another_seed_makes_other_queries() -> None:
    spec = parse_spec(SPEC.read_bytes())
    first, second = (
        [one.query for one in plan(spec.model_copy(update={"seed": at}), CHANNEL_CONFIG)] for at in (1, 2)
    )
    assert first != second
    assert len({query_key(query) for query in first}) == spec.planned


@pytest.mark.parametrize("labels", [TEACHER_LABELS] if TEACHER_LABELS.exists() else [])
def test_no_query_or_wording_comes_from_the_reference_labels(labels: Path) -> None:
    def runs_of_four(texts: list[str]) -> set[tuple[str, ...]]:
        split = [re.findall(r"\w+", text.casefold()) for text in texts]
        return {tuple(words[at : at + 4]) for words in split for at in range(len(words) - 3)}

    theirs = [_query(json.loads(line)) for line in labels.read_text("utf-8").splitlines()]
    ours = [_query(record) for record in _records()] + [entry["query"] for entry in _to_route()]
    assert not {query_key(query) for query in ours} & {query_key(query) for query in theirs}
    examples = [example for channel in CHANNEL_CONFIG.channels for example in channel.examples]
    assert not runs_of_four(ours + examples) & runs_of_four(theirs)
