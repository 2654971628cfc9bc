"""Queries when models fail, messages are not valid, or the active model is missing."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.cloud import LocalCloud
    from tests.local.pipeline.deployed_pipeline import DeployedPipeline


@pytest.mark.parametrize(
    "error",
    [
        "ThrottlingException",
        "ServiceUnavailableException",
        "InternalServerException",
        "ModelTimeoutException",
    ],
)
def test_transient_errors_of_the_model_lose_no_query(pipeline: DeployedPipeline, error: str) -> None:
    pipeline.faults(calls=[{"operation": "Converse", "error": error, "every": 3}])
    ids = [f"{error}-{number}" for number in range(20)]
    pipeline.send(*({"query_id": query_id, "query": f"rain {query_id}"} for query_id in ids))
    results = pipeline.results(ids)
    assert {result["source"] for result in results.values()} == {"model"}


def test_batch_that_is_too_long_for_the_function_is_answered_with_one_call_a_query(
    pipeline: DeployedPipeline,
) -> None:
    # The router of this stack starts calls for five seconds.
    pipeline.faults(calls=[{"operation": "Converse", "delay_seconds": 0.5}])
    ids = [[f"long-{message}-{number}" for number in range(100)] for message in range(10)]
    bodies = ({"queries": [{"query_id": i, "query": f"a hall {i}"} for i in message]} for message in ids)
    pipeline.send(*bodies)
    for message in ids:
        assert {result["source"] for result in pipeline.results(message).values()} == {"model"}
    assert pipeline.calls("Converse") == 1_000
    wait_for(lambda: pipeline.waiting("QueryQueueUrl") == 0, "the queue to be empty")


def test_invalid_query_message_goes_once_to_the_dead_letter_queue_with_the_reason(
    pipeline: DeployedPipeline,
) -> None:
    before = pipeline.waiting("DeadLetterQueueUrl")
    pipeline.send(
        "not json at all", {"query_id": "neighbour", "query": "a quiet harbour"}, {"colour": "blue"}
    )
    pipeline.send({"query_id": "too-long", "query": "x" * 1_001})
    pipeline.results(["neighbour"])
    for body in ("not json at all", "colour", "too-long"):
        message = pipeline.dead_letter(body)
        assert message["MessageAttributes"]["reason"]["StringValue"]
    wait_for(lambda: pipeline.waiting("QueryQueueUrl") == 0, "the queue to be empty")
    assert pipeline.waiting("DeadLetterQueueUrl") == before


def test_killed_function_leaves_exactly_one_result_per_message(
    pipeline: DeployedPipeline,
) -> None:
    pipeline.faults(calls=[{"operation": "Converse", "delay_seconds": 2, "times": 12}])
    ids = [f"dying-{number}" for number in range(12)]
    pipeline.send(*({"query_id": query_id, "query": f"a storm {query_id}"} for query_id in ids))
    wait_for(lambda: pipeline.calls("Converse") > 0, "route_queries to call the model")
    for process in router_processes(pipeline.cloud):
        os.kill(process, signal.SIGKILL)
    results = pipeline.results(ids, seconds=180)
    assert set(results) == set(ids)
    wait_for(lambda: pipeline.waiting("QueryQueueUrl") == 0, "the queue to be empty")


def router_processes(cloud: LocalCloud) -> list[int]:
    """Return the processes of this cloud that run route_queries."""
    endpoint = f"AWS_ENDPOINT_URL={cloud.endpoint}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        variables = environment.split(b"\0")
        if endpoint in variables and any(
            re.match(b"AWS_LAMBDA_FUNCTION_NAME=.*RouteQueries", v) for v in variables
        ):
            found.append(int(folder.name))
    assert found
    return found


def test_baseline_answers_when_the_deployment_of_the_active_model_is_deleted(
    pipeline: DeployedPipeline, active_model: Callable[[str | None], None]
) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl"
    active_model(json.dumps({"run_id": "gone", "model_id": arn, "prompt": "student"}))
    pipeline.send({"query_id": "gone", "query": "a violin in an empty hall"})
    result = pipeline.results(["gone"])["gone"]
    assert (result["source"], "haiku" in result["model_id"]) == ("model", True)


def test_baseline_answers_when_the_active_model_parameter_is_missing(
    pipeline: DeployedPipeline, active_model: Callable[[str | None], None]
) -> None:
    active_model(None)
    pipeline.send({"query_id": "missing", "query": "a violin in a full hall"})
    result = pipeline.results(["missing"])["missing"]
    assert (result["source"], "haiku" in result["model_id"]) == ("model", True)


def test_without_a_usable_model_queries_wait_until_there_is_one(
    pipeline: DeployedPipeline, active_model: Callable[[str | None], None]
) -> None:
    active_model("{}")
    pipeline.faults(calls=[{"operation": "Converse", "error": "AccessDeniedException", "times": 2}])
    pipeline.send({"query_id": "denied", "query": "a violin in a cellar"})
    assert pipeline.results(["denied"])["denied"]["source"] == "model"
