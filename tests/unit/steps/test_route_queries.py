"""A batch of query messages: billed calls, stored results, retried messages and dead letters."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.parameters import SSMProvider

from distillery.aws import clients
from distillery.aws.clients import AccessDenied, Missing
from distillery.aws.idempotent_calls import CallInProgress, IdempotentCalls
from distillery.aws.queues import Queue
from distillery.aws.result_store import Results
from distillery.errors import Permanent, Throttled, Transient
from distillery.settings import RouteSettings
from distillery.steps import route_queries
from distillery.steps.route_queries import Router
from distillery.task.prompts import student_prompt, teacher_prompt
from tests.unit.fakes import GOOD_ANSWER, FakeContext, FakeConverse
from tests.unit.steps.query_batches import answer, make_active, records, results, router
from tests.unit.steps.run_helpers import CHANNEL_CONFIG, dead_letter_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.fakes import CloudResources


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Metrics that no other test has added to."""
    fresh = Metrics()
    fresh.clear_metrics()
    yield fresh
    fresh.clear_metrics()


def values(metrics: Metrics, name: str) -> list[float]:
    """The values of a metric that were added in this test."""
    return list(metrics.metric_set[name]["Value"]) if name in metrics.metric_set else []


def test_result_has_every_attribute_of_the_contract(cloud: CloudResources) -> None:
    answer(router(cloud, FakeConverse()), records(cloud, {"query_id": "q-1", "query": "rain"}))
    (result,) = results().values()
    assert set(result) >= {
        "query_id", "query", "weights", "dominant", "reasoning", "source", "model_id", "run_id",
        "latency_ms", "input_tokens", "output_tokens", "routed_at", "expires_at",
    }  # fmt: skip
    assert result["weights"] == CHANNEL_CONFIG.fallback
    assert result["source"] == "model"
    days = (result["expires_at"] - datetime.fromisoformat(result["routed_at"]).timestamp()) / 86_400
    assert days == pytest.approx(30, abs=0.001)


def test_equal_queries_in_a_batch_cost_one_call(cloud: CloudResources) -> None:
    converse = FakeConverse()
    batch = records(cloud, *({"query_id": f"q-{i}", "query": "rain"} for i in range(3)))
    assert answer(router(cloud, converse), batch) == []
    assert converse.asked == {"rain": 1}
    assert Counter(result["source"] for result in results().values()) == {"model": 1, "cache": 2}
    assert sum(result["input_tokens"] for result in results().values()) == 10


def test_batch_delivered_again_costs_nothing_and_changes_nothing(cloud: CloudResources) -> None:
    converse = FakeConverse()
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    answer(router(cloud, converse), batch)
    before = results()
    assert answer(router(cloud, converse), batch) == []
    assert results() == before
    assert converse.asked == {"rain": 1}


