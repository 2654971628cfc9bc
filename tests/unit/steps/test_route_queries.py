"""A batch of query messages: what is paid, what is stored, what comes back, what is buried."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.data_classes import SQSEvent
from aws_lambda_powertools.utilities.parameters import SSMProvider

from distillery.aws import clients
from distillery.aws.bedrock.converse import Converse, Reply
from distillery.aws.clients import Missing
from distillery.aws.result_store import Results
from distillery.aws.tables import from_item
from distillery.errors import Permanent, Transient
from distillery.settings import RouteSettings
from distillery.steps import route_queries
from distillery.steps.route_queries import Router
from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.fakes import Surroundings

CHANNEL_CONFIG = default_channel_config()
GOOD = json.dumps({**CHANNEL_CONFIG.fallback, "reasoning": "because"})


class Context:
    """Lambda's context, as far as it is used."""

    function_name = "route_queries"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:route_queries"
    aws_request_id = "1"

    def __init__(self, remaining: int = 120_000) -> None:
        self._remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining


class FakeConverse(Converse):
    """Answers every query well, but for those scripted otherwise."""

    def __init__(self, **scripted: str | Exception) -> None:
        self.scripted = scripted
        self.asked: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, model_id: str, system: str, query: str) -> Reply:  # noqa: ARG002 (the port's signature)
        with self._lock:
            self.asked[query] += 1
            self.models[model_id] += 1
        answer = self.scripted.get(query.split()[0], self.scripted.get(model_id.split(".")[0], GOOD))
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, 10, 5, 100.0)


