"""The command line against a stack in moto: exit codes, JSON shapes, sentences."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws
from rich.console import Console

from cli import cli, following, queries
from cli.cli import main
from cli.following import Snapshot, TimedOut, follow
from cli.screens import duration, show_progress
from cli.stack import Stack, Target, find_stack
from distillery.aws.run_store import RunStore
from distillery.aws.tables import to_item
from distillery.runs.states import ENDED, Source, State, run_id
from tests.unit.conftest import create_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "us-east-1"
ON_AWS = ["--region", REGION]
TO = {
    State.REJECTED: [State.REJECTED],
    State.DUPLICATE: [State.DUPLICATE],
    State.FAILED: [State.VALIDATED, State.FAILED],
    State.PROMOTED: [State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING, State.PROMOTED],
    State.NOT_PROMOTED: [
        State.VALIDATED,
        State.TRAINING,
        State.DEPLOYING,
        State.EVALUATING,
        State.NOT_PROMOTED,
    ],
}
RUN = "films-0123456789ab"


class Bedrock:
    """Answers for one run."""

    def get_model_customization_job(self, **_: str) -> dict[str, Any]:
        return {
            "status": "InProgress",
            "statusDetails": {
                "validationDetails": {"status": "Completed"},
                "dataProcessingDetails": {"status": "Completed"},
                "trainingDetails": {"status": "InProgress"},
            },
        }

    def get_custom_model_deployment(self, **_: str) -> dict[str, Any]:
        return {"customModelDeploymentArn": "arn", "modelDeploymentName": RUN, "status": "Creating"}

    def get_evaluation_job(self, jobIdentifier: str) -> dict[str, Any]:  # noqa: N803  # Bedrock's name
        status = "Completed" if jobIdentifier == "one" else "InProgress"
        return {"jobArn": jobIdentifier, "jobName": jobIdentifier, "status": status}


class CloudFormation:
    """Knows two stacks, one of them not ours."""

    def __init__(self, outputs: dict[str, str]) -> None:
        self.stacks = {"distillery": outputs, "other": {"Site": "x"}}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803  # the service's name
        if StackName not in self.stacks:
            sentence = f"Stack with id {StackName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": sentence}}, "DescribeStacks")
        outputs = self.stacks[StackName].items()
        return {"Stacks": [{"Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in outputs]}]}


@pytest.fixture
def stack(resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A deployed stack, as `--region` finds it."""
    monkeypatch.setenv("COLUMNS", "200")
    client = Stack.client
    with mock_aws():
        s3 = boto3.client("s3", REGION)
        s3.create_bucket(Bucket="data")
        s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
        outputs = {
            "DataBucketName": "data",
            "QueryQueueUrl": boto3.client("sqs", REGION).create_queue(QueueName="queries")["QueueUrl"],
            "RunsTableName": create_table(resources, "RunsTable"),
            "ResultsTableName": create_table(resources, "ResultsTable"),
            "EventBusName": "bus",
        }
        boto3.client("events", REGION).create_event_bus(Name="bus")
        fakes = {"cloudformation": CloudFormation(outputs), "bedrock": Bedrock()}
        monkeypatch.setattr(
            Stack, "client", lambda self, service: fakes.get(service) or client(self, service)
        )
        yield find_stack(Target(region=REGION))


def ended_run(stack: Stack, state: State, **lineage: Any) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    for to in TO[state]:
        stack.run_store.move(RUN, to, step="a_step", **lineage)
    stack.run_store.note(RUN, announced=state)


def put(stack: Stack, key: str, content: object) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    stack.client("s3").put_object(Bucket="data", Key=key, Body=body)


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# Where: which stack is meant, and what is said when it is not there


@pytest.mark.parametrize(
    ("target", "local"),
    [
        (Target(), True),
        (Target(aws=True), False),
        (Target(profile="a"), False),
        (Target(region="us-east-1"), False),
        (Target(stack_name="other"), False),
    ],
)
def test_the_local_cloud_is_meant_unless_an_option_says_aws(target: Target, local: bool) -> None:
    assert target.local is local


