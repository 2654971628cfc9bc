"""Own time of route_queries per query: `python -m benchmarks.bench_routing [--quick]`.

The deployed entry point answers SQS events of ten messages, with one query each and with a hundred each;
every query is new, so each is claimed, asked, read and stored. Two measurements:

* own time: AWS's clients are replaced by canned answers. What is left is this project's code and
  Powertools': parsing, claims, threads, reading the answer, items, metrics. No round trip to AWS, no
  botocore, no model. Wall time of an event divided by its queries; p50 over the events.
* with botocore: the real clients serialise, sign and parse, and only the sending is replaced. CPU time of
  the process per query, since a round trip would leave the CPU free.

Tracing is off in both: it needs the X-Ray daemon.
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
    "IDEMPOTENCY_TABLE": "claims",
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
"""The copy that the run of the model in charge keeps, as S3 answers with it."""
CALLS_PER_QUERY = {"Converse": 1, "PutItem": 2, "UpdateItem": 1}
"""A claim, the question, the claim's answer, the result."""


class Canned:
    """Stands for the clients of DynamoDB, SSM, S3 and the Bedrock runtime; counts what it is asked."""

    def __init__(self, meta: Any) -> None:
        self.meta = meta
        """Of a real client; Powertools registers its user agent there."""
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


class Unsent:
    """Answers the requests of real clients instead of the network; counts them."""

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
    """An SQS event of ten messages with so many queries each, none of which was ever asked before."""
    return {"Records": [_message(queries) for _ in range(MESSAGES)]}


def _message(queries: int) -> dict[str, Any]:
    asked = [
        {"query_id": f"q-{number}", "query": f"the part where they talk about the harbour, take {number}"}
        for number in (next(NUMBERS) for _ in range(queries))
    ]
    return {
        "messageId": f"m-{next(NUMBERS)}",
        "receiptHandle": "handle",
        "body": json.dumps(asked[0] if queries == 1 else {"queries": asked}),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


def invoke(handler: Any, queries: int, events: int) -> dict[str, list[float]]:
    """Milliseconds per query of each event, after one event to warm up."""
    taken: dict[str, list[float]] = {"wall_ms": [], "cpu_ms": []}
    for number in range(events + 1):
        batch = event(queries)
        # Metrics go to standard output, where Lambda reads them; here they would be in the answer.
        with redirect_stdout(io.StringIO()):
            wall, cpu = time.perf_counter(), time.process_time()
            answered = handler(batch, CONTEXT)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if answered["batchItemFailures"]:
            raise RuntimeError(f"Messages came back: {answered}")
        if number:
            taken["wall_ms"].append(wall * 1000 / (MESSAGES * queries))
            taken["cpu_ms"].append(cpu * 1000 / (MESSAGES * queries))
    return taken


def _checked(taken: dict[str, list[float]], calls: Counter[str], queries: int, events: int) -> dict[str, Any]:
    """The medians; raises when the work that is timed was not done."""
    asked = MESSAGES * queries * (events + 1)
    for operation, times in CALLS_PER_QUERY.items():
        if calls[operation] != asked * times:
            raise RuntimeError(f"{operation} was called {calls[operation]} times for {asked} queries.")
    medians = {name: round(statistics.median(values), 4) for name, values in taken.items()}
    return {"events": events, "queries": asked, **medians}


def measure(quick: bool) -> Measured:
    """Both measurements for both shapes of an event."""
    os.environ.update(ENVIRONMENT)
    os.environ.pop("AWS_ENDPOINT_URL", None)
    # Imported when the environment is set, as in Lambda: the entry point reads it at once.
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
        canned: Any = Canned(clients.client("dynamodb").meta)
        claims = DynamoDBPersistenceLayer(table_name=settings.idempotency_table, boto3_client=canned)
        entry.router = Router(
            settings,
            entry.metrics,
            converse=Converse(canned),
            results=Results(settings.results_table, canned),
            records=claims,
            parameters=SSMProvider(boto3_client=canned),
            bucket=Bucket(settings.data_bucket, canned),
        )
        taken = invoke(entry.handler, queries, events)
        detail["own"][shape] = _checked(taken, canned.calls, queries, events)
    entry.router = real_router
    unsent = Unsent()
    for service in ("dynamodb", "ssm", "s3", "bedrock-runtime"):
        clients.client(service).meta.events.register_first("before-send", unsent)
    for shape, queries in SHAPES.items():
        events = (10 if quick else 100) if queries == 1 else (1 if quick else 5)
        unsent.calls.clear()
        taken = invoke(entry.handler, queries, events)
        detail["with_botocore"][shape] = _checked(taken, unsent.calls, queries, events)
    figures = [
        Figure(f"route_queries, own time a query, {shape}, p50", found["wall_ms"], "ms", at_most=TARGET_MS)
        for shape, found in detail["own"].items()
    ]
    figures += [
        Figure(f"route_queries, CPU a query with botocore, {shape}, p50", found["cpu_ms"], "ms")
        for shape, found in detail["with_botocore"].items()
    ]
    return Measured(figures, detail)


if __name__ == "__main__":
    answer(measure, __doc__)
