"""Findings on a dataset, and all their codes with severity, meaning and fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Most severe first."""
LINES_SHOWN = 20
"""Line numbers that a finding lists at most. The message says how many lines there are."""


class Code(NamedTuple):
    """A kind of finding. `fixed` means that validation corrects the line automatically."""

    severity: Severity
    meaning: str
    fix: str
    fixed: bool = False


_ONE_OBJECT = "Write one JSON object per line, with no commas or brackets around the lines."
_ONE_TURN = "Write one user turn, optionally followed by one assistant turn that holds the label."
_LABEL_OBJECT = "Write the label as one JSON object with the channels and, optionally, a reasoning."
_TEXT_LIST = 'Write the content as a list of text blocks: "content": [{"text": "..."}].'
_CHANNELS = (
    "Use exactly the channels of the channel configuration. Give a channel that does not matter the weight 0."
)
_NUMBER = "Use a number from 0 to 1."
_MORE_OF_THEM = "Add queries of this kind if you expect them in production."
_LABEL_MORE = "Label more records to measure the model against labels that it was not trained on."

CODES: dict[str, Code] = {
    # The file
    "empty_file": Code("error", "The file has no lines.", "Write one record per line."),
    "binary_file": Code(
        "error", "The file is binary, not text.", "Drop a text file with one JSON record per line."
    ),
    "compressed_file": Code(
        "error", "The file is compressed.", "Decompress it and drop the JSON Lines file inside."
    ),
    "file_too_large": Code("error", "The file is larger than 2 GB.", "Split it into several datasets."),
    "other_format": Code(
        "error",
        "The file is in a format that another tool writes.",
        "Convert it: `distillery doctor FILE --fix OUT`.",
    ),
    "bad_lines": Code(
        "error",
        "The share of lines with errors is above the limit of the stack.",
        "Fix or remove the lines with errors.",
    ),
    "hopeless_file": Code(
        "error",
        "The file has so many lines with errors, or blank lines, that the rest was not read.",
        "Check that the file is a dataset, then fix or remove these lines.",
    ),
    "too_few_distinct": Code(
        "error", "The file has fewer than 100 distinct usable queries.", "Add other queries."
    ),
    "too_many_records": Code(
        "error",
        "The file has more than the 15,000 records that Bedrock accepts in one job.",
        "Remove records, repeated queries first.",
    ),
    # A line
    "line_too_long": Code(
        "error",
        "A line has more than 16,000 bytes.",
        "Shorten the query or the reasoning, and check for missing line breaks.",
    ),
    "not_utf8": Code("error", "The bytes are not valid UTF-8.", "Save the file as UTF-8."),
    "not_json": Code("error", "The line is not valid JSON.", _ONE_OBJECT),
    "trailing_garbage": Code("error", "The line has more text after its JSON object.", _ONE_OBJECT),
    "duplicate_key": Code("error", "An object has the same key twice.", "Keep one of the two values."),
    "not_object": Code("error", "The line is JSON, but not an object.", _ONE_OBJECT),
    "missing_field": Code("error", "A required field is missing.", "Add the field to the line."),
    "schema_version": Code(
        "error",
        "schemaVersion has an unsupported value.",
        'Write "schemaVersion": "bedrock-conversation-2024".',
    ),
    "system_shape": Code(
        "error",
        "'system' is not a list of text blocks.",
        'Write "system": [{"text": "..."}], or remove the field.',
    ),
    "messages_shape": Code("error", "'messages' is not a list of objects.", _ONE_TURN),
    "role_order": Code("error", "The roles of the turns are not user, then assistant.", _ONE_TURN),
    "several_turns": Code(
        "error",
        "The line has more than one user turn.",
        "Keep the turn that holds the query: at inference, a query has no conversation history.",
    ),
    "content_shape": Code("error", "The content of a turn is not a list of text blocks.", _TEXT_LIST),
    "not_text": Code(
        "error",
        "A turn has content other than text.",
        "Use text only: images, documents and tool calls are not supported.",
    ),
    "half_character": Code(
        "error",
        "A text contains half of a surrogate pair.",
        "Escape the character as a full pair, or write it unescaped.",
    ),
    "empty_query": Code("error", "The user turn is empty.", "Add the query, or remove the line."),
    "reserved_string": Code(
        "error", "A text contains a string that makes a customization job fail.", "Reword the text."
    ),
    "label_not_json": Code("error", "The label is not valid JSON.", _LABEL_OBJECT),
    "label_not_object": Code("error", "The label is JSON, but not an object.", _LABEL_OBJECT),
    "unknown_channel": Code(
        "error", "The label has a channel that is not in the channel configuration.", _CHANNELS
    ),
    "missing_channel": Code("error", "The label has no weight for a channel.", _CHANNELS),
    "weight_not_number": Code("error", "A weight is not a number.", "Write it as a number, without quotes."),
    "weight_not_finite": Code("error", "A weight is NaN or infinite.", _NUMBER),
    "negative_weight": Code("error", "A weight is below 0.", _NUMBER),
    "weight_above_one": Code("error", "A weight is above 1.", _NUMBER),
    "weights_sum": Code(
        "error",
        "The sum of the weights differs from 1 by more than 0.05.",
        "Scale the weights to a sum of 1. Smaller differences are fixed automatically.",
    ),
    "reasoning_not_text": Code("error", "The reasoning is not a string.", "Write it as a string."),
    # Fixed automatically
    "byte_order_mark": Code(
        "warning",
        "The file starts with a byte order mark, which is removed.",
        "Save the file as UTF-8 without a byte order mark.",
        fixed=True,
    ),
    "carriage_returns": Code(
        "warning",
        "The lines end in carriage returns. They are read as line feeds.",
        "Save the file with line feeds.",
        fixed=True,
    ),
    "line_form": Code(
        "warning",
        "A line differs from Bedrock's format, and only one meaning is possible. It is corrected.",
        "Write the line in Bedrock's format.",
        fixed=True,
    ),
    "unknown_field": Code(
        "warning",
        "A line has fields that Bedrock does not accept. They are removed.",
        "Use only the fields that Bedrock accepts.",
        fixed=True,
    ),
    "control_characters": Code(
        "warning",
        "A text contains control characters. They are removed.",
        "Replace the control characters if they stand for something.",
        fixed=True,
    ),
    "windows_characters": Code(
        "warning",
        "A text has Windows-1252 punctuation that was read as control characters. It is corrected.",
        "Save the file as UTF-8 from its original encoding.",
        fixed=True,
    ),
    "wrong_encoding": Code(
        "warning",
        "A text was UTF-8 and was decoded with another encoding, so that letters became two or three others."
        " It is corrected.",
        "Save the file as UTF-8 from its original encoding.",
        fixed=True,
    ),
    "invisible_characters": Code(
        "warning",
        "A text contains invisible characters, which may hide text from a reader. They are removed.",
        "Check the text: the source may have hidden text.",
        fixed=True,
    ),
    "weights_renormalised": Code(
        "warning",
        "The sum of the weights differs from 1 by more than 0.011, but by at most 0.05."
        " The weights are scaled to a sum of 1.",
        "Check the label: a weight may be wrong.",
        fixed=True,
    ),
    "weights_rounded": Code(
        "note",
        "The sum of the weights differs from 1 by at most 0.011, as rounding can cause."
        " The weights are scaled to a sum of 1.",
        "Ignore this note, or write weights that sum to 1.",
        fixed=True,
    ),
    "blank_line": Code(
        "note", "Blank lines are removed.", "Ignore this note, or remove the blank lines.", fixed=True
    ),
    "converted": Code("note", "The file was converted from another format.", "Check a few of its records."),
    # For a person to review
    "long_query": Code(
        "warning",
        "A query is longer than the 1,000 characters accepted at inference.",
        "Shorten the query or remove the line: a query this long is never answered.",
    ),
    "lost_characters": Code(
        "warning",
        "A text has replacement characters (U+FFFD), where a program could not decode the original.",
        "Write the text again from its source: what was lost cannot be restored.",
    ),
    "equal_labels": Code(
        "warning",
        "All labels are equal, so the student can only learn one answer.",
        "Check how the labels were made, before training is billed.",
    ),
    "mixed_system_prompts": Code(
        "warning",
        "The file has more than one system prompt. The student prompt replaces all of them.",
        "Check that all labels were created under the same guidelines.",
    ),
    "system_replaced": Code(
        "note",
        "A system prompt differs from the student prompt, which replaces it.",
        "Ignore this note: the student is trained with the prompt that it gets at inference.",
    ),
    "conflicting_labels": Code(
        "warning",
        "A query occurs more than once, with different labels.",
        "Keep the better label, unless the student should learn the teacher's variation.",
    ),
    "near_conflicting_labels": Code(
        "warning",
        "Near-duplicate queries have labels that are far apart.",
        "Check which label is right. The words that differ should explain the difference.",
    ),
    "near_duplicates": Code(
        "note",
        "Queries are near-duplicates of each other. All of them go to training, or all to the holdout.",
        "Keep one of them, unless the student should learn the different spellings.",
    ),
    "repeated_query": Code(
        "note",
        "Records repeat the query of another record. All are kept.",
        "Remove the repeats, unless they are intended.",
    ),
    "reasoning_contradicts": Code(
        "warning",
        "The reasoning calls a channel the most important one, but its weight is not the largest.",
        "Make the weights and the reasoning agree.",
    ),
    "off_grid": Code(
        "note",
        "Weights are not multiples of the channel configuration's label grid.",
        "Round the weights if the labels should be on the grid.",
    ),
    "no_reasoning": Code(
        "note", "Labels have no reasoning.", "Add a reasoning if results should explain their weights."
    ),
    "personal_data": Code(
        "warning",
        "A query contains what looks like an e-mail address, a phone number, a card number, an IBAN or a US"
        " social security number.",
        "Remove it or replace it with an invented one: a model can repeat its training data.",
    ),
    "template_domination": Code(
        "warning",
        "Ten or fewer templates account for more than half of the queries.",
        "Vary the wording, or the student learns the templates instead of the search intent.",
    ),
    "underrepresented_channel": Code("warning", "A channel is dominant in very few labels.", _MORE_OF_THEM),
    "underrepresented_length": Code(
        "note", "Fewer than 2 % of the queries are in one of the length ranges.", _MORE_OF_THEM
    ),
    "underrepresented_language": Code(
        "note", "Fewer than 2 % of the queries are in one of the languages found.", _MORE_OF_THEM
    ),
    "languages_unknown": Code(
        "note",
        "The language identification model could not be loaded.",
        "Run `distillery doctor` on a machine that has the model.",
    ),
    # What the evaluation is based on
    "few_labels": Code(
        "warning",
        "There are too few labels to hold some out. The model is measured against the teacher's answers.",
        _LABEL_MORE,
    ),
    "unlabelled": Code(
        "note",
        "There are no labels. The model is measured against the teacher's answers.",
        _LABEL_MORE,
    ),
    "holdout_in_training": Code(
        "warning",
        "No records can be held out, so the model is measured on records that it was trained on.",
        "Add records.",
    ),
    "small_holdout": Code("warning", "The holdout has fewer records than requested.", "Add records."),
    "holdout_size": Code(
        "note",
        "The holdout differs from the requested size: equal queries and near-duplicates stay together.",
        "Remove repeats and near-duplicates if the holdout is too small to judge by.",
    ),
    "diff_left_out": Code(
        "note",
        "The diff of the fixes is not written, because it or one of its lines is too long.",
        "Fix the lines with errors and validate again.",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding on a line (counted from 1), or on the whole file if `line` is None.

    `lines` are the first 20 of the lines involved, in ascending order, if there are several.
    """

    code: str
    severity: Severity
    line: int | None
    message: str
    fix: str
    lines: tuple[int, ...] = ()


def new_finding(
    code: str, line: int | None, message: str, *, fix: str | None = None, lines: Iterable[int] = ()
) -> Finding:
    """A finding with its code's severity, and its code's fix unless a more specific one is given."""
    kind = CODES[code]
    listed = tuple(sorted(set(lines))[:LINES_SHOWN])
    return Finding(code, kind.severity, line, message, kind.fix if fix is None else fix, listed)


class LineError(Exception):
    """A line cannot be used."""

    def __init__(self, code: str, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.fix = code, message, fix

    def at(self, line: int) -> Finding:
        """The error as a finding on its line."""
        return new_finding(self.code, line, self.message, fix=self.fix)
