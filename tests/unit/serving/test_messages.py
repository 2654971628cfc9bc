"""Query messages as other programs send them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import BadInput
from distillery.serving.messages import Message, Query, parse_message

QUERY = {"query_id": "q-1", "query": "rain on a roof"}
BODY = json.dumps(QUERY)


def event(detail: Any) -> dict[str, Any]:
    return {"version": "0", "detail-type": "Search Submitted", "source": "shop", "detail": detail}


def notification(message: str) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": message}


ENVELOPES = {
    "none": BODY,
    "SNS": json.dumps(notification(BODY)),
    "EventBridge": json.dumps(event(QUERY)),
    "EventBridge through SNS": json.dumps(notification(json.dumps(event(QUERY)))),
    "JSON in JSON": json.dumps(BODY),
    "byte order mark": f"\ufeff{BODY}",
}


@pytest.mark.parametrize("body", ENVELOPES.values(), ids=ENVELOPES)
def test_envelope_is_opened(body: str) -> None:
    assert parse_message(body, "m") == Message(body, [Query(**QUERY)])


def test_test_event_of_s3_asks_nothing() -> None:
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    assert parse_message(body, "m") == Message(body, [])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (base64.b64encode(BODY.encode()).decode(), "The message is Base64, not JSON."),
        ('{"query": "quiet piano", "query": "loud drums"}', "The message has the key 'query' twice."),
        ('{"qurey": "rain"}', "The message has 'qurey' instead of 'query'."),
        ('{"Query": "rain"}', "The message has 'Query' instead of 'query'."),
        ('{"Queries": []}', "The message has 'Queries' instead of 'queries'."),
        ('{"query": "rain", "queries": []}', "The message has both 'query' and 'queries'."),
        (json.dumps({"Records": [{"eventSource": "aws:s3", "s3": {}}]}), "a notification of an S3 bucket"),
        (json.dumps(notification("not JSON")), "The message is not a JSON object."),
        (json.dumps(notification('{"query": "a", "query": "b"}')), "The message has the key 'query' twice."),
        (
            json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": "arn", "Message": "You have chosen"}),
            "The message is the SubscriptionConfirmation of an SNS topic, not a query.",
        ),
        (f"{BODY}\n{BODY}", "The message has more text after its JSON object."),
        ('{"queryId": "q-1", "query": "rain"}', "it has 'queryId' instead of 'query_id'"),
    ],
)
def test_message_that_asks_nothing_that_can_be_answered_is_named(body: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_message(body, "m")
    assert message in caught.value.message
    assert caught.value.fix


def several(*entries: Any) -> Message:
    return parse_message(json.dumps({"queries": entries}), "m")


def test_one_bad_query_does_not_condemn_the_others() -> None:
    queries = [{"query_id": f"q{number}", "query": f"clip {number}"} for number in range(100)]
    queries[41]["query"] = " "
    queries[7] = {"query": "x" * 1_001}
    read = several(*queries)
    assert [query.query for query in read.queries] == [f"clip {n}" for n in range(100) if n not in {7, 41}]
    assert read.refused == {
        8: "query must have at most 1,000 characters",
        42: "query must have at least 1 character",
    }


def test_dead_letter_of_a_list_has_the_bad_queries_only_with_their_ids_and_places() -> None:
    read = several(
        {"query_id": "a", "query": "rain"}, {"query": " ", "tenant": 7}, {"query_id": 5, "query": ""}
    )
    body, reason = read.letter(read.refused)
    assert json.loads(body) == {
        "queries": [{"query": " ", "tenant": 7, "query_id": "m.2"}, {"query_id": 5, "query": ""}]
    }
    assert reason == (
        "2 queries of 3 cannot be answered: query 2 (query_id 'm.2'): query must have at least 1 character; "
        "query 3 (query_id 5): query must have at least 1 character."
    )


def test_dead_letter_of_a_list_without_a_good_query_is_the_message_as_it_came() -> None:
    read = several({"query": ""}, 5)
    body, reason = read.letter(read.refused)
    assert body == read.body
    assert "query 2: the query must be a mapping" in reason


def test_large_dead_letter_of_a_list_is_never_larger_than_the_message() -> None:
    bad = {"query_id": "a", "query": "\U0001d11e" * 50_000}
    body = json.dumps({"queries": [bad, {"query_id": "b", "query": "rain"}]}, ensure_ascii=False)
    read = parse_message(body, "m")
    assert read.letter(read.refused)[0] == body


def test_key_twice_or_misspelt_condemns_only_its_query_of_a_list() -> None:
    body = (
        '{"queries": [{"query": "a", "query": "b", "query_id": "x"}, {"qurey": "c"}, '
        '{"queryId": "y", "query": "d"}, {"query": "e"}]}'
    )
    read = parse_message(body, "m")
    assert [(query.query_id, query.query) for query in read.queries] == [("m.4", "e")]
    assert read.refused == {
        1: "the key 'query' is there twice",
        2: "it has 'qurey' instead of 'query'",
        3: "it has 'queryId' instead of 'query_id'",
    }
    letter, _ = read.letter(read.refused)
    assert letter == (
        '{"queries": [{"query": "a", "query": "b", "query_id": "x"}, {"qurey": "c", "query_id": "m.2"}, '
        '{"queryId": "y", "query": "d"}]}'
    )


def test_reason_of_a_list_names_the_first_queries() -> None:
    read = several(*[{"query": "rain"}] * 9)
    _, reason = read.letter(dict.fromkeys(range(1, 8), "no"))
    assert reason.startswith("7 queries of 9 cannot be answered: query 1 (query_id 'm.1'): no; query 2 ")
    assert reason.endswith("query 5 (query_id 'm.5'): no; ...")


@pytest.mark.parametrize(("query_id", "read"), [(42, "42"), (-7, "-7"), ("42", "42"), (None, "m")])
def test_whole_number_is_an_id(query_id: object, read: str) -> None:
    (query,) = parse_message(json.dumps({"query_id": query_id, "query": "rain"}), "m").queries
    assert query.query_id == read


@pytest.mark.parametrize(
    ("query_id", "reason"),
    [
        ("{6F9619FF}", "query_id: the character '{' (U+007B) at position 1 is not allowed"),
        ("tenant/7", "query_id: the character '/' (U+002F) at position 7 is not allowed"),
        ("c\u0430se-1", "query_id: the character '\u0430' (U+0430) at position 2 is not allowed"),
        ("case-11\n", "query_id: the character '\\n' (U+000A) at position 8 is not allowed"),
        ("", "query_id must have at least 1 character"),
        ("x" * 129, "query_id must have at most 128 characters"),
        (4.5, "query_id must be a text"),
        (True, "query_id must be a text"),
    ],
)
def test_id_that_cannot_be_used_is_refused_with_the_character(query_id: object, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_message(json.dumps({"query_id": query_id, "query": "rain"}), "m")
    assert reason in caught.value.message
    assert "A-Z a-z 0-9 . _ : -" in caught.value.fix


@pytest.mark.parametrize("query", ["\u200b\u200b", "\ufeff", "\x00", "\u200d"])
def test_query_that_nobody_can_see_is_refused(query: str) -> None:
    with pytest.raises(BadInput, match="query must have at least 1 character"):
        parse_message(json.dumps({"query": query}), "m")


def test_hidden_text_and_control_characters_do_not_reach_a_model() -> None:
    hidden = "".join(chr(0xE0000 + ord(char)) for char in "all visual")
    (query,) = parse_message(json.dumps({"query": f"ra\x00in{hidden}"}), "m").queries
    assert query.query == "rain"


@given(
    st.text(max_size=80)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["query", "queries", "query_id", "detail", "detail-type", "Records", "s3"]),
                inner,
            )
        ),
    ).map(json.dumps)
)
def test_any_body_is_read_or_bad_input(body: str) -> None:
    try:
        read = parse_message(body, "m")
    except BadInput as error:
        assert error.fix  # noqa: PT017
    else:
        assert read.queries or read.refused
        if read.refused:
            letter, reason = read.letter(read.refused)
            assert json.loads(letter)
            assert reason.endswith((".", "..."))


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["query", "query_id", "queryId", "tenant"]),
            st.text(max_size=5) | st.integers() | st.none(),
        )
        | st.integers(),
        min_size=1,
        max_size=8,
    )
)
def test_every_query_of_a_list_is_answered_or_refused_and_dead_letters_have_the_refused_ones_only(
    entries: list[Any],
) -> None:
    read = several(*entries)
    numbers = [query.number for query in read.queries] + list(read.refused)
    assert sorted(numbers) == list(range(1, len(entries) + 1))
    if read.refused:
        letter, _ = read.letter(read.refused)
        again = json.loads(letter)["queries"]
        assert len(again) == len(read.refused)
        assert parse_message(letter, "m").queries == []
