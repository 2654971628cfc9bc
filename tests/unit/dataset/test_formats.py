"""Files in the formats of other tools: one finding for the file, and their conversion."""

from __future__ import annotations

import contextlib
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.dataset import formats
from distillery.dataset.formats import NotConvertible, convert, form_of
from distillery.dataset.records import check_line
from tests.unit.dataset.datasets import CHANNELS, LABEL, validate, varied_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

PROMPT = "Weigh the channels."
LABEL_TEXT = json.dumps({**LABEL, "reasoning": "Seen; not heard."})
QUERIES = [f'red "kite" number {number}; über, dächern' for number in range(120)]


def conversation(query: str) -> dict[str, Any]:
    return {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": PROMPT}],
        "messages": [
            {"role": "user", "content": [{"text": query}]},
            {"role": "assistant", "content": [{"text": LABEL_TEXT}]},
        ],
    }


def chat(query: str) -> dict[str, Any]:
    turns = (("system", PROMPT), ("user", query), ("assistant", LABEL_TEXT))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def log(query: str) -> dict[str, Any]:
    user, assistant = conversation(query)["messages"]
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "input": {"inputBodyJson": {"system": [{"text": PROMPT}], "messages": [user]}},
        "output": {"outputBodyJson": {"output": {"message": assistant}}},
    }


def with_reasoning(query: str) -> dict[str, Any]:
    record = conversation(query)
    block = {"reasoningContent": {"reasoningText": {"text": "Let me think."}}}
    record["messages"][1]["content"].insert(0, block)
    return record


def json_lines(records: Iterable[Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def table(delimiter: str, decimal: str) -> bytes:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    rows = [["Query", *CHANNELS, "reasoning"]]
    weights = [str(weight).replace(".", decimal) for weight in LABEL.values()]
    rows += [[query, *weights, "Seen; not heard."] for query in QUERIES]
    return "".join(delimiter.join(map(cell, row)) + "\r\n" for row in rows).encode()


def framed(content: bytes, size: int = 4_096) -> bytes:
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    signature = b";chunk-signature=" + b"8" * 64
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), signature, part) for part in [*parts, b""])


RECORDS = [conversation(query) for query in QUERIES]
FILES: dict[str, bytes] = {
    "OpenAI's chat form": json_lines(map(chat, QUERIES)),
    "prompt and completion": json_lines({"prompt": query, "completion": LABEL_TEXT} for query in QUERIES),
    "query and label object": json_lines(
        {"query": query, "label": json.loads(LABEL_TEXT)} for query in QUERIES
    ),
    "invocation log": json_lines(map(log, QUERIES)),
    "packed invocation log": gzip.compress(json_lines(map(log, QUERIES))),
    "reasoning blocks": json_lines(map(with_reasoning, QUERIES)),
    "array": json.dumps(RECORDS).encode(),
    "indented array": json.dumps(RECORDS, indent=2).encode(),
    "array of OpenAI's chat form": json.dumps([chat(query) for query in QUERIES]).encode(),
    "objects that span lines": "\n".join(json.dumps(record, indent=2) for record in RECORDS).encode(),
    "CSV": table(",", "."),
    "CSV with semicolons and decimal commas": table(";", ","),
    "TSV": table("\t", "."),
    "byte order mark": b"\xef\xbb\xbf" + table(",", "."),
    "frames of an upload": framed(json_lines(RECORDS)),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_other_format_is_one_finding_that_names_the_command(content: bytes) -> None:
    report = validate(content).report
    assert (report.lines, report.finding_counts) == (0, {"other_format": 1})
    assert report.reasons[0].startswith("The file is ")
    assert report.reasons[0].endswith("Convert it: `distillery doctor FILE --fix OUT`.")


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_conversion_keeps_every_query_and_label(content: bytes) -> None:
    records = [check_line(line.rstrip(b"\n"), 1, CHANNELS) for line in convert(content, CHANNELS)]
    assert [checked.findings for checked in records] == [[]] * len(QUERIES)
    assert [checked.record.query for checked in records if checked.record] == QUERIES
    assert {checked.record.reasoning for checked in records if checked.record} == {"Seen; not heard."}
    assert all(checked.record.label == LABEL for checked in records if checked.record)


def test_query_without_a_label_stays_without_one() -> None:
    content = json_lines({"prompt": query} for query in QUERIES)
    records = [check_line(line.rstrip(b"\n"), 1, CHANNELS).record for line in convert(content, CHANNELS)]
    assert [(record.query, record.label) for record in records if record] == [
        (query, None) for query in QUERIES
    ]


def test_git_lfs_pointer_names_the_command_that_fetches_the_data() -> None:
    report = validate(b"version https://git-lfs.github.com/spec/v1\noid sha256:88\nsize 1048576\n").report
    assert report.reasons == ["The file is a Git LFS pointer, not the data. Fetch the data: `git lfs pull`."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json_lines([chat("a"), chat("b")]) + b"{broken\n", "line 3 is not JSON"),
        (json_lines([chat("a")]) + b"[1]\n", "line 2 is not a JSON object"),
        (json_lines([{"messages": [{"role": "system", "content": "a"}]}]), "line 1 has not one user turn"),
        (json_lines([{"prompt": "a"}] * 6 + [{"completion": "b"}]), "line 7 has no prompt"),
        (b"query,visual\na,0.5\nb\n", "line 3 has 1 columns instead of 2"),
        (b"query,visual,audio,transcription,metadata\na,much,0,0,0\n", "line 2 has the weight 'much'"),
        (json.dumps(RECORDS).encode()[:-40], "the JSON cannot be read near character"),
        (json_lines(RECORDS), "the file is in no form that can be converted"),
    ],
)
def test_file_that_does_not_keep_to_its_form_is_refused_with_a_place(content: bytes, message: str) -> None:
    with pytest.raises(NotConvertible, match=message):
        list(convert(content, CHANNELS))


