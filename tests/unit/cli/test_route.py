"""`distillery route`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli import query_queue
from cli.app import main
from distillery.aws.tables import to_item
from tests.unit.cli.stacks import ON_AWS, RUN, printed

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack


def answer_queue(stack: Stack, weights: dict[str, float], but: str) -> None:
    """Write a result for each queued query except `but`, as the function route_queries does."""
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
    """A stack that answers every query after it was sent, except the query `lost`."""
    send = query_queue._send

    def send_and_answer(to: Stack, queries: dict[str, str]) -> None:
        send(to, queries)
        answer_queue(to, {"a": 0.2, "b": 0.8}, but="lost")

    monkeypatch.setattr(query_queue, "_send", send_and_answer)
    return stack


def test_results_are_in_the_order_of_the_queries(
    answering: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [f"query {number}" for number in range(23)]
    assert main(["route", *sent, "--json", *ON_AWS]) == 0
    answer = printed(capsys)
    assert [result["query"] for result in answer["results"]] == sent
    assert answer["results"][0]["weights"] == {"a": 0.2, "b": 0.8}
    assert answer["unanswered"] == []


def test_route_prints_a_table(answering: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"query": "from [a] file"}\n\nplain text\n{"query": "third"}\n')
    assert main(["route", "--file", str(file), "--limit", "2", *ON_AWS]) == 0
    text = capsys.readouterr().out
    for part in ("from [a] file", "plain text", "0.20", "0.80", "model", "dominant"):
        assert part in text
    assert "third" not in text
    assert f"2 answered by {RUN}" in text


def test_query_without_a_result_is_exit_code_6(answering: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "one", "lost", "--timeout", "1", "--json", *ON_AWS]) == 6
    output = capsys.readouterr()
    assert json.loads(output.out)["unanswered"] == ["lost"]
    assert output.err.startswith("1 of 2 queries have no result after 1 seconds.")


def test_route_without_a_query_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", *ON_AWS]) == 1
    assert "No query" in capsys.readouterr().err


def test_invalid_line_in_a_file_of_queries_is_named(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"query": "fine"}\n{"text": "no"}\n')
    assert main(["route", "--file", str(file), *ON_AWS]) == 1
    assert "line 2" in capsys.readouterr().err