def router(cloud: Surroundings, converse: Converse, metrics: Metrics | None = None) -> Router:
    return Router(RouteSettings.load(cloud.environment), metrics or Metrics(), converse=converse)


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Metrics that no other test has added to."""
    fresh = Metrics()
    fresh.clear_metrics()
    yield fresh
    fresh.clear_metrics()


def records(cloud: Surroundings, *bodies: Any) -> list[dict[str, Any]]:
    """Send messages and receive them as Lambda would."""
    client, url = boto3.client("sqs"), cloud.environment["QUERY_QUEUE_URL"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))
    found: list[dict[str, Any]] = []
    while len(found) < len(bodies):
        answer = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], VisibilityTimeout=600
        )
        found += [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message["Attributes"]),
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for message in answer["Messages"]
        ]
    return found


def run(batch_router: Router, batch: list[dict[str, Any]], context: Context | None = None) -> list[str]:
    """Answer and settle a batch; returns the bodies of the messages that must come back."""
    event = SQSEvent({"Records": batch})
    answered = batch_router.answer(event.records, context or Context())  # type: ignore[arg-type]
    back = []
    for record in event.records:
        try:
            batch_router.settle(record, answered)
        except Transient:
            back.append(record.body)
    return back


def results() -> dict[str, dict[str, Any]]:
    items = boto3.client("dynamodb").scan(TableName="ResultsTable")["Items"]
    return {item["query_id"]["S"]: from_item(item) for item in items}


def test_query_is_stored_with_everything_the_contract_names(cloud: Surroundings) -> None:
    run(router(cloud, FakeConverse()), records(cloud, {"query_id": "q-1", "query": "rain"}))
    (result,) = results().values()
    assert set(result) >= {
        "query_id", "query", "weights", "dominant", "reasoning", "source", "model_id", "run_id",
        "latency_ms", "input_tokens", "output_tokens", "routed_at", "expires_at",
    }  # fmt: skip
    assert result["weights"] == CHANNEL_CONFIG.fallback
    assert result["source"] == "model"


def test_equal_queries_in_a_batch_cost_one_call(cloud: Surroundings) -> None:
    converse = FakeConverse()
    batch = records(cloud, *({"query_id": f"q-{i}", "query": "rain"} for i in range(3)))
    assert run(router(cloud, converse), batch) == []
    assert converse.asked == {"rain": 1}
    assert Counter(result["source"] for result in results().values()) == {"model": 1, "cache": 2}
    assert sum(result["input_tokens"] for result in results().values()) == 10


def test_batch_delivered_again_costs_nothing_and_changes_nothing(cloud: Surroundings) -> None:
    converse = FakeConverse()
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    run(router(cloud, converse), batch)
    before = results()
    assert run(router(cloud, converse), batch) == []
    assert results() == before
    assert converse.asked == {"rain": 1}


def test_function_that_died_after_paying_is_answered_from_the_claim(
    cloud: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse = FakeConverse()
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    with monkeypatch.context() as patched:

        def die(_: Results, __: Any) -> bool:
            raise MemoryError

        patched.setattr(Results, "store", die)
        with pytest.raises(MemoryError):
            run(router(cloud, converse), batch)
    assert results() == {}
    assert run(router(cloud, converse), batch) == []
    assert converse.asked == {"rain": 1}
    assert {name: (r["source"], r["input_tokens"]) for name, r in results().items()} == {"q-1": ("model", 10)}


def test_equal_query_of_a_later_batch_is_answered_from_the_cache(cloud: Surroundings) -> None:
    converse = FakeConverse()
    run(router(cloud, converse), records(cloud, {"query_id": "q-1", "query": "rain"}))
    run(router(cloud, converse), records(cloud, {"query_id": "q-2", "query": "rain"}))
    assert converse.asked == {"rain": 1}
    assert (results()["q-2"]["source"], results()["q-2"]["input_tokens"]) == ("cache", 0)


def test_throttled_query_goes_back_alone_and_its_neighbours_are_answered(cloud: Surroundings) -> None:
    converse = FakeConverse(snow=Transient("slow down"))
    batch = records(cloud, {"query_id": "q-1", "query": "rain"}, {"query_id": "q-2", "query": "snow"})
    back = run(router(cloud, converse), batch)
    assert [json.loads(body)["query_id"] for body in back] == ["q-2"]
    assert list(results()) == ["q-1"]


def test_message_with_many_queries_keeps_what_was_answered_when_one_is_throttled(cloud: Surroundings) -> None:
    converse = FakeConverse(snow=Transient("slow down"))
    body = {"queries": [{"query_id": "a", "query": "rain"}, {"query_id": "b", "query": "snow"}]}
    batch = records(cloud, body)
    assert len(run(router(cloud, converse), batch)) == 1
    assert list(results()) == ["a"]
    converse.scripted = {}
    assert run(router(cloud, converse), batch) == []
    assert set(results()) == {"a", "b"}
    assert converse.asked["rain"] == 1


def test_message_that_keeps_failing_is_buried_with_the_reason(cloud: Surroundings) -> None:
    batch = records(cloud, {"query_id": "q-1", "query": "snow"})
    batch[0]["attributes"]["ApproximateReceiveCount"] = "15"
    assert run(router(cloud, FakeConverse(snow=Transient("slow down"))), batch) == []
    (letter,) = cloud.received("DEAD_LETTER_QUEUE_URL")
    assert json.loads(letter["Body"]) == {"query_id": "q-1", "query": "snow"}
    assert "slow down" in letter["MessageAttributes"]["reason"]["StringValue"]


@pytest.mark.parametrize("body", ["not json", "{}", json.dumps({"query": "x" * 1_001})])
def test_message_that_can_never_be_answered_is_buried_as_it_came(cloud: Surroundings, body: str) -> None:
    batch = records(cloud, body, {"query_id": "q-1", "query": "rain"})
    assert run(router(cloud, FakeConverse()), batch) == []
    (letter,) = cloud.received("DEAD_LETTER_QUEUE_URL")
    assert letter["Body"] == body
    assert letter["MessageAttributes"]["reason"]["StringValue"]
    assert list(results()) == ["q-1"]


def promote(model_id: str) -> None:
    content = json.dumps({"run_id": "run-1", "model_id": model_id, "prompt": "student", "promoted_at": None})
    boto3.client("ssm").put_parameter(Name="/stack/active-model", Value=content, Overwrite=True)


def test_promoted_model_answers_with_the_student_prompt(cloud: Surroundings) -> None:
    promote("deployment")
    converse = FakeConverse()
    run(router(cloud, converse), records(cloud, {"query_id": "q-1", "query": "rain"}))
    assert converse.models == {"deployment": 1}
    assert results()["q-1"]["run_id"] == "run-1"


def test_deployment_that_is_gone_leaves_the_query_to_the_baseline_and_says_so_in_a_metric_and_a_log(
    cloud: Surroundings, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote("deployment")
    said: list[str] = []
    monkeypatch.setattr(route_queries.logger, "warning", lambda _, reason: said.append(reason))
    converse = FakeConverse(deployment=Missing("the deployment is gone"))
    run(router(cloud, converse, metrics), records(cloud, {"query_id": "q-1", "query": "rain"}))
    assert "ActiveModelUnusable" in metrics.metric_set
    assert said == ["the deployment is gone"]
    assert results()["q-1"]["model_id"] == cloud.environment["BASELINE_MODEL"]


@pytest.mark.parametrize("content", [None, "nonsense", '{"prompt": "poem"}'])
def test_active_model_that_is_missing_or_unreadable_leaves_the_query_to_the_baseline(
    cloud: Surroundings, content: str | None
) -> None:
    ssm = boto3.client("ssm")
    if content is None:
        ssm.delete_parameter(Name="/stack/active-model")
    else:
        ssm.put_parameter(Name="/stack/active-model", Value=content, Overwrite=True)
    run(router(cloud, FakeConverse()), records(cloud, {"query_id": "q-1", "query": "rain"}))
    assert results()["q-1"]["model_id"] == cloud.environment["BASELINE_MODEL"]


def test_no_model_at_all_gives_fallback_weights_that_are_not_kept_for_the_next_query(
    cloud: Surroundings,
) -> None:
    converse = FakeConverse(us=Permanent("denied"))
    run(router(cloud, converse), records(cloud, {"query_id": "q-1", "query": "rain"}))
    assert (results()["q-1"]["source"], results()["q-1"]["weights"]) == ("fallback", CHANNEL_CONFIG.fallback)
    converse.scripted = {}
    run(router(cloud, converse), records(cloud, {"query_id": "q-2", "query": "rain"}))
    assert results()["q-2"]["source"] == "model"


def test_query_is_not_started_when_the_function_is_about_to_end(cloud: Surroundings) -> None:
    converse = FakeConverse()
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    assert len(run(router(cloud, converse), batch, Context(remaining=1_000))) == 1
    assert not converse.asked


def test_active_model_is_read_through_a_short_cache(cloud: Surroundings) -> None:
    provider = SSMProvider(boto3_client=clients.client("ssm"))
    settings = RouteSettings.load(cloud.environment)
    batch_router = Router(settings, Metrics(), converse=FakeConverse(), parameters=provider)
    run(batch_router, records(cloud, {"query_id": "q-1", "query": "rain"}))
    promote("deployment")
    run(batch_router, records(cloud, {"query_id": "q-2", "query": "snow"}))
    assert results()["q-2"]["model_id"] == cloud.environment["BASELINE_MODEL"]


def test_unreadable_answers_that_were_paid_are_in_the_books(cloud: Surroundings, metrics: Metrics) -> None:
    converse = FakeConverse(rain="I cannot say.")
    run(router(cloud, converse, metrics), records(cloud, {"query_id": "q-1", "query": "rain"}))
    result = results()["q-1"]
    assert (result["source"], result["input_tokens"], result["output_tokens"]) == ("fallback", 20, 10)
    assert "FallbackAnswers" in metrics.metric_set


def test_result_that_can_never_be_stored_is_buried_with_the_reason(
    cloud: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Results, __: Any) -> bool:
        raise Permanent("Could not store the result: denied.")

    monkeypatch.setattr(Results, "store", refuse)
    batch = records(cloud, {"query_id": "q-1", "query": "rain"})
    assert run(router(cloud, FakeConverse()), batch) == []
    (letter,) = cloud.received("DEAD_LETTER_QUEUE_URL")
    assert "denied" in letter["MessageAttributes"]["reason"]["StringValue"]