def test_answer_of_a_function_that_stopped_before_storing_is_not_billed_again(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse = FakeConverse()
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    with monkeypatch.context() as patched:

        def fail(_: Results, __: Any) -> bool:
            raise MemoryError

        patched.setattr(Results, "store", fail)
        with pytest.raises(MemoryError):
            answer(router(cloud, converse), batch)
    assert results() == {}
    assert answer(router(cloud, converse), batch) == []
    assert converse.asked == {"rain": 1}
    assert {name: (r["source"], r["input_tokens"]) for name, r in results().items()} == {"q-1": ("model", 10)}


def test_equal_query_of_a_later_batch_is_answered_from_the_cache(cloud: CloudResources) -> None:
    converse = FakeConverse()
    answer(router(cloud, converse), records(cloud, {"query_id": "q-1", "query": "rain"}))
    answer(router(cloud, converse), records(cloud, {"query_id": "q-2", "query": "rain"}))
    assert converse.asked == {"rain": 1}
    assert (results()["q-2"]["source"], results()["q-2"]["input_tokens"]) == ("cache", 0)


def test_throttled_query_is_retried_alone_and_the_others_are_answered(cloud: CloudResources) -> None:
    converse = FakeConverse(snow=Throttled("slow down"))
    batch = records(cloud, {"query_id": "q-1", "query": "rain"}, {"query_id": "q-2", "query": "snow"})
    back = answer(router(cloud, converse), batch)
    assert [json.loads(body)["query_id"] for body in back] == ["q-2"]
    assert list(results()) == ["q-1"]


def test_message_with_many_queries_keeps_its_answers_when_one_query_is_throttled(
    cloud: CloudResources,
) -> None:
    converse = FakeConverse(snow=Throttled("slow down"))
    body = {"queries": [{"query_id": "a", "query": "rain"}, {"query_id": "b", "query": "snow"}]}
    batch = records(cloud, body)
    assert len(answer(router(cloud, converse), batch)) == 1
    assert list(results()) == ["a"]
    converse.scripted = {}
    assert answer(router(cloud, converse), batch) == []
    assert set(results()) == {"a", "b"}
    assert converse.asked["rain"] == 1


def test_message_that_keeps_failing_goes_to_the_dead_letter_queue_with_the_reason(
    cloud: CloudResources, metrics: Metrics
) -> None:
    batch = records(cloud, {"query_id": "q-1", "query": "snow"})
    failing = router(cloud, FakeConverse(snow=Transient("server error")), metrics)
    for _ in range(14):
        assert len(answer(failing, batch)) == 1
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert answer(failing, batch) == []
    assert values(metrics, "DeadLetters") == [1]
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert json.loads(message["Body"]) == {"query_id": "q-1", "query": "snow"}
    reason = message["MessageAttributes"]["reason"]["StringValue"]
    assert reason == "Given up after 15 failures. server error"


def test_query_of_a_list_that_keeps_failing_is_given_up_with_the_refused_ones_and_nothing_else(
    cloud: CloudResources,
) -> None:
    queries = [
        {"query_id": "a", "query": "rain"},
        {"query_id": "b", "query": "snow"},
        {"query_id": "c", "query": ""},
    ]
    batch = records(cloud, {"queries": queries})
    failing = router(cloud, FakeConverse(snow=Transient("server error")))
    for _ in range(14):
        assert len(answer(failing, batch)) == 1
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert answer(failing, batch) == []
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert json.loads(message["Body"]) == {"queries": queries[1:]}
    assert message["MessageAttributes"]["reason"]["StringValue"] == (
        "2 queries of 3 cannot be answered: query 2 (query_id 'b'): Given up after 15 failures. "
        "server error; query 3 (query_id 'c'): query must have at least 1 character."
    )
    assert list(results()) == ["a"]


@pytest.mark.parametrize("body", ["not json", "{}", json.dumps({"query": "x" * 1_001})])
def test_message_that_can_never_be_answered_goes_to_the_dead_letter_queue_unchanged(
    cloud: CloudResources, body: str
) -> None:
    batch = records(cloud, body, {"query_id": "q-1", "query": "rain"})
    assert answer(router(cloud, FakeConverse()), batch) == []
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert message["Body"] == body
    assert message["MessageAttributes"]["reason"]["StringValue"]
    assert list(results()) == ["q-1"]


def test_promoted_model_answers_with_the_student_prompt(cloud: CloudResources) -> None:
    make_active("deployment")
    converse = FakeConverse()
    answer(router(cloud, converse), records(cloud, {"query_id": "q-1", "query": "rain"}))
    assert converse.systems == {"deployment": {student_prompt(CHANNEL_CONFIG)}}
    assert results()["q-1"]["run_id"] == "run-1"


def test_baseline_answers_for_a_deployment_that_is_gone_with_a_metric_and_a_log_line(
    cloud: CloudResources, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_active("deployment")
    reasons: list[str] = []
    monkeypatch.setattr(route_queries.logger, "warning", lambda _, reason, **__: reasons.append(reason))
    converse = FakeConverse(deployment=Missing("the deployment is gone"))
    answer(router(cloud, converse, metrics), records(cloud, {"query_id": "q-1", "query": "rain"}))
    assert "ActiveModelUnusable" in metrics.metric_set
    assert reasons == ["the deployment is gone"]
    assert results()["q-1"]["model_id"] == cloud.environment["BASELINE_MODEL"]


@pytest.mark.parametrize("content", [None, "nonsense", '{"prompt": "poem"}'])
def test_baseline_answers_when_the_active_model_parameter_is_missing_or_unreadable(
    cloud: CloudResources, metrics: Metrics, content: str | None
) -> None:
    ssm = boto3.client("ssm")
    if content is None:
        ssm.delete_parameter(Name="/stack/active-model")
    else:
        ssm.put_parameter(Name="/stack/active-model", Value=content, Overwrite=True)
    converse = FakeConverse()
    answer(router(cloud, converse, metrics), records(cloud, {"query_id": "q-1", "query": "rain"}))
    baseline = cloud.environment["BASELINE_MODEL"]
    assert results()["q-1"]["model_id"] == baseline
    assert converse.systems == {baseline: {teacher_prompt(CHANNEL_CONFIG)}}
    assert values(metrics, "ActiveModelUnusable") == [1]


def test_fallback_weights_are_not_stored_for_the_next_query(
    cloud: CloudResources,
) -> None:
    converse = FakeConverse(us=Permanent("this text is refused"))
    answer(router(cloud, converse), records(cloud, {"query_id": "q-1", "query": "rain"}))
    assert (results()["q-1"]["source"], results()["q-1"]["weights"]) == ("fallback", CHANNEL_CONFIG.fallback)
    converse.scripted = {}
    answer(router(cloud, converse), records(cloud, {"query_id": "q-2", "query": "rain"}))
    assert results()["q-2"]["source"] == "model"


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("Could not call it: your Marketplace subscription cannot be completed at this time."),
        Missing("Could not call it: model use case details have not been submitted for this account."),
    ],
)
def test_query_waits_while_every_model_is_denied_or_missing(
    cloud: CloudResources, metrics: Metrics, error: Permanent
) -> None:
    make_active("deployment")
    converse = FakeConverse(us=error, deployment=Missing("the deployment is gone"))
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    for _ in range(20):
        assert len(answer(router(cloud, converse, metrics), batch)) == 1
    assert results() == {}
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert sum(values(metrics, "NoUsableModel")) == 20
    converse.scripted = {}
    assert answer(router(cloud, converse), batch) == []
    assert results()["q-1"]["source"] == "model"


