"""The pipeline deployed on the local cloud: its queues, tables, bucket and functions, and fault injection."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.aws.tables import from_item
from distillery.runs.states import ENDED, Run, State, run_id
from tests.local.control_api import ControlApi
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.cloud import LocalCloud

SAMPLES = Path(__file__).parents[3] / "samples"
RUN_SECONDS = 120.0
MAX_BATCH = 10
"""Messages in one SendMessageBatch request, at most."""


def sample_records(count: int, mark: str) -> bytes:
    """Return records of the sample dataset. `mark` in every query makes the content unique."""
    lines = (SAMPLES / "dataset.jsonl").read_text("utf-8").splitlines()[:count]
    records = [json.loads(line) for line in lines]
    for record in records:
        record["messages"][0]["content"][0]["text"] += f" {mark}"
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


class DeployedPipeline:
    """The stack deployed on a local cloud."""

    def __init__(self, cloud: LocalCloud, outputs: dict[str, str]) -> None:
        self.cloud, self.outputs = cloud, outputs
        self.s3, self.sqs = cloud.client("s3"), cloud.client("sqs")
        self.dynamodb, self.ssm = cloud.client("dynamodb"), cloud.client("ssm")
        self.functions = cloud.client("lambda")
        self.control = ControlApi(cloud.endpoint)

    # ------------------------------------------------------------------------------------------ runs
    def drop(self, content: bytes, key: str) -> str:
        """Upload an object to the bucket. Returns the id of its run."""
        bucket = self.outputs["DataBucketName"]
        answer = self.s3.put_object(Bucket=bucket, Key=key, Body=content)
        return run_id(bucket, key, answer["VersionId"])

    def run(self, name: str) -> Run | None:
        """Return the run's item in the run table, or None."""
        answer = self.dynamodb.get_item(
            TableName=self.outputs["RunsTableName"], Key={"run_id": {"S": name}}, ConsistentRead=True
        )
        return Run.model_validate(from_item(answer["Item"])) if "Item" in answer else None

    def reach(self, name: str, *states: State, seconds: float = RUN_SECONDS) -> Run:
        """Wait until the run is in one of the states and, for a final state, has been announced."""

        def look() -> Run | None:
            run = self.run(name)
            if run is None or run.state not in states:
                if run is not None and run.state in ENDED:
                    raise AssertionError(f"the run ended as {run.state}: {run.failure or run.reasons}")
                return None
            return run if run.state not in ENDED or run.announced is run.state else None

        return wait_for(look, f"{name} in {states}", seconds)

    def document(self, name: str, file: str) -> Any:
        """Return a JSON document of a run."""
        return json.loads(self.read(name, file))

    def read(self, name: str, file: str) -> bytes:
        """Return an object of a run."""
        answer = self.s3.get_object(Bucket=self.outputs["DataBucketName"], Key=f"runs/{name}/{file}")
        content: bytes = answer["Body"].read()
        return content

    def keys(self, name: str) -> set[str]:
        """Return the keys of the run's objects, without their common prefix."""
        prefix = f"runs/{name}/"
        answer = self.s3.list_objects_v2(Bucket=self.outputs["DataBucketName"], Prefix=prefix)
        return {entry["Key"].removeprefix(prefix) for entry in answer.get("Contents", [])}

    # --------------------------------------------------------------------------------------- queries
    def send(self, *bodies: Any) -> None:
        """Send messages to the query queue, ten in a request, so that the function receives full batches."""
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        for start in range(0, len(texts), MAX_BATCH):
            entries = [
                {"Id": str(number), "MessageBody": text}
                for number, text in enumerate(texts[start : start + MAX_BATCH])
            ]
            answer = self.sqs.send_message_batch(QueueUrl=self.outputs["QueryQueueUrl"], Entries=entries)
            assert len(answer["Successful"]) == len(entries)

    def result(self, query_id: str) -> dict[str, Any] | None:
        """Return the result of a query, or None."""
        answer = self.dynamodb.get_item(
            TableName=self.outputs["ResultsTableName"], Key={"query_id": {"S": query_id}}, ConsistentRead=True
        )
        return from_item(answer["Item"]) if "Item" in answer else None

    def results(self, query_ids: Iterable[str], seconds: float = 120.0) -> dict[str, dict[str, Any]]:
        """Wait until every query has a result. Takes at most 100 ids, the limit of BatchGetItem."""
        table = self.outputs["ResultsTableName"]
        expected = list(query_ids)
        keys = [{"query_id": {"S": query_id}} for query_id in expected]

        def look() -> dict[str, dict[str, Any]] | None:
            request = {table: {"Keys": keys, "ConsistentRead": True}}
            items = self.dynamodb.batch_get_item(RequestItems=request)["Responses"][table]
            found = {item["query_id"]: item for item in map(from_item, items)}
            return found if len(found) == len(expected) else None

        return wait_for(look, f"results of {len(expected)} queries", seconds)

    def waiting(self, queue: str) -> int:
        """Count the messages in a queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def dead_letter(self, text: str, seconds: float = 30.0) -> dict[str, Any]:
        """Wait for a dead-letter queue message whose body contains a text. The message is deleted."""

        def look() -> dict[str, Any] | None:
            answer = self.sqs.receive_message(
                QueueUrl=self.outputs["DeadLetterQueueUrl"],
                MaxNumberOfMessages=10,
                VisibilityTimeout=1,
                MessageAttributeNames=["All"],
            )
            for message in answer.get("Messages", []):
                if text in message["Body"]:
                    self.sqs.delete_message(
                        QueueUrl=self.outputs["DeadLetterQueueUrl"], ReceiptHandle=message["ReceiptHandle"]
                    )
                    return dict(message)
            return None

        return wait_for(look, f"a message with {text!r} in the dead-letter queue", seconds)

    # ------------------------------------------------------------------------------------- functions
    def function(self, logical_id: str) -> str:
        """Return a function's name."""
        names = [f["FunctionName"] for f in self.functions.list_functions()["Functions"]]
        return str(next(name for name in names if logical_id in name))

    def logs(self, logical_id: str) -> str:
        """Return the logs of a function."""
        described = self.functions.get_function_configuration(FunctionName=self.function(logical_id))
        group = described["LoggingConfig"]["LogGroup"]
        pages = self.cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def invoke(self, logical_id: str, event: dict[str, Any]) -> None:
        """Invoke a function asynchronously with an event, as EventBridge does."""
        self.functions.invoke(
            FunctionName=self.function(logical_id), InvocationType="Event", Payload=json.dumps(event).encode()
        )

    # --------------------------------------------------------------------------------------- Bedrock
    def faults(self, **faults: Any) -> None:
        """Inject faults until the test ends."""
        self.control.faults(**faults)

    def calls(self, operation: str) -> int:
        """Count the calls of a Bedrock operation since the test started."""
        return self.control.calls(operation)

    def created(self, name: str) -> dict[str, int]:
        """Count the jobs, models and evaluations that Bedrock has for a run."""
        state = self.control.state()
        return {
            kind: sum(one["name"] == name or one["name"].startswith(f"{name}-") for one in state[kind])
            for kind in ("jobs", "models", "evaluations")
        }

    def is_deployed(self, name: str) -> bool:
        """Whether a run has a deployment."""
        return any(one["name"] == name for one in self.control.state()["deployments"])

    # ------------------------------------------------------------------------------ between the tests
    def end_runs(self) -> None:
        """Fail the runs that a test has left, so that they do not affect the next test."""
        table = self.outputs["RunsTableName"]
        for item in self.dynamodb.scan(TableName=table)["Items"]:
            run = Run.model_validate(from_item(item))
            if run.state not in ENDED or run.clean_up_again:
                self.dynamodb.update_item(
                    TableName=table,
                    Key={"run_id": {"S": run.run_id}},
                    UpdateExpression="SET #state = :failed, announced = :failed, clean_up_again = :no",
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={":failed": {"S": State.FAILED}, ":no": {"BOOL": False}},
                )
        wait_for(lambda: self.waiting("WatchQueueUrl") == 0, "the watch queue to be empty", 60)
        self._delete_inactive_deployments()

    def _delete_inactive_deployments(self) -> None:
        """Delete the deployments that are not active, because an account can have only ten."""
        parameter = self.ssm.get_parameter(Name=self.outputs["ActiveModelParameter"])["Parameter"]
        active = json.loads(parameter["Value"]).get("run_id", "")
        bedrock = self.cloud.client("bedrock")
        for deployment in self.control.state()["deployments"]:
            if deployment["name"] != active:
                bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=deployment["arn"])

    def restart_router(self) -> None:
        """Restart the processes of route_queries, which cache the active model and the configuration."""
        self.configure("RouteQueriesFunction", RESTARTED=str(time.monotonic_ns()))

    def configure(self, logical_id: str, **variables: str) -> dict[str, str]:
        """Change a function's environment, which restarts its processes. Returns the previous environment."""
        name = self.function(logical_id)
        before: dict[str, str] = self.functions.get_function_configuration(FunctionName=name)["Environment"][
            "Variables"
        ]
        self.functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": before | variables}
        )
        return before
