"""Time of route_queries per query without AWS: `python -m benchmarks.bench_routing [--quick]`.

The deployed entry point answers SQS events of ten messages, with one query or a hundred queries in each
message. Every query is new, so each needs an idempotency record, a model call, parsing and a stored result.
There are two measurements:

* own time: fixed responses replace the AWS clients. This measures the code of this project and of Powertools:
  parsing, idempotency records, threads, items, metrics. It excludes AWS, botocore and the model. The result
  is the wall time of an event divided by its queries; p50 over the events.
* with botocore: the real clients serialise, sign and parse, and only the network is replaced. The result is
the
  CPU time of the process per query, because a round trip would leave the CPU free.

Tracing is off in both, because it needs the X-Ray daemon.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import time
from collections import Counter
from contextlib import redirect_stdout
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from benchmarks.figures import Figure, Measured, answer
from distillery.task.channels import default_channel_config, dump_channel_config

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = 10
SHAPES = {"10 messages of 1 query": 1, "10 messages of 100 queries": 100}
TARGET_MS = 1.0
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "route_queries",
    "POWERTOOLS_METRICS_NAMESPACE": "Distillery",
    "DATA_BUCKET": "data",
    "RESULTS_TABLE": "results",
    "IDEMPOTENCY_TABLE": "idempotency",
    "QUERY_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/queries",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/dead",
    "ACTIVE_MODEL_PARAMETER": "/distillery/active-model",
    "BASELINE_MODEL": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
}
ACTIVE_MODEL = {
    "run_id": "sample-0123456789ab",
    "model_id": "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl",
    "prompt": "student",
}
REASONING = "The query asks for what is seen on the screen, and a little for what is said about it."
ANSWERS: dict[str, Any] = {
    "Converse": {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"text": json.dumps({**default_channel_config().fallback, "reasoning": REASONING})}
                ],
            }
        },
        "stopReason": "end_turn",
        "usage": {"inputTokens": 60, "outputTokens": 70, "totalTokens": 130},
        "metrics": {"latencyMs": 350},
    },
    "BatchGetItem": {"Responses": {"results": []}, "UnprocessedKeys": {}},
    "PutItem": {},
    "UpdateItem": {},
    "GetParameter": {"Parameter": {"Name": "active-model", "Value": json.dumps(ACTIVE_MODEL), "Version": 1}},
}
CHANNEL_CONFIG = dump_channel_config(default_channel_config()).encode()
"""The copy of the channel configuration that the active model's run keeps in S3."""
CALLS_PER_QUERY = {"Converse": 1, "PutItem": 2, "UpdateItem": 1}
"""The idempotency record (put, then updated with the answer), the model call and the stored result."""