def test_file_that_unpacks_to_more_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_BYTES", 10_000)
    with pytest.raises(NotConvertible, match=r"more than 10,000 bytes"):
        list(convert(gzip.compress(json_lines(map(log, QUERIES))), CHANNELS))


def test_dataset_is_no_other_format() -> None:
    content = b"".join(varied_lines(20))
    assert form_of(content, CHANNELS) is None
    assert form_of(b"\n\n" + content, CHANNELS) is None
    assert form_of(b"not JSON\n" + content, CHANNELS) is None


def _damaged(content: bytes, at: int, byte: int) -> bytes:
    return content[: at % len(content)] + bytes([byte]) + content[at % len(content) + 1 :]


@given(st.sampled_from(sorted(FILES)), st.integers(0), st.integers(0, 255))
def test_damaged_file_is_converted_or_refused(name: str, at: int, byte: int) -> None:
    lines: list[bytes] = []
    with contextlib.suppress(NotConvertible):
        lines.extend(convert(_damaged(FILES[name][:20_000], at, byte), CHANNELS))
    assert all(isinstance(json.loads(line), dict) for line in lines)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_form_or_none(content: bytes) -> None:
    form = form_of(content, CHANNELS)
    assert form is None or form.fix


GUIDELINES = (
    "Four channels can be searched. Read the request twice, weigh each channel, and answer in JSON. " * 3
)


@pytest.mark.parametrize(
    "turn", [f"{GUIDELINES}\n\nRequest: %s", f"Request: %s\n\n{GUIDELINES}", f"{GUIDELINES}%s"]
)
def test_instructions_in_every_user_turn_are_one_finding_and_move_to_the_system_prompt(turn: str) -> None:
    content = json_lines(conversation(turn % query) for query in QUERIES)
    report = validate([content]).report
    (reason,) = report.reasons
    assert reason.startswith(
        "The file is in conversation form with the same instructions in every user turn, "
    )
    assert report.finding_counts == {"other_format": 1}
    records = [check_line(line, 1, CHANNELS).record for line in convert(content, CHANNELS)]
    assert [record.query for record in records if record] == QUERIES
    assert all(GUIDELINES.strip() in record.system for record in records if record)


def test_instructions_in_the_prompts_of_another_form_are_moved_as_well() -> None:
    content = json_lines(chat(f"{GUIDELINES}\nQuery: {query}") for query in QUERIES)
    records = [check_line(line, 1, CHANNELS).record for line in convert(content, CHANNELS)]
    assert [record.query for record in records if record] == QUERIES


def test_record_without_the_shared_instructions_is_named() -> None:
    long = json_lines(conversation(f"{GUIDELINES}\n{query}") for query in QUERIES * 3)
    with pytest.raises(NotConvertible, match="record 361 has not the instructions"):
        list(convert(long + json_lines([conversation("rain")]), CHANNELS))


def test_queries_that_share_a_template_or_are_equal_are_no_instructions() -> None:
    for queries in ([f"find the clip about the old harbour {n}" for n in range(50)], [GUIDELINES] * 50):
        assert form_of(json_lines(map(conversation, queries)), CHANNELS) is None
