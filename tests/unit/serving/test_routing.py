"""Query messages, and how one query is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from distillery.errors import BadInput, Permanent, Transient
from distillery.serving.messages import parse_message
from distillery.serving.routing import Target, route
from distillery.task.channels import default_channel_config

CHANNEL_CONFIG = default_channel_config()
ACTIVE, BASELINE = Target("active", "one line", "run-1"), Target("baseline", "guidelines")
GOOD = json.dumps({**CHANNEL_CONFIG.fallback, "reasoning": "because"})


@dataclass
class Reply:
    text: str
    input_tokens: int = 10
    output_tokens: int = 5
    latency_ms: float = 100.0
    stop_reason: str = "end_turn"


class Models:
    """Answers from a script per model; an exception in it is raised."""

    def __init__(self, **scripts: list[str | Reply | Exception]) -> None:
        self.scripts = scripts
        self.asked: list[str] = []
        self.corrected: list[str | None] = []

    def __call__(self, target: Target, _query: str, unreadable: str | None) -> Reply:
        self.asked.append(target.model_id)
        self.corrected.append(unreadable)
        answer = self.scripts[target.model_id].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(answer)


def test_active_model_answers() -> None:
    routed = route("rain", [ACTIVE, BASELINE], Models(active=[GOOD]), CHANNEL_CONFIG)
    assert (routed.source, routed.model_id, routed.run_id) == ("model", "active", "run-1")
    assert routed.weights == CHANNEL_CONFIG.fallback


def test_unreadable_answer_is_requested_once_more_and_both_calls_count() -> None:
    routed = route("rain", [ACTIVE], Models(active=["no idea", GOOD]), CHANNEL_CONFIG)
    assert (routed.source, routed.input_tokens, routed.output_tokens) == ("model", 20, 10)


def test_second_call_differs_from_the_first_by_the_answer_to_correct() -> None:
    models = Models(active=["no idea", GOOD])
    route("rain", [ACTIVE], models, CHANNEL_CONFIG)
    assert models.corrected == [None, "no idea"]


@pytest.mark.parametrize("stop_reason", ["content_filtered", "guardrail_intervened", "refusal"])
def test_blocked_answer_is_not_requested_again_and_the_result_says_so(stop_reason: str) -> None:
    models = Models(active=[Reply("This text was blocked.", stop_reason=stop_reason)], baseline=[GOOD])
    routed = route("rain", [ACTIVE, BASELINE], models, CHANNEL_CONFIG)
    assert models.asked == ["active"]
    assert routed.source == "fallback"
    assert stop_reason in routed.reasoning


def test_answer_that_is_cut_off_is_said_to_be_cut_off() -> None:
    cut = Reply('{"visual": 0.1, "aud', stop_reason="max_tokens")
    routed = route("rain", [ACTIVE], Models(active=[cut, cut]), CHANNEL_CONFIG)
    assert "cut off" in routed.unusable[0]


def test_object_that_the_query_holds_is_no_answer() -> None:
    typed = json.dumps({**CHANNEL_CONFIG.fallback, "reasoning": "typed"})
    models = Models(active=[f"You typed {typed}.", GOOD])
    assert route(f"answer {typed}", [ACTIVE], models, CHANNEL_CONFIG).reasoning == "because"


def test_two_unreadable_answers_give_the_fallback_weights() -> None:
    models = Models(active=["no idea", "still none"], baseline=[GOOD])
    routed = route("rain", [ACTIVE, BASELINE], models, CHANNEL_CONFIG)
    assert (routed.source, routed.weights) == ("fallback", CHANNEL_CONFIG.fallback)
    assert models.asked == ["active", "active"]
    assert len(routed.unusable) == 1
    assert (routed.input_tokens, routed.output_tokens, routed.latency_ms) == (20, 10, 100.0)


def test_active_model_that_is_gone_is_skipped_for_the_baseline() -> None:
    routed = route(
        "rain", [ACTIVE, BASELINE], Models(active=[Permanent("gone")], baseline=[GOOD]), CHANNEL_CONFIG
    )
    assert (routed.source, routed.model_id, routed.unusable) == ("model", "baseline", ("gone",))


def test_no_usable_model_gives_the_fallback_weights() -> None:
    models = Models(active=[Permanent("gone")], baseline=[Permanent("denied")])
    routed = route("rain", [ACTIVE, BASELINE], models, CHANNEL_CONFIG)
    assert (routed.source, routed.unusable) == ("fallback", ("gone", "denied"))


def test_throttled_query_raises_transient() -> None:
    with pytest.raises(Transient):
        route("rain", [ACTIVE, BASELINE], Models(active=[Transient("slow down")]), CHANNEL_CONFIG)


def test_single_query_without_an_id_gets_the_message_id() -> None:
    (query,) = parse_message('{"query": "  rain on a roof "}', "m-1").queries
    assert (query.query_id, query.query) == ("m-1", "rain on a roof")


def test_queries_of_a_list_without_ids_are_numbered() -> None:
    queries = parse_message(
        '{"queries": [{"query": "rain"}, {"query": "snow", "query_id": "q"}]}', "m-1"
    ).queries
    assert [query.query_id for query in queries] == ["m-1.1", "q"]
    queries = parse_message('{"queries": [{"query": "rain"}, {"query": "snow"}]}', "m-1").queries
    assert [query.query_id for query in queries] == ["m-1.1", "m-1.2"]


def test_other_fields_of_a_message_are_ignored() -> None:
    assert len(parse_message('{"query": "rain", "tenant": "blue"}', "m-1").queries) == 1


@pytest.mark.parametrize("size", [1, 100])
def test_list_of_queries_is_read(size: int) -> None:
    body = json.dumps({"queries": [{"query_id": f"q{i}", "query": "rain"} for i in range(size)]})
    assert len(parse_message(body, "m-1").queries) == size


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        "[]",
        "5",
        "null",
        "true",
        "{}",
        '{"query": ""}',
        '{"query": "   "}',
        '{"query": 5}',
        json.dumps({"query": "x" * 1_001}),
        '{"query": "rain", "query_id": "no spaces"}',
        json.dumps({"query": "rain", "query_id": "x" * 129}),
        '{"queries": []}',
        json.dumps({"queries": [{"query_id": f"q{i}", "query": "rain"} for i in range(101)]}),
        '{"colour": "blue"}',
        "[" * 100_000,
    ],
)
def test_message_that_can_never_be_answered_is_bad_input_with_a_fix(body: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_message(body, "m-1")
    assert caught.value.fix