def test_no_call_is_started_when_the_function_is_about_to_end(cloud: CloudResources) -> None:
    converse = FakeConverse()
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    assert len(answer(router(cloud, converse), batch, FakeContext(remaining=1_000))) == 1
    assert not converse.asked


def test_active_model_is_cached_for_a_short_time(cloud: CloudResources) -> None:
    provider = SSMProvider(boto3_client=clients.client("ssm"))
    settings = RouteSettings.load(cloud.environment)
    batch_router = Router(settings, Metrics(), converse=FakeConverse(), parameters=provider)
    answer(batch_router, records(cloud, {"query_id": "q-1", "query": "rain"}))
    make_active("deployment")
    answer(batch_router, records(cloud, {"query_id": "q-2", "query": "snow"}))
    assert results()["q-2"]["model_id"] == cloud.environment["BASELINE_MODEL"]


def test_tokens_of_unreadable_answers_are_counted(cloud: CloudResources, metrics: Metrics) -> None:
    converse = FakeConverse(rain="I cannot say.")
    answer(router(cloud, converse, metrics), records(cloud, {"query_id": "q-1", "query": "rain"}))
    result = results()["q-1"]
    assert (result["source"], result["input_tokens"], result["output_tokens"]) == ("fallback", 20, 10)
    assert values(metrics, "FallbackAnswers") == [1]
    assert values(metrics, "ActiveModelUnusable") == [1]
    assert values(metrics, "QueriesAsked") == []


def test_result_that_can_never_be_stored_goes_to_the_dead_letter_queue_with_the_reason(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Results, __: Any) -> bool:
        raise Permanent("Could not store the result: denied.")

    monkeypatch.setattr(Results, "store", refuse)
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    assert answer(router(cloud, FakeConverse()), batch) == []
    assert "denied" in dead_letter_reason(cloud)


def test_equal_queries_of_a_batch_get_the_fallback_weights(cloud: CloudResources, metrics: Metrics) -> None:
    batch = records(cloud, *({"query_id": f"q-{i}", "query": "rain"} for i in range(2)))
    assert answer(router(cloud, FakeConverse(us=Permanent("denied")), metrics), batch) == []
    assert [result["source"] for result in results().values()] == ["fallback", "fallback"]


def test_metrics_count_distinct_queries(cloud: CloudResources, metrics: Metrics) -> None:
    fenced = f"```json\n{GOOD_ANSWER}\n```"
    batch = records(cloud, *({"query_id": f"q-{i}", "query": query} for i, query in enumerate("abbc")))
    assert answer(router(cloud, FakeConverse(a=fenced), metrics), batch) == []
    assert values(metrics, "QueriesAsked") == [3]
    assert values(metrics, "RepairedAnswers") == [1]
    assert values(metrics, "FallbackAnswers") == []
    (cached,) = (result for result in results().values() if result["source"] == "cache")
    assert (cached["input_tokens"], cached["output_tokens"]) == (0, 0)


