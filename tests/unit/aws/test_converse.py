"""Converse: what is read out of the shapes that Bedrock answers in, and what a second call sends."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.aws.bedrock.converse import Converse, Correction

TEXT = {"text": "weights"}
REASONING = {"reasoningContent": {"reasoningText": {"text": "a draft"}}}
TOOL = {"toolUse": {"toolUseId": "1", "name": "answer", "input": {"visual": 1}}}


class Client:
    """A Bedrock runtime client that answers with given blocks and keeps what it was sent."""

    def __init__(self, message: dict[str, Any], stop_reason: str = "end_turn") -> None:
        self.message, self.stop_reason = message, stop_reason
        self.sent: dict[str, Any] = {}

    def converse(self, **sent: Any) -> dict[str, Any]:
        self.sent = sent
        return {
            "output": self.message,
            "stopReason": self.stop_reason,
            "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
            "metrics": {"latencyMs": 5},
        }


def reply(blocks: list[Any], stop_reason: str = "end_turn") -> Any:
    client = Client({"message": {"role": "assistant", "content": blocks}}, stop_reason)
    return Converse(client).ask("m", "s", "q")  # type: ignore[arg-type]  # a stub


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ([TEXT], "weights"),
        ([{"text": "wei"}, {"text": "ghts"}], "weights"),
        ([REASONING, TEXT], "weights"),
        ([REASONING], ""),
        ([TOOL], '{"visual": 1}'),
        ([], ""),
    ],
    ids=["text", "two texts", "reasoning then text", "reasoning only", "tool call", "empty"],
)
def test_text_of_an_answer(blocks: list[Any], text: str) -> None:
    assert reply(blocks).text == text


def test_answer_without_a_message_has_no_text() -> None:
    answered = Converse(Client({}, "guardrail_intervened")).ask("m", "s", "q")  # type: ignore[arg-type]  # a stub
    assert (answered.text, answered.stop_reason) == ("", "guardrail_intervened")


def test_stop_reason_is_kept() -> None:
    assert reply([TEXT], "max_tokens").stop_reason == "max_tokens"


@pytest.mark.parametrize(
    ("answer", "turns"),
    [("prose ", ["q", "prose", "Again."]), (" ", ["q\n\nAgain."])],
    ids=["after an answer", "after an empty answer"],
)
def test_correction_shows_the_answer_and_has_no_empty_turn(answer: str, turns: list[str]) -> None:
    client = Client({"message": {"content": [TEXT]}})
    Converse(client).ask("m", "s", "q", correction=Correction(answer, "Again."))  # type: ignore[arg-type]  # a stub
    assert [turn["content"][0]["text"] for turn in client.sent["messages"]] == turns
    assert [turn["role"] for turn in client.sent["messages"]] == ["user", "assistant", "user"][: len(turns)]