class FixedResponses:
    """Replaces the clients of DynamoDB, SSM, S3 and the Bedrock runtime, and counts the calls."""

    def __init__(self, meta: Any) -> None:
        self.meta = meta
        """The metadata of a real client, in which Powertools registers its user agent."""
        self.calls: Counter[str] = Counter()

    def _answer(self, operation: str) -> Any:
        self.calls[operation] += 1
        return ANSWERS[operation]

    def converse(self, **_: Any) -> Any:
        return self._answer("Converse")

    def batch_get_item(self, **_: Any) -> Any:
        return self._answer("BatchGetItem")

    def put_item(self, **_: Any) -> Any:
        return self._answer("PutItem")

    def update_item(self, **_: Any) -> Any:
        return self._answer("UpdateItem")

    def get_object(self, **_: Any) -> Any:
        return {"Body": io.BytesIO(CHANNEL_CONFIG)}

    def get_parameter(self, **_: Any) -> Any:
        return self._answer("GetParameter")


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class NetworkReplacement:
    """Answers the requests of real clients instead of the network, and counts them."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        operation = event_name.rsplit(".", 1)[-1]
        self.calls[operation] += 1
        body = CHANNEL_CONFIG if operation == "GetObject" else json.dumps(ANSWERS[operation]).encode()
        return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(body))


CONTEXT = SimpleNamespace(
    function_name="route_queries",
    function_version="$LATEST",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:route_queries",
    aws_request_id="00000000-0000-0000-0000-000000000000",
    get_remaining_time_in_millis=lambda: 120_000,
)
NUMBERS = count()


def event(queries: int) -> dict[str, Any]:
    """Return an SQS event of ten messages with this many new queries each."""
    return {"Records": [_message(queries) for _ in range(MESSAGES)]}


def _message(queries: int) -> dict[str, Any]:
    queued = [
        {"query_id": f"q-{number}", "query": f"the part where they talk about the harbour, take {number}"}
        for number in (next(NUMBERS) for _ in range(queries))
    ]
    return {
        "messageId": f"m-{next(NUMBERS)}",
        "receiptHandle": "handle",
        "body": json.dumps(queued[0] if queries == 1 else {"queries": queued}),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


def invoke(handler: Any, queries: int, events: int) -> dict[str, list[float]]:
    """Return the milliseconds per query of each event, after one warm-up event."""
    taken: dict[str, list[float]] = {"wall_ms": [], "cpu_ms": []}
    for number in range(events + 1):
        batch = event(queries)
        # Metrics go to standard output, which holds this benchmark's JSON.
        with redirect_stdout(io.StringIO()):
            wall, cpu = time.perf_counter(), time.process_time()
            answered = handler(batch, CONTEXT)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if answered["batchItemFailures"]:
            raise RuntimeError(f"Messages failed: {answered}")
        if number:
            taken["wall_ms"].append(wall * 1000 / (MESSAGES * queries))
            taken["cpu_ms"].append(cpu * 1000 / (MESSAGES * queries))
    return taken


def _checked(taken: dict[str, list[float]], calls: Counter[str], queries: int, events: int) -> dict[str, Any]:
    """Return the medians. Raises RuntimeError when the number of calls is not as expected."""
    answered = MESSAGES * queries * (events + 1)
    for operation, times in CALLS_PER_QUERY.items():
        if calls[operation] != answered * times:
            raise RuntimeError(f"{operation} was called {calls[operation]} times for {answered} queries.")
    medians = {name: round(statistics.median(values), 4) for name, values in taken.items()}
    return {"events": events, "queries": answered, **medians}


def measure(quick: bool) -> Measured:
    """Run both measurements for both shapes of an event."""
    os.environ.update(ENVIRONMENT)
    os.environ.pop("AWS_ENDPOINT_URL", None)
    # The entry point reads the environment at import.
    from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
    from aws_lambda_powertools.utilities.parameters import SSMProvider

    from distillery.aws import clients
    from distillery.aws.bedrock.converse import Converse
    from distillery.aws.bucket import Bucket
    from distillery.aws.result_store import Results
    from distillery.settings import RouteSettings
    from distillery.steps.route_queries import Router
    from functions.route_queries import handler as entry

    real_router = entry.router
    settings = RouteSettings.load()
    detail: dict[str, Any] = {"own": {}, "with_botocore": {}}
    for shape, queries in SHAPES.items():
        events = (50 if quick else 300) if queries == 1 else (3 if quick else 20)
        fixed: Any = FixedResponses(clients.client("dynamodb").meta)
        records = DynamoDBPersistenceLayer(table_name=settings.idempotency_table, boto3_client=fixed)
        entry.router = Router(
            settings,
            entry.metrics,
            converse=Converse(fixed),
            results=Results(settings.results_table, fixed),
            records=records,
            parameters=SSMProvider(boto3_client=fixed),
            bucket=Bucket(settings.data_bucket, fixed),
        )
        taken = invoke(entry.handler, queries, events)
        detail["own"][shape] = _checked(taken, fixed.calls, queries, events)
    entry.router = real_router
    network = NetworkReplacement()
    for service in ("dynamodb", "ssm", "s3", "bedrock-runtime"):
        clients.client(service).meta.events.register_first("before-send", network)
    for shape, queries in SHAPES.items():
        events = (10 if quick else 100) if queries == 1 else (1 if quick else 5)
        network.calls.clear()
        taken = invoke(entry.handler, queries, events)
        detail["with_botocore"][shape] = _checked(taken, network.calls, queries, events)
    figures = [
        Figure(f"route_queries, own time per query, {shape}, p50", found["wall_ms"], "ms", at_most=TARGET_MS)
        for shape, found in detail["own"].items()
    ]
    figures += [
        Figure(f"route_queries, CPU time per query with botocore, {shape}, p50", found["cpu_ms"], "ms")
        for shape, found in detail["with_botocore"].items()
    ]
    return Measured(figures, detail)


if __name__ == "__main__":
    answer(measure, __doc__)
