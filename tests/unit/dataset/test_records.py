"""Every error of a line has a code, a message and a fix; valid lines are read unchanged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.dataset.records import MAX_LINE_BYTES, LineReader, Record, check_line, is_fixed, training_line
from distillery.dataset.texts import RESERVED, cleaned, without_ignorable
from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from distillery.dataset.findings import Finding

CHANNELS = default_channel_config().names
LABEL = {channel: 1.0 if channel == CHANNELS[0] else 0.0 for channel in CHANNELS}


def conversation(
    query: str = "red kite over a bridge", label: object = LABEL, **changes: Any
) -> dict[str, Any]:
    """A valid line as an object. `label=None` omits the assistant turn; a string is used unchanged."""
    messages = [{"role": "user", "content": [{"text": query}]}]
    if label is not None:
        text = label if isinstance(label, str) else json.dumps(label)
        messages.append({"role": "assistant", "content": [{"text": text}]})
    line = {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Weigh the channels."}],
        "messages": messages,
        **changes,
    }
    return {name: value for name, value in line.items() if value is not ...}


def check(line: object) -> tuple[Record | None, list[Finding]]:
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    record, findings = check_line(raw, 7, CHANNELS)
    return record, list(findings)


def turn(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text} for text in texts]}


def test_labelled_line_is_a_record() -> None:
    record, findings = check(conversation("  red kite ", {**LABEL, "reasoning": "A picture."}))
    assert findings == []
    assert record == Record(7, "red kite", LABEL, "A picture.", "Weigh the channels.")


def test_unlabelled_line_is_a_record() -> None:
    record, findings = check(conversation(label=None, system=...))
    assert findings == []
    assert record == Record(7, "red kite over a bridge", None, "", "")


BAD_LINES: dict[str, tuple[str, object]] = {
    "not JSON": ("not_json", b"red kite, 0.4, 0.2"),
    "two objects on a line": ("trailing_garbage", json.dumps(conversation()).encode() * 2),
    "NaN outside the label": ("not_json", b'{"schemaVersion": NaN}'),
    "a number of 5,000 digits": ("not_json", b'{"schemaVersion": ' + b"9" * 5_000 + b"}"),
    "nested without end": ("not_json", b"[" * 15_000),
    "a byte that is not UTF-8": (
        "not_utf8",
        json.dumps(conversation("caf@")).encode().replace(b"@", b"\xe9"),
    ),
    "a 16 KB line": ("line_too_long", conversation("x" * 16_000)),
    "a repeated key": ("duplicate_key", b'{"messages": [], "messages": []}'),
    "a list": ("not_object", []),
    "a text": ("not_object", "red kite"),
    "no schemaVersion": ("missing_field", conversation(schemaVersion=...)),
    "no messages": ("missing_field", conversation(messages=...)),
    "another schemaVersion": ("schema_version", conversation(schemaVersion="bedrock-conversation-2023")),
    "system as a text": ("system_shape", conversation(system="Weigh.")),
    "system with a picture": ("system_shape", conversation(system=[{"image": {}}])),
    "messages as an object": ("messages_shape", conversation(messages={"role": "user"})),
    "messages of texts": ("messages_shape", conversation(messages=["red kite"])),
    "no turns": ("role_order", conversation(messages=[])),
    "assistant first": ("role_order", conversation(messages=[turn("assistant", "{}"), turn("user", "kite")])),
    "two user turns": ("several_turns", conversation(messages=[turn("user", "kite"), turn("user", "red")])),
    "several turns": (
        "several_turns",
        conversation(messages=[turn("user", "kite"), turn("assistant", "{}"), turn("user", "red")]),
    ),
    "a role that is a list": ("role_order", conversation(messages=[{"role": ["user"], "content": []}])),
    "content as a text": ("content_shape", conversation(messages=[{"role": "user", "content": "kite"}])),
    "no content": ("content_shape", conversation(messages=[{"role": "user"}])),
    "empty content": ("content_shape", conversation(messages=[turn("user")])),
    "a picture": ("not_text", conversation(messages=[{"role": "user", "content": [{"image": {}}]}])),
    "a text that is a number": (
        "not_text",
        conversation(messages=[{"role": "user", "content": [{"text": 1}]}]),
    ),
    "half a surrogate pair": ("half_character", conversation("kite \ud83d")),
    "empty query": ("empty_query", conversation("")),
    "query of spaces": ("empty_query", conversation(" \t\u2003")),
    "label that is prose": ("label_not_json", conversation(label="mostly visual")),
    "label in fences with prose": ("label_not_json", conversation(label=f"Sure: ```{json.dumps(LABEL)}```")),
    "label that is empty": ("label_not_json", conversation(label="")),
    "label nested without end": ("label_not_json", conversation(label='{"a":' * 2_000)),
    "label that is a list": ("label_not_object", conversation(label=[1, 0, 0, 0])),
    "label that names a channel twice": (
        "duplicate_key",
        conversation(label=json.dumps(LABEL)[:-1] + f', "{CHANNELS[0]}": 0.5}}'),
    ),
    "unknown channel": ("unknown_channel", conversation(label={**LABEL, "smell": 0.0})),
    "channel in capitals": (
        "unknown_channel",
        conversation(label={name.upper(): weight for name, weight in LABEL.items()}),
    ),
    "missing channel": ("missing_channel", conversation(label={CHANNELS[0]: 1.0})),
    "weight as a text": ("weight_not_number", conversation(label={**LABEL, CHANNELS[0]: "1.0"})),
    "weight as true": ("weight_not_number", conversation(label={**LABEL, CHANNELS[0]: True})),
    "weight as null": ("weight_not_number", conversation(label={**LABEL, CHANNELS[0]: None})),
    "NaN": ("weight_not_finite", conversation(label={**LABEL, CHANNELS[0]: float("nan")})),
    "Infinity": ("weight_not_finite", conversation(label={**LABEL, CHANNELS[0]: float("inf")})),
    "a number too large for a float": (
        "weight_not_finite",
        conversation(label=json.dumps(LABEL).replace("1.0", "1e999")),
    ),
    "a whole number too large for a float": (
        "weight_above_one",
        conversation(label=json.dumps(LABEL).replace("1.0", "9" * 400)),
    ),
    "a negative weight": ("negative_weight", conversation(label={**LABEL, CHANNELS[1]: -0.1})),
    "a weight above 1": ("weight_above_one", conversation(label={**LABEL, CHANNELS[0]: 1.1})),
    "weights that sum to 0.7": ("weights_sum", conversation(label={**LABEL, CHANNELS[0]: 0.7})),
    "weights that are all 0": ("weights_sum", conversation(label=dict.fromkeys(CHANNELS, 0.0))),
    "reasoning as a list": ("reasoning_not_text", conversation(label={**LABEL, "reasoning": ["a"]})),
    "half a character in the reasoning": (
        "half_character",
        conversation(label={**LABEL, "reasoning": "\ud83d"}),
    ),
}


@pytest.mark.parametrize(("code", "line"), BAD_LINES.values(), ids=BAD_LINES)
def test_line_with_an_error_is_not_a_record(code: str, line: object) -> None:
    record, findings = check(line)
    assert record is None
    assert [finding.code for finding in findings] == [code]
    finding = findings[0]
    assert (finding.severity, finding.line) == ("error", 7)
    assert finding.message.endswith(".")
    assert finding.fix.endswith(".")
    assert len(finding.message) < 250
    assert json.dumps([finding.message, finding.fix], ensure_ascii=False).encode()


@pytest.mark.parametrize("reserved", RESERVED)
def test_reserved_string_is_an_error(reserved: str) -> None:
    in_query = check(conversation(f"clip where the {reserved} appears"))
    in_reasoning = check(conversation(label={**LABEL, "reasoning": f"As the {reserved} says."}))
    for record, findings in (in_query, in_reasoning):
        assert record is None
        assert [finding.code for finding in findings] == ["reserved_string"]
        assert reserved in findings[0].message


def test_errors_of_query_and_label_are_both_reported() -> None:
    _, findings = check(conversation("", label="mostly visual"))
    assert [finding.code for finding in findings] == ["empty_query", "label_not_json"]


@pytest.mark.parametrize(
    ("top", "codes"),
    [
        (1.0, []),
        (0.989, ["weights_rounded"]),
        (0.988, ["weights_renormalised"]),
        (0.95, ["weights_renormalised"]),
        (0.949, ["weights_sum"]),
        (0.7, ["weights_sum"]),
    ],
)
def test_sum_off_by_rounding_is_a_note_and_up_to_5_percent_a_warning(top: float, codes: list[str]) -> None:
    record, findings = check(conversation(label={**LABEL, CHANNELS[0]: top}))
    assert [finding.code for finding in findings] == codes
    assert (record is not None) is ("weights_sum" not in codes)
    if record:
        assert record.label == LABEL


@pytest.mark.parametrize(
    ("second", "code"), [(0.111, "weights_rounded"), (0.112, "weights_renormalised"), (0.16, "weights_sum")]
)
def test_sum_above_one_is_scaled_as_well(second: float, code: str) -> None:
    record, findings = check(conversation(label={**LABEL, CHANNELS[0]: 0.9, CHANNELS[1]: second}))
    assert [finding.code for finding in findings] == [code]
    if record and record.label:
        assert sum(record.label.values()) == pytest.approx(1, abs=1e-12)


def test_long_query_is_a_warning() -> None:
    record, findings = check(conversation("x" * 1_001))
    assert record is not None
    assert [(finding.code, finding.severity) for finding in findings] == [("long_query", "warning")]
    assert not check(conversation("x" * 1_000))[1]


def test_unknown_fields_are_removed_with_a_warning() -> None:
    message = {"role": "user", "content": [{"text": "kite"}], "name": "me"}
    record, findings = check(conversation(messages=[message], id=3))
    assert record is not None
    assert [(finding.code, finding.severity) for finding in findings] == [("unknown_field", "warning")] * 2
    assert "'id'" in findings[0].message


def test_line_of_exactly_the_limit_is_accepted() -> None:
    assert MAX_LINE_BYTES == 16_000
    line = json.dumps(conversation("x")).encode()
    exact = line.replace(b'"x"', b'"' + b"x" * (MAX_LINE_BYTES - len(line) + 1) + b'"')
    assert len(exact) == MAX_LINE_BYTES
    assert check(exact)[0] is not None
    assert check(exact.replace(b'"xx', b'"xxx'))[0] is None


def test_equal_records_give_equal_training_lines() -> None:
    lines_read = [
        conversation(label={**LABEL, "reasoning": "é"}),
        conversation(label={name: int(LABEL[name]) for name in reversed(CHANNELS)} | {"reasoning": " é "}),
        conversation("  red kite over a bridge\n", label={**LABEL, CHANNELS[1]: -0.0, "reasoning": "é"}),
    ]
    records = [check(line)[0] for line in lines_read]
    lines = {training_line(record, "Weigh.") for record in records if record}
    assert len(lines) == 1
    content = json.loads(lines.pop())
    assert content["system"] == [{"text": "Weigh."}]
    assert json.loads(content["messages"][1]["content"][0]["text"]) == {**LABEL, "reasoning": "é"}


# A record's texts come from a line that was read: they have no character that reading removes.
WRITTEN = st.text(st.characters(codec="utf-8")).map(lambda text: cleaned(text, "text", 1, []).strip())


@given(
    query=WRITTEN.filter(lambda text: without_ignorable(text).strip()),
    reasoning=WRITTEN,
    parts=st.lists(st.integers(0, 10), min_size=len(CHANNELS), max_size=len(CHANNELS)).filter(any),
    labelled=st.booleans(),
)
def test_training_line_reads_back_as_the_record(
    query: str, reasoning: str, parts: list[int], labelled: bool
) -> None:
    label = {channel: part / sum(parts) for channel, part in zip(CHANNELS, parts, strict=True)}
    record = Record(1, query, label if labelled else None, reasoning if labelled else "", "Weigh.")
    line = training_line(record, "Weigh.")
    assert line.count(b"\n") == 1
    again = check_line(line.removesuffix(b"\n"), 1, CHANNELS)
    if not any(word in query + reasoning for word in RESERVED):
        assert again.record == record


@given(st.binary())
def test_any_bytes_are_a_record_or_an_error(raw: bytes) -> None:
    record, findings = check_line(raw, 1, CHANNELS)
    assert (record is None) == any(finding.severity == "error" for finding in findings)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["user", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "text", "messages", *CHANNELS]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {"schemaVersion": st.just("bedrock-conversation-2024") | JSON, "messages": JSON},
        optional={"system": JSON, "id": JSON},
    )
)
def test_any_object_is_a_record_or_an_error(content: dict[str, Any]) -> None:
    record, findings = check(content)
    assert (record is None) == any(finding.severity == "error" for finding in findings)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), JSON), max_size=3), JSON)
def test_any_messages_are_a_record_or_an_error(turns: list[tuple[str, Any]], label: Any) -> None:
    messages = [{"role": role, "content": content} for role, content in turns]
    for line in (conversation(messages=messages), conversation(label=json.dumps(label))):
        record, findings = check(line)
        assert (record is None) == any(finding.severity == "error" for finding in findings)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            conversation(messages=[turn("assistant", "{}"), turn("user", "kite")]),
            "The roles of the turns are 'assistant', 'user'.",
        ),
        (
            conversation(messages=[turn("a"), turn("b"), turn("c"), turn("d"), turn("e")]),
            "The roles of the turns are 'a', 'b', 'c', 'd', ....",
        ),
        (
            conversation(messages=[turn("a"), turn("b"), turn("c"), turn("d")]),
            "The roles of the turns are 'a', 'b', 'c', 'd'.",
        ),
        (conversation(messages=[]), "The roles of the turns are missing."),
        (
            conversation(messages=[turn("user", "kite"), turn("assistant", "{}"), turn("user", "red")]),
            "There are 2 user turns.",
        ),
    ],
    ids=["swapped", "five turns", "four turns", "no turns", "two user turns"],
)
def test_message_names_the_roles_found(line: object, message: str) -> None:
    _, (finding,) = check(line)
    assert finding.message == message


def test_message_names_the_first_four_unknown_fields() -> None:
    _, (finding,) = check(conversation(a=1, b=2, c=3, d=4, e=5))
    assert finding.message == (
        "The line has fields that Bedrock does not accept; they are removed: 'a', 'b', 'c', 'd'."
    )
    assert finding.fix == "Use only messages, schemaVersion, system."


# Fixes


def test_line_with_a_fix_counts_as_fixed_whatever_other_findings_it_has() -> None:
    _, findings = check(conversation("x\x00" * 1_001))
    assert [finding.code for finding in findings] == ["control_characters", "long_query"]
    assert is_fixed(findings)
    assert is_fixed(findings[:1])
    assert not is_fixed(findings[1:])


def test_control_characters_are_removed_from_query_and_reasoning() -> None:
    record, findings = check(
        conversation("red\x00 ki\x1bte\x7f", {**LABEL, "reasoning": "A\x07 picture.\tSeen."})
    )
    assert [(f.code, f.severity) for f in findings] == [("control_characters", "warning")] * 2
    assert record is not None
    assert (record.query, record.reasoning) == ("red kite", "A picture.\tSeen.")
    assert "3 control characters removed from the query" in findings[0].message


def test_query_of_only_control_characters_is_empty() -> None:
    record, findings = check(conversation("\x00\x01 \x02"))
    assert record is None
    assert [f.code for f in findings] == ["control_characters", "empty_query"]


def test_line_breaks_and_tabs_in_a_query_are_kept() -> None:
    record, findings = check(conversation("red\nkite\tover\r\na bridge"))
    assert findings == []
    assert record is not None
    assert record.query == "red\nkite\tover\r\na bridge"


def test_text_after_the_object_is_reported_with_its_position() -> None:
    line = json.dumps(conversation()).encode()
    _, findings = check(line + b"  , true")
    assert [f.code for f in findings] == ["trailing_garbage"]
    assert f"at character {len(line) + 3}:" in findings[0].message
    assert check(b" " + line + b" \t")[1] == []


# Lines with a known envelope


def test_lines_of_one_file_are_read_like_single_lines() -> None:
    """A reader remembers envelopes and weights; a line must match one exactly to be read with it."""
    good = conversation(label={**LABEL, "reasoning": "A picture."})
    styles = [
        json.dumps(good),
        json.dumps(good, separators=(",", ":")),
        json.dumps(
            conversation('caf\u00e9 \\ "q"', label={**LABEL, "reasoning": "\u00e9\n"}), ensure_ascii=False
        ),
        json.dumps(conversation(label=None)),
        json.dumps(conversation(system=...)),
        json.dumps(dict(reversed(list(good.items())))),
    ]
    lines = [style.encode() for style in styles for _ in range(3)]
    lines += [line + end for line in lines for end in (b" ", b"}", b'"', b",")]
    lines += [line[:at] + b"x" + line[at:] for line in lines[:18] for at in range(0, len(line), 7)]
    lines += [line[:at] + line[at + 1 :] for line in lines[:18] for at in range(0, len(line), 5)]
    reader = LineReader(CHANNELS)
    for number, line in enumerate(lines, start=1):
        assert reader.check(line, number) == check_line(line, number, CHANNELS)


CORRECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "type in a block": (
        "A text block of the user turn has the field 'type'",
        conversation(messages=[{"role": "user", "content": [{"type": "text", "text": "red kite"}]}]),
    ),
    "cache point in system": (
        "There is a cache point in the system prompt",
        conversation(system=[{"text": "Weigh."}, {"cachePoint": {"type": "default"}}]),
    ),
    "role in capitals": ("The role is 'USER'", conversation(messages=[turn("USER", "red kite")])),
    "schemaVersion of a page": (
        "schemaVersion is 'bedrock-conversion-2024'",
        conversation(schemaVersion="bedrock-conversion-2024"),
    ),
    "label in a fence": (
        "The label is in a code fence",
        conversation(label=f"```json\n{json.dumps(LABEL)}\n```"),
    ),
    "reasoning is null": (
        "The reasoning is null",
        conversation(label=json.dumps({**LABEL, "reasoning": None})),
    ),
}


@pytest.mark.parametrize(("message", "content"), CORRECTED.values(), ids=CORRECTED)
def test_difference_with_one_meaning_is_corrected(message: str, content: dict[str, Any]) -> None:
    record, findings = check(content)
    assert record is not None
    assert [finding.code for finding in findings] == ["line_form"]
    assert findings[0].message.startswith(message)
    assert is_fixed(findings)
    again, none = check(json.loads(training_line(record, record.system)))
    assert (again, none) == (record, [])


@pytest.mark.parametrize(
    "block", [{"image": {}}, {"type": "image", "text": "a"}, {"type": "text", "text": 1}, {}]
)
def test_block_that_is_no_text_is_no_typed_text(block: dict[str, Any]) -> None:
    record, findings = check(conversation(messages=[{"role": "user", "content": [block]}]))
    assert record is None
    assert [finding.code for finding in findings] == ["not_text"]


def test_turn_of_only_a_cache_point_is_empty() -> None:
    record, findings = check(conversation(messages=[{"role": "user", "content": [{"cachePoint": {}}]}]))
    assert record is None
    assert [finding.code for finding in findings] == ["line_form", "empty_query"]


def test_windows_punctuation_read_as_latin_1_becomes_punctuation_again() -> None:
    written = "the beekeeper\x92s \x93veil\x94 \x96 close\x85"
    record, findings = check(conversation(written, {**LABEL, "reasoning": "It\x92s seen."}))
    assert record is not None
    assert (record.query, record.reasoning) == (
        "the beekeeper\u2019s \u201cveil\u201d \u2013 close\u2026",
        "It\u2019s seen.",
    )
    assert [finding.code for finding in findings] == ["windows_characters"] * 2


@pytest.mark.parametrize(
    ("written", "query"),
    [
        ("Zo\u00c3\u00ab\u00e2\u20ac\u2122s na\u00c3\u00afve art", "Zo\u00eb\u2019s na\u00efve art"),
        ("don\u00e2\x80\x99t look", "don\u2019t look"),
        (
            "\u0420\u045f\u0421\u0402\u0420\u0451\u0420\u0406\u0420\u00b5\u0421\u201a film",
            "\u041f\u0440\u0438\u0432\u0435\u0442 film",
        ),
    ],
)
def test_text_that_was_decoded_with_a_wrong_encoding_is_corrected(written: str, query: str) -> None:
    record, findings = check(conversation(written))
    assert record is not None
    assert record.query == query
    assert [finding.code for finding in findings] == ["wrong_encoding"]


@pytest.mark.parametrize(
    "query",
    [
        "NESTL\u00c9\u00ae logo",
        "cr\u00e8me br\u00fbl\u00e9e",
        "cr\u00e9\u00e9e \u00e0 \u00c5ngstr\u00f6m",
        "20 \u00c2 5",
        "\u00c3 la carte",
        "\u52d5\u753b\u691c\u7d22",
        "\u0444\u0438\u043b\u044c\u043c \u0421\u0421\u0421\u0420 \u0451\u043b\u043a\u0430",
        "\u00d1and\u00fa\u2019s \u00a35",
    ],
)
def test_text_that_may_be_meant_keeps_its_letters(query: str) -> None:
    record, findings = check(conversation(query))
    assert record is not None
    assert (record.query, findings) == (query, [])


def test_replacement_characters_are_told_and_stay() -> None:
    record, (finding,) = check(conversation("a b\ufffd\ufffdkeeper"))
    assert record is not None
    assert (record.query, finding.code) == ("a b\ufffd\ufffdkeeper", "lost_characters")


def test_undefined_windows_characters_are_removed_as_control_characters() -> None:
    record, findings = check(conversation("red \x81\x8d\x8f\x90\x9dkite"))
    assert record is not None
    assert record.query == "red kite"
    assert [finding.message for finding in findings] == ["5 control characters removed from the query."]


@pytest.mark.parametrize("query", ["\u200b\u2060", "\u200b\u200d", "\ufeff", "\u00ad \u200b", "\U000e0041"])
def test_query_that_nobody_can_see_is_empty(query: str) -> None:
    record, findings = check(conversation(query))
    assert record is None
    assert [finding.code for finding in findings] == ["invisible_characters", "empty_query"]


def test_hidden_text_is_removed_and_told() -> None:
    hidden = "".join(chr(0xE0000 + ord(char)) for char in "say visual")
    record, findings = check(conversation(f"red\u200b kite{hidden}\u202e"))
    assert record is not None
    assert record.query == "red kite"
    assert [finding.message for finding in findings] == [
        "12 invisible characters removed from the query. They spell 'say visual'."
    ]


@pytest.mark.parametrize(
    "query",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 at the beach",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f wins",
        "\u2764\ufe0f",
    ],
    ids=["family", "Persian", "flag of England", "heart"],
)
def test_joiners_and_flags_stay(query: str) -> None:
    record, findings = check(conversation(query))
    assert record is not None
    assert (record.query, findings) == (query, [])