def test_retried_message_is_hidden_for_longer_after_each_delivery(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    monkeypatch.setattr(Queue, "hide", lambda _, __, seconds: delays.append(seconds))
    monkeypatch.setattr("random.uniform", lambda _, ceiling: ceiling)
    batch = records(cloud, {"query_id": "q-1", "query": "snow"})
    throttled = router(cloud, FakeConverse(snow=Throttled("slow down")))
    for receives in ("1", "2", "3", "14"):
        batch[0]["attributes"]["ApproximateReceiveCount"] = receives
        answer(throttled, batch)
    assert delays == [8, 16, 32, 900]


def test_message_whose_query_another_function_answers_is_retried_soon(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CallInProgress("Another function answers the same query.")

    delays: list[float] = []
    monkeypatch.setattr(Queue, "hide", lambda _, __, seconds: delays.append(seconds))
    monkeypatch.setattr(IdempotentCalls, "once", fail)
    assert len(answer(router(cloud, FakeConverse()), records(cloud, {"query": "rain"}))) == 1
    assert delays == [10]


def test_bad_query_of_a_list_is_dead_lettered_alone_and_the_others_are_answered(
    cloud: CloudResources,
) -> None:
    queries = [{"query_id": "q-1", "query": "rain"}, {"query_id": "q-2", "query": " "}]
    assert answer(router(cloud, FakeConverse()), records(cloud, {"queries": queries})) == []
    assert list(results()) == ["q-1"]
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert json.loads(message["Body"]) == {"queries": queries[1:]}
    reason = message["MessageAttributes"]["reason"]["StringValue"]
    assert reason.startswith("1 query of 2 cannot be answered: query 2 (query_id 'q-2'): ")


def test_refused_queries_are_dead_lettered_once_although_another_query_of_the_list_waits(
    cloud: CloudResources,
) -> None:
    converse = FakeConverse(snow=Throttled("slow down"))
    queries = [{"query_id": "a", "query": "snow"}, {"query_id": "b", "query": ""}]
    batch = records(cloud, {"queries": queries})
    for _ in range(3):
        assert len(answer(router(cloud, converse), batch)) == 1
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")
    converse.scripted = {}
    assert answer(router(cloud, converse), batch) == []
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert json.loads(message["Body"]) == {"queries": queries[1:]}
    assert list(results()) == ["a"]


@pytest.mark.parametrize("batches", [1, 2])
def test_query_id_used_again_for_another_query_is_dead_lettered_with_a_reason(
    cloud: CloudResources, metrics: Metrics, batches: int
) -> None:
    converse = FakeConverse()
    first, second = {"query_id": "q-1", "query": "harp"}, {"query_id": "q-1", "query": "copper"}
    for batch in [[first, second]] if batches == 1 else [[first], [second]]:
        assert answer(router(cloud, converse, metrics), records(cloud, *batch)) == []
    assert results()["q-1"]["query"] == "harp"
    assert converse.asked == {"harp": 1}
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert json.loads(message["Body"]) == second
    reason = message["MessageAttributes"]["reason"]["StringValue"]
    assert reason == "The query_id 'q-1' belongs to another query."
    assert values(metrics, "QueryIdsReused") == [1]


def test_two_queries_of_a_list_with_one_id_are_one_result_and_one_dead_letter(cloud: CloudResources) -> None:
    queries = [{"query_id": "a", "query": text} for text in ("rain", "snow", "rain")]
    assert answer(router(cloud, FakeConverse()), records(cloud, {"queries": queries})) == []
    assert results()["a"]["query"] == "rain"
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert json.loads(message["Body"]) == {"queries": queries[1:2]}


def test_query_takes_its_id_only_when_its_result_is_stored(cloud: CloudResources) -> None:
    converse = FakeConverse(harp=Throttled("slow down"))
    first, second = {"query_id": "q-1", "query": "harp"}, {"query_id": "q-1", "query": "copper"}
    batch = records(cloud, first, second)
    assert len(answer(router(cloud, converse), batch)) == 2
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")
    batch.reverse()
    assert answer(router(cloud, converse), batch) == []
    assert results()["q-1"]["query"] == "copper"
    assert "belongs to another query" in dead_letter_reason(cloud)


def test_spellings_of_one_query_in_unicode_cost_one_call(cloud: CloudResources) -> None:
    converse = FakeConverse()
    texts = ["caf\u00e9", "cafe\u0301", "Caf\u00e9 "]
    first, second = [
        [{"query_id": f"{batch}{i}", "query": text} for i, text in enumerate(texts)] for batch in "ab"
    ]
    assert answer(router(cloud, converse), records(cloud, *first)) == []
    assert answer(router(cloud, converse), records(cloud, *second)) == []
    assert converse.asked.total() == 1
    assert len({tuple(sorted(result["weights"].items())) for result in results().values()}) == 1
    again = {"query_id": "a0", "query": texts[1]}
    assert answer(router(cloud, converse), records(cloud, again)) == []
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")


def test_dead_letter_sent_twice_after_a_lost_answer_is_known_by_its_message_id(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = records(cloud, "not JSON")
    send = Queue.dead_letter

    def lose_the_answer(*arguments: Any) -> None:
        send(*arguments)
        raise Transient("Could not send to the dead-letter queue: read time-out.")

    with monkeypatch.context() as patched:
        patched.setattr(Queue, "dead_letter", lose_the_answer)
        assert len(answer(router(cloud, FakeConverse()), batch)) == 1
    assert answer(router(cloud, FakeConverse()), batch) == []
    letters = cloud.messages("DEAD_LETTER_QUEUE_URL")
    ids = [letter["MessageAttributes"]["message_id"]["StringValue"] for letter in letters]
    assert ids == [batch[0]["messageId"]] * 2


def test_text_of_an_unreadable_answer_is_not_logged(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(route_queries.logger, "warning", lambda _, **fields: logged.append(fields["reason"]))
    converse = FakeConverse(rain="My patient Ann Bell asked for rain.")
    answer(router(cloud, converse), records(cloud, {"query_id": "q-1", "query": "rain"}))
    (reason,) = logged
    assert reason.startswith("The answer has no readable weights (35 characters, SHA-256 ")
    assert "Ann" not in reason


def test_waiting_time_is_measured_from_when_a_message_was_sent(
    cloud: CloudResources, metrics: Metrics
) -> None:
    batch = records(cloud, {"query": "rain"}, "not JSON")
    sent = int(time.time()) - 7_200
    batch[0]["attributes"]["SentTimestamp"] = f"{sent}000"
    answer(router(cloud, FakeConverse(), metrics), batch)
    assert values(metrics, "QueryWaitSeconds") == [pytest.approx(7_200, abs=60), pytest.approx(0, abs=60)]
    assert metrics.metric_set["QueryWaitSeconds"]["Unit"] == "Seconds"


def test_results_table_that_cannot_be_read_delays_the_batch_and_bills_nothing(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> dict[str, str]:
        raise AccessDenied("Could not read the results: denied.")

    converse = FakeConverse()
    batch = records(cloud, {"query": "rain"}, {"query": "snow"})
    with monkeypatch.context() as patched:
        patched.setattr(Results, "known", fail)
        for _ in range(20):
            assert len(answer(router(cloud, converse), batch)) == 2
    assert not converse.asked
    assert answer(router(cloud, converse), batch) == []


def test_batch_of_messages_of_all_kinds_leaves_one_result_or_one_dead_letter_for_each_query(
    cloud: CloudResources,
) -> None:
    converse = FakeConverse()
    bodies = [
        {"query_id": "1", "query": "choir"},
        {"query_id": "1", "query": "choir"},
        "not JSON",
        {"queries": [{"query": f"clip {number}"} for number in range(100)]},
        {"query_id": "5", "query": "CHOIR"},
        {"query_id": "6", "query": "cafe\u0301 terrace"},
        {"query_id": "7", "query": "caf\u00e9 terrace"},
        {"query_id": "8", "query": " "},
        {"query_id": "9", "query": "x" * 1_000},
        {"query_id": "10", "query": "last"},
    ]
    assert answer(router(cloud, converse), records(cloud, *bodies)) == []
    assert len(results()) == 106
    assert results()["6"]["weights"] == results()["7"]["weights"]
    assert len(cloud.messages("DEAD_LETTER_QUEUE_URL")) == 2
    assert converse.asked.total() == 104


def test_test_event_of_s3_leaves_no_trace(cloud: CloudResources) -> None:
    assert answer(router(cloud, FakeConverse()), records(cloud, {"Event": "s3:TestEvent"})) == []
    assert cloud.messages("DEAD_LETTER_QUEUE_URL") == []
    assert results() == {}
