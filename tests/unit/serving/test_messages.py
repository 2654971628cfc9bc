"""Query messages as other programs send them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import BadInput
from distillery.serving.messages import Message, Query, parse_message, refusal

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
    assert parse_message(body, "m") == Message([Query(**QUERY)], [])


def test_test_event_of_s3_asks_nothing() -> None:
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    assert parse_message(body, "m") == Message([], [])


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
    ],
)
def test_message_that_asks_nothing_that_can_be_answered_is_named(body: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_message(body, "m")
    assert message in caught.value.message
    assert caught.value.fix


def test_one_bad_query_does_not_condemn_the_others() -> None:
    queries = [{"query_id": f"q{number}", "query": f"clip {number}"} for number in range(100)]
    queries[41]["query"] = " "
    queries[7] = {"query": "x" * 1_001}
    read = parse_message(json.dumps({"queries": queries}), "m")
    assert [query.query for query in read.queries] == [f"clip {n}" for n in range(100) if n not in {7, 41}]
    assert read.refused == [
        "queries.7: query must have at most 1,000 characters",
        "queries.41 (query_id 'q41'): query must have at least 1 character",
    ]
    assert refusal(read.refused, 100).startswith("2 queries of 100 cannot be answered: queries.7: ")


def test_second_query_with_an_id_of_the_same_message_is_refused() -> None:
    queries = [{"query_id": "a", "query": text} for text in ("rain", "snow", "rain")]
    read = parse_message(json.dumps({"queries": queries}), "m")
    assert [query.query for query in read.queries] == ["rain", "rain"]
    assert read.refused == ["two queries share the query_id 'a'"]


def test_refusal_names_the_first_reasons() -> None:
    assert refusal([f"r{n}" for n in range(7)], 9) == (
        "7 queries of 9 cannot be answered: r0; r1; r2; r3; r4; ...."
    )


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
        assert read.queries