def test_local_cloud_not_up_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:4599")

    monkeypatch.setenv("DISTILLERY_PORT", "4599")
    monkeypatch.setattr(Stack, "client", refused)
    assert main(["runs"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "The local cloud is not up at http://127.0.0.1:4599. Start it with `make up`.\n"


def test_unknown_stack_is_one_sentence(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *ON_AWS, "--stack-name", "nobody"]) == 1
    assert capsys.readouterr().err.startswith("There is no stack nobody in this account and region.")


def test_unknown_profile_is_one_sentence(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--profile", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_stack_of_something_else_is_one_sentence(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *ON_AWS, "--stack-name", "other"]) == 1
    assert "no output RunsTableName" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["drop"], ["runs", "--last", "0"], ["route", "--nope"]])
def test_wrong_usage_is_exit_1(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out


def test_outputs(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outputs", "--json", *ON_AWS]) == 0
    assert printed(capsys)["DataBucketName"] == "data"


# drop


def test_drop_tells_the_run_that_the_function_will_open(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "My Films.jsonl"
    file.write_text("{}\n")
    assert main(["drop", str(file), "--json", *ON_AWS]) == 0
    dropped = printed(capsys)
    assert dropped["key"] == "datasets/my-films/my-films.jsonl"
    assert dropped["run_id"] == run_id("data", dropped["key"], dropped["version_id"])
    head = stack.client("s3").head_object(Bucket="data", Key=dropped["key"])
    assert head["VersionId"] == dropped["version_id"]


def test_drop_under_another_name(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("{}\n")
    assert main(["drop", str(file), "--dataset", "films", *ON_AWS]) == 0
    assert capsys.readouterr().out.startswith("films-")


@pytest.mark.parametrize(
    ("name", "words"), [("a.csv", "does not end in .jsonl"), ("a.jsonl", "cannot be read")]
)
def test_file_that_cannot_be_dropped_is_one_sentence(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    assert main(["drop", str(tmp_path / name), *ON_AWS]) == 1
    assert words in capsys.readouterr().err


# watch and show


@pytest.mark.parametrize(
    ("state", "code"),
    [(State.PROMOTED, 0), (State.FAILED, 3), (State.NOT_PROMOTED, 4), (State.DUPLICATE, 5)],
)
def test_exit_code_is_the_verdict(
    stack: Stack, capsys: pytest.CaptureFixture[str], state: State, code: int
) -> None:
    ended_run(stack, state)
    assert main(["watch", RUN, *ON_AWS]) == code
    assert state.value in capsys.readouterr().out
    assert main(["watch", RUN, "--json", *ON_AWS]) == code
    assert printed(capsys)["state"] == state.value


def test_rejected_run_shows_what_to_fix(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    findings = [
        {"code": "odd", "severity": "note", "line": None, "message": "Odd.", "fix": ""},
        {
            "code": "sum",
            "severity": "error",
            "line": 7,
            "message": "They sum to 0.7.",
            "fix": "Scale [them].",
        },
    ]
    ended_run(stack, State.REJECTED)
    put(stack, f"runs/{RUN}/validation.json", {"findings": findings})
    assert main(["watch", RUN, *ON_AWS]) == 2
    text = capsys.readouterr().out
    assert "They sum to 0.7." in text
    assert "Scale [them]." in text
    assert main(["show", RUN, "--json", *ON_AWS]) == 0
    assert [finding["code"] for finding in printed(capsys)["findings"]] == ["sum", "odd"]


def test_failed_run_shows_step_and_cause(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    ended_run(stack, State.FAILED, failure={"step": "start_distillation", "cause": "The teacher is gone."})
    assert main(["show", RUN, *ON_AWS]) == 0
    assert "start_distillation: The teacher is gone." in capsys.readouterr().out


def test_scores_are_shown_side_by_side(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {
        "untuned": {"weight_score": 1.5, "cost": None},
        "distilled": {"weight_score": 4.31, "weight_score_ci95": [4.2, 4.4], "cost": 0.00875},
    }
    ended_run(stack, State.PROMOTED, scores=scores, reasons=["It is good enough."])
    assert main(["show", RUN, *ON_AWS]) == 0
    text = capsys.readouterr().out
    assert text.index("distilled") < text.index("untuned")
    assert "0.00875" in text
    assert "It is good enough." in text


def test_run_that_never_appears_times_out(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "AWS_INTERVAL", 0.01)
    assert main(["watch", "films-000000000000", "--arrival", "1", *ON_AWS]) == 6
    assert "No run films-000000000000 appeared within 1 seconds." in capsys.readouterr().err


def test_unknown_run_is_one_sentence(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "nothing", *ON_AWS]) == 1
    assert capsys.readouterr().err.startswith("There is no run nothing.")


def test_follow_gives_up_at_its_deadline_and_says_that_the_run_goes_on(stack: Stack) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    seconds = iter(range(100))
    with pytest.raises(TimedOut, match="it goes on"):
        list(
            follow(
                stack, RUN, timeout=5, arrival=50, pause=lambda _: None, clock=lambda: float(next(seconds))
            )
        )


def test_follow_sees_every_state_until_the_end(stack: Stack) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    moves = iter([State.VALIDATED, State.FAILED])

    def go_on(_: float) -> None:
        state = next(moves, None)
        if state:
            stack.run_store.move(RUN, state, step="a_step")
        else:
            stack.run_store.note(RUN, announced=State.FAILED)

    seen = [snapshot.run for snapshot in follow(stack, RUN, timeout=60, arrival=60, pause=go_on)]
    # Seen twice at its end: the verdict, then that it was acted upon.
    assert [run.state for run in seen if run] == [
        State.RECEIVED,
        State.VALIDATED,
        State.FAILED,
        State.FAILED,
    ]


# Progress


def test_progress_is_what_bedrock_says(stack: Stack) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    said = [following.look(stack, RUN).doing]
    for state in (State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING):
        stack.run_store.move(RUN, state, step="a_step", job_arn="arn", deployment_arn="arn")
        said.append(following.look(stack, RUN).doing)
    stack.run_store.note(RUN, evaluation_jobs={"distilled": "one", "untuned": "two"})
    said.append(following.look(stack, RUN).doing)
    assert said == [
        "checking the dataset",
        "starting the distillation",
        "checking data Completed, asking the teacher Completed, training InProgress",
        "deployment Creating",
        "answering the holdout",
        "judged 1 of 2 candidates",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_with_and_without_a_terminal(stack: Stack, terminal: bool) -> None:
    ended_run(stack, State.NOT_PROMOTED)
    run = stack.run_store.get(RUN)
    early = run.model_copy(update={"state": State.RECEIVED, "history": run.history[:1]})
    snapshots = [Snapshot(None, "waiting"), Snapshot(early, "checking"), Snapshot(run, "")]
    paper = io.StringIO()
    console = Console(file=paper, force_terminal=terminal, width=120, highlight=False)
    assert show_progress(console, iter(snapshots)) == run
    for state in ("RECEIVED", "TRAINING", "NOT_PROMOTED"):
        assert state in paper.getvalue()
    if not terminal:
        assert "\x1b" not in paper.getvalue()
        assert paper.getvalue().count("TRAINING") == 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0 s"), (3.21, "3.2 s"), (245, "4 min 05 s"), (7_800, "2 h 10 min")]
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# runs and report


def test_runs_are_listed_latest_first(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    run_store = RunStore("RunsTable", stack.client("dynamodb"))
    for name in ("first-0", "second-0", "third-0"):
        run_store.receive(name, Source(bucket="data", key=f"datasets/{name}/a.jsonl", version_id="1"))
    assert main(["runs", "--last", "2", "--json", *ON_AWS]) == 0
    assert [run["run_id"] for run in printed(capsys)] == ["third-0", "second-0"]
    assert main(["runs", *ON_AWS]) == 0
    assert "first-0" in capsys.readouterr().out


def test_no_runs(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json", *ON_AWS]) == 0
    assert printed(capsys) == []


def test_report_is_fetched(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended_run(stack, State.PROMOTED, report_key=f"runs/{RUN}/report.html")
    put(stack, f"runs/{RUN}/report.html", b"<html>")
    file = tmp_path / "new" / "report.html"
    assert main(["report", RUN, "--to", str(file), *ON_AWS]) == 0
    assert file.read_bytes() == b"<html>"
    assert capsys.readouterr().out.strip() == file.as_uri()


def test_run_without_report_is_one_sentence(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    ended_run(stack, State.FAILED)
    assert main(["report", RUN, *ON_AWS]) == 1
    assert "has no report: it is FAILED" in capsys.readouterr().err


# route


def router(stack: Stack, weights: dict[str, float], but: str = "") -> None:
    """Answer what is queued, as route_queries would."""
    sqs, dynamodb = stack.client("sqs"), stack.client("dynamodb")
    while messages := sqs.receive_message(
        QueueUrl=stack.output("QueryQueueUrl"), MaxNumberOfMessages=10, WaitTimeSeconds=0
    ).get("Messages"):
        for message in messages:
            body = json.loads(message["Body"])
            result = {
                **body,
                "weights": weights,
                "dominant": "b",
                "source": "model",
                "latency_ms": 12.5,
                "run_id": RUN,
            }
            if body["query"] != but:
                dynamodb.put_item(TableName="ResultsTable", Item=to_item(result))


@pytest.fixture
def answering(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose router answers after the queries were sent, all but the query `lost`."""
    send = queries._send

    def send_and_answer(to: Stack, wanted: dict[str, str]) -> None:
        send(to, wanted)
        router(to, {"a": 0.2, "b": 0.8}, but="lost")

    monkeypatch.setattr(queries, "_send", send_and_answer)
    return stack


def test_route_answers_in_the_order_asked(answering: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [f"query {number}" for number in range(23)]
    assert main(["route", *asked, "--json", *ON_AWS]) == 0
    answer = printed(capsys)
    assert [result["query"] for result in answer["results"]] == asked
    assert answer["results"][0]["weights"] == {"a": 0.2, "b": 0.8}
    assert answer["unanswered"] == []


def test_route_shows_a_table(answering: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"query": "from [a] file"}\n\nplain text\n{"query": "third"}\n')
    assert main(["route", "--file", str(file), "--first", "2", *ON_AWS]) == 0
    text = capsys.readouterr().out
    for words in ("from [a] file", "plain text", "0.20", "0.80", "model", "dominant"):
        assert words in text
    assert "third" not in text
    assert f"2 answered by {RUN}" in text


def test_query_without_result_is_exit_6(answering: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "one", "lost", "--timeout", "1", "--json", *ON_AWS]) == 6
    said = capsys.readouterr()
    assert json.loads(said.out)["unanswered"] == ["lost"]
    assert said.err.startswith("1 of 2 queries had no result within 1 seconds.")


def test_route_of_nothing_is_exit_1(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", *ON_AWS]) == 1
    assert "no query" in capsys.readouterr().err


def test_file_of_queries_with_a_bad_line_names_it(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"query": "fine"}\n{"text": "no"}\n')
    assert main(["route", "--file", str(file), *ON_AWS]) == 1
    assert "line 2" in capsys.readouterr().err


def test_every_ended_state_has_an_exit_code() -> None:
    assert {*cli.VERDICTS, State.RETIRED} == ENDED
