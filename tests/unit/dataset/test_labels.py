"""Labels are read alike whether or not the same text was read before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.dataset import labels
from distillery.dataset.findings import LineError
from distillery.dataset.labels import Label, LabelReader
from tests.unit.dataset.datasets import CHANNELS, FIRST, SECOND, label

if TYPE_CHECKING:
    from distillery.dataset.findings import Finding

LABEL = {**dict.fromkeys(CHANNELS, 0.0), FIRST: 1.0}


@pytest.fixture
def reader() -> LabelReader:
    return LabelReader(CHANNELS)


def read(reader: LabelReader, content: object) -> Label:
    """A label without findings."""
    findings: list[Finding] = []
    text = content if isinstance(content, str) else json.dumps(content)
    found = reader.read(text, 7, findings)
    assert findings == []
    return found


def error_of(reader: LabelReader, content: object) -> LineError:
    with pytest.raises(LineError) as caught:
        read(reader, content)
    return caught.value


def test_weights_equal_in_python_are_checked_again(reader: LabelReader) -> None:
    """The reader remembers labels, and to Python True equals 1, and 0.0 equals -0.0."""
    for top, good in ((1, True), (True, False), (1.0, True), ([1], False), (1, True)):
        content = {**LABEL, FIRST: top, SECOND: -0.0}
        if good:
            assert repr(read(reader, content).weights) == repr(LABEL)
        else:
            assert error_of(reader, content).code == "weight_not_number"


def test_changing_a_label_does_not_change_an_equal_one(reader: LabelReader) -> None:
    read(reader, LABEL).weights[FIRST] = 0.0
    assert read(reader, LABEL).weights == LABEL
    read(reader, LABEL).weights[FIRST] = 0.0
    assert read(reader, LABEL).weights == LABEL


def test_label_that_begins_like_an_earlier_one_needs_all_channels(reader: LabelReader) -> None:
    first, *others = LABEL.items()
    assert read(reader, dict([first, ("reasoning", "x"), *others])).reasoning == "x"
    error = error_of(reader, dict([first, ("reasoning", "y")]))
    assert error.code == "missing_channel"


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_known_weights_with_another_reasoning(reader: LabelReader, separators: tuple[str, str]) -> None:
    for reasoning in ("A picture.", 'Caf\u00e9 "q"', "", "} \\"):
        text = json.dumps({**LABEL, "reasoning": reasoning}, separators=separators)
        assert read(reader, text) == Label(LABEL, reasoning)
        assert error_of(reader, text + "}").code == "label_not_json"


@pytest.mark.parametrize("reasoning", [{}, {"reasoning": "A picture."}])
def test_missing_channel_is_not_reported_as_unknown(reader: LabelReader, reasoning: dict[str, str]) -> None:
    error = error_of(reader, dict.fromkeys(CHANNELS[:2], 0.5) | reasoning)
    assert error.code == "missing_channel"
    assert error.message == f"The label has no weight for {', '.join(CHANNELS[2:])}."
    assert error.fix == (
        f"Use the channels of the channel configuration: {', '.join(CHANNELS)}."
        " Give a channel that does not matter the weight 0."
    )


def test_unknown_channel_is_reported_with_the_missing_ones(reader: LabelReader) -> None:
    error = error_of(reader, {**dict(list(LABEL.items())[:-1]), "smell": 0.0})
    assert error.code == "unknown_channel"
    expected = f"The label has the unknown channel 'smell' and has no weight for {CHANNELS[-1]}."
    assert error.message == expected


def test_text_after_the_label_is_reported_with_its_position(reader: LabelReader) -> None:
    text = json.dumps(LABEL)
    error = error_of(reader, f"{text} as asked")
    assert error.code == "label_not_json"
    assert error.message == (f"The label has more text after its JSON object, at character {len(text) + 2}.")


def test_remembered_labels_are_bounded(reader: LabelReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MOST_KNOWN", 50)
    for number in range(200):
        read(reader, label(number / 1_000))
    assert len(reader._known) == 50
    read(reader, json.dumps(LABEL) + " " * labels.LONGEST_KNOWN)
    assert max(map(len, reader._known)) <= labels.LONGEST_KNOWN


def test_long_labels_are_not_remembered(reader: LabelReader) -> None:
    read(reader, json.dumps(LABEL) + " " * labels.LONGEST_KNOWN)
    assert reader._known == {}
