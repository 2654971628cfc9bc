"""`distillery route`."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from cli import query_queue
from cli.app import main
from distillery.aws.tables import to_item
from distillery.task.channels import Channel, ChannelConfig
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": null}', "line 2: the query is null, not a text"),
        ('{"query": 1987}', "line 2: the query is"),
        ('{"query": {"text": "rain"}}', "line 2: the query is"),
        ('{"query": true}', "line 2: the query is true"),
        ('{"query": "  "}', "line 2: the query is empty"),
        ('{"query": "\\u200b"}', "line 2: the query is empty"),
        ('{"query": "a", "query": "b"}', "line 2:"),
        ('{"text": "a"}', "line 2: not a JSON object with the key"),
        (json.dumps({"query": "x" * 1_001}), "line 2: the query has 1,001 characters"),
        ('{"query": "half \\ud83d"}', "line 2: the query is not valid Unicode"),
    ],
)
def test_line_that_cannot_be_sent_is_refused_before_anything_is_sent(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(f'{{"query": "fine"}}\n{line}\n')
    assert main(["route", "--file", str(file), *ON_AWS]) == 1
    assert message in capsys.readouterr().err
    queue = stack.output("QueryQueueUrl")
    assert "Messages" not in stack.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=0)


def test_byte_order_mark_is_no_part_of_the_first_query(tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_bytes(b"\xef\xbb\xbfrain\r\nhail\r\n")
    assert [one.query for one in query_queue.read_queries(file)] == ["rain", "hail"]


def test_plain_lines_with_braces_are_queries_outside_jsonl(tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_text('{rain} lyrics\n{"visual": 1} hail\n[live] concert\n{"query": "third"}\n')
    queries = [one.query for one in query_queue.read_queries(file)]
    assert queries == ["{rain} lyrics", '{"visual": 1} hail', "[live] concert", "third"]


def test_fields_of_a_line_are_kept_in_its_result(
    answering: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"query_id": "mine-1", "query": "rain", "customer": 7}\n')
    assert main(["route", "--file", str(file), "--json", *ON_AWS]) == 0
    (result,) = printed(capsys)["results"]
    assert (result["query_id"], result["customer"], result["query"]) == ("mine-1", 7, "rain")


def test_results_that_are_routed_again_get_new_weights(
    answering: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text('{"query": "rain", "weights": "none", "dominant": "a", "source": "fallback"}\n')
    assert main(["route", "--file", str(file), "--json", *ON_AWS]) == 0
    (result,) = printed(capsys)["results"]
    assert (result["weights"], result["dominant"], result["source"]) == ({"a": 0.2, "b": 0.8}, "b", "model")


def test_weights_are_in_the_order_of_the_channels_in_every_output(
    answering: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = ChannelConfig(
        subject="sounds",
        channels=(Channel(name="b", description="b"), Channel(name="a", description="a")),
        fallback={"b": 0.5, "a": 0.5},
        label_grid=0.1,
    )
    monkeypatch.setattr("cli.commands.queries.stack_channel_config", lambda _: channels)
    assert main(["route", "rain", "--json", *ON_AWS]) == 0
    assert list(printed(capsys)["results"][0]["weights"]) == ["b", "a"]
    assert main(["route", "rain", *ON_AWS]) == 0
    assert capsys.readouterr().out.split()[:3] == ["query", "b", "a"]
    for name in ("out.csv", "out.jsonl"):
        assert main(["route", "rain", "--out", str(tmp_path / name), *ON_AWS]) == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0].endswith(",b,a")
    assert '"weights": {"b": 0.8, "a": 0.2}' in (tmp_path / "out.jsonl").read_text()


def test_queries_come_through_standard_input(
    answering: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"query": "rain"}\nhail\n')))
    assert main(["route", "--file", "-", "--json", *ON_AWS]) == 0
    assert [result["query"] for result in printed(capsys)["results"]] == ["rain", "hail"]


def test_json_with_an_output_file_is_one_document(
    answering: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert main(["route", "rain", "--out", str(out), "--json", *ON_AWS]) == 0
    assert printed(capsys) == {"file": str(out), "written": 1, "unanswered": []}


def test_query_that_the_locale_could_not_decode_is_read_as_utf8(
    answering: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    # What Python gives for the bytes of an argument in the C locale.
    argument = "猫".encode().decode("ascii", "surrogateescape")
    assert main(["route", argument, "--json", *ON_AWS]) == 0
    assert printed(capsys)["results"][0]["query"] == "猫"


def test_query_that_is_not_utf8_is_refused(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", b"\xff\xfe".decode("utf-8", "surrogateescape"), *ON_AWS]) == 1
    assert "not valid Unicode text" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_results_are_written_to_a_file_that_is_not_overwritten(
    answering: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / name
    assert main(["route", "rain, hail", "--out", str(out), *ON_AWS]) == 0
    content = out.read_text()
    if name.endswith(".csv"):
        (row,) = csv.DictReader(io.StringIO(content))
        assert (row["query"], row["a"], row["b"]) == ("rain, hail", "0.2", "0.8")
    else:
        assert json.loads(content)["weights"] == {"a": 0.2, "b": 0.8}
    assert main(["route", "rain", "--out", str(out), *ON_AWS]) == 1
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == content
    assert main(["route", "rain", "--out", str(out), "--force", *ON_AWS]) == 0


def test_folder_of_the_output_file_must_exist(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["route", "rain", "--out", str(tmp_path / "none" / "out.csv"), *ON_AWS]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_query_that_begins_with_a_hyphen_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "-music rain"]) == 2
    assert "Put -- before queries" in capsys.readouterr().err
