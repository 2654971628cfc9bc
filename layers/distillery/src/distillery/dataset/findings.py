"""What the doctor may find in a dataset: every code with its severity, what it means, and the fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first."""
LINES_SHOWN = 20
"""Line numbers that a finding names; the message says how many there are."""


class Code(NamedTuple):
    """A kind of finding. `fixed` says that the doctor writes the line without this flaw."""

    severity: Severity
    meaning: str
    fix: str
    fixed: bool = False


_ONE_OBJECT = "Write one JSON object a line, without commas or brackets around the lines."
_ONE_TURN = "Give one user turn, and after it at most one assistant turn with the label."
_BARE_OBJECT = "Answer with one JSON object of the channels and, if wanted, a reasoning."
_TEXT_LIST = 'Write "content": [{"text": "..."}].'
_CHANNELS = "Name exactly the channel configuration's channels, and give 0 where one is of no use."
_NUMBER = "Give a number from 0 to 1."
_MORE_OF_THEM = "Add queries of this kind if the router will be asked them."

CODES: dict[str, Code] = {
    # The file
    "empty_file": Code("error", "The file has no lines.", "Write one record a line."),
    "binary_file": Code(
        "error", "The file is binary, not text.", "Drop JSON lines, not compressed or packed."
    ),
    "compressed_file": Code("error", "The file is compressed.", "Unpack it, and drop the JSON lines in it."),
    "file_too_large": Code("error", "The file is over 2 GB.", "Split it into several datasets."),
    "bad_lines": Code(
        "error", "More lines are bad than the stack tolerates.", "Fix or remove the lines found."
    ),
    "too_few_distinct": Code("error", "Fewer than 100 distinct queries are usable.", "Add other queries."),
    "too_many_records": Code(
        "error", "More records than Bedrock takes in a job.", "Drop records, repeated queries first."
    ),
    # A line
    "line_too_long": Code(
        "error",
        "A line has more than 16,000 bytes.",
        "Shorten the query or the reasoning, and look for missing ends of lines.",
    ),
    "not_utf8": Code("error", "The bytes are not UTF-8.", "Save the file as UTF-8."),
    "not_json": Code("error", "The line is not JSON.", _ONE_OBJECT),
    "trailing_garbage": Code("error", "The line goes on after its object.", _ONE_OBJECT),
    "duplicate_key": Code("error", "An object names a key twice.", "Keep one of the two values."),
    "not_object": Code("error", "The line is JSON, but not an object.", _ONE_OBJECT),
    "missing_field": Code("error", "A field is missing.", "Add it to the line."),
    "schema_version": Code(
        "error", "schemaVersion is another.", 'Write "schemaVersion": "bedrock-conversation-2024".'
    ),
    "system_shape": Code(
        "error", "'system' is not a list of texts.", 'Write "system": [{"text": "..."}], or nothing.'
    ),
    "messages_shape": Code("error", "'messages' is not a list of objects.", _ONE_TURN),
    "role_order": Code("error", "The turns are not in their order.", _ONE_TURN),
    "several_turns": Code(
        "error",
        "More than one user turn.",
        "Keep the one turn that is a query; a router is asked without a history.",
    ),
    "content_shape": Code("error", "The content of a turn is not a list of texts.", _TEXT_LIST),
    "not_text": Code(
        "error",
        "A turn holds something other than text.",
        "Keep to text: pictures, documents and tools cannot be distilled here.",
    ),
    "half_character": Code(
        "error",
        "A text holds half of a surrogate pair.",
        "Escape the character as a pair, or write it as it is.",
    ),
    "empty_query": Code("error", "The user turn is empty.", "Give the query, or leave the line out."),
    "reserved_string": Code(
        "error", "A text contains a string that fails a customization job.", "Write it differently."
    ),
    "label_not_json": Code("error", "The label is not JSON.", _BARE_OBJECT),
    "label_not_object": Code("error", "The label is JSON, but not an object.", _BARE_OBJECT),
    "unknown_channel": Code(
        "error", "The label names a channel that the channel configuration has not.", _CHANNELS
    ),
    "missing_channel": Code("error", "The label lacks a channel.", _CHANNELS),
    "weight_not_number": Code("error", "A weight is no number.", "Write it as a bare number."),
    "weight_not_finite": Code("error", "A weight is NaN or infinite.", _NUMBER),
    "negative_weight": Code("error", "A weight is below 0.", _NUMBER),
    "weight_above_one": Code("error", "A weight is above 1.", _NUMBER),
    "weights_sum": Code(
        "error",
        "The weights sum to something more than 0.05 off 1.",
        "Scale them to a sum of 1 (up to 0.05 off is fixed).",
    ),
    "reasoning_not_text": Code("error", "The reasoning is no text.", "Write it as a text."),
    # What is fixed
    "byte_order_mark": Code(
        "warning",
        "The file starts with a byte order mark.",
        "Save the file as UTF-8 without a byte order mark.",
        fixed=True,
    ),
    "unknown_field": Code(
        "warning",
        "A line has fields that Bedrock does not know; they are left out.",
        "Keep to the fields known.",
        fixed=True,
    ),
    "control_characters": Code(
        "warning",
        "A text holds control characters; they are removed.",
        "Nothing to do, unless they stand for something.",
        fixed=True,
    ),
    "weights_renormalised": Code(
        "warning",
        "Weights that sum to 1 within 0.05, but not within rounding, are scaled to a sum of 1.",
        "Look at the label: a weight may be wrong.",
        fixed=True,
    ),
    "weights_rounded": Code(
        "note",
        "Weights that miss a sum of 1 by rounding (0.011 at most) are scaled to it.",
        "Nothing to do.",
        fixed=True,
    ),
    "blank_line": Code("note", "Blank lines are left out.", "Nothing to do.", fixed=True),
    # What a person should look at
    "long_query": Code(
        "warning",
        "A query is longer than the router takes.",
        "Shorten the query, or leave the line out: nothing like it will ever be routed.",
    ),
    "mixed_system_prompts": Code(
        "warning",
        "The file uses more than one system prompt; all are replaced by the student prompt.",
        "Make sure that all labels were given under the same guidelines.",
    ),
    "system_replaced": Code(
        "note",
        "A system prompt differs from the student prompt, which replaces it.",
        "Nothing to do: the student is trained on the prompt that it is asked with.",
    ),
    "conflicting_labels": Code(
        "warning",
        "A query stands there more than once, with different labels.",
        "Keep the better label, unless the spread of the teacher is meant to be learned.",
    ),
    "near_conflicting_labels": Code(
        "warning",
        "Near-duplicates have labels far apart.",
        "Look which label is right; the difference should follow from the words that differ.",
    ),
    "near_duplicates": Code(
        "note",
        "Queries are near-duplicates of each other; they stay on one side of the split.",
        "Keep one of them, unless the spellings are meant to be learned.",
    ),
    "repeated_query": Code("note", "Records repeat the query of another; all are kept.", "Nothing to do."),
    "reasoning_contradicts": Code(
        "warning",
        "The reasoning calls a channel the most important one, and its weight is not the largest.",
        "Make the weights and the reasoning agree.",
    ),
    "off_grid": Code(
        "note",
        "Weights are no steps of the channel configuration's label grid.",
        "Nothing to do, unless the labels should come from the grid.",
    ),
    "no_reasoning": Code(
        "note", "Labels are without reasoning.", "Add it if the router's results should say why."
    ),
    "personal_data": Code(
        "warning",
        "A query holds what looks like an e-mail address, a phone number or a card number.",
        "Remove it or put something invented in its place: a model can repeat what it was trained on.",
    ),
    "template_domination": Code(
        "warning",
        "A few shapes of query make up most of the dataset.",
        "Vary the wording: a student learns the template and not the search.",
    ),
    "underrepresented_channel": Code("warning", "A channel is dominant in very few labels.", _MORE_OF_THEM),
    "underrepresented_length": Code("note", "Queries of some length are very few.", _MORE_OF_THEM),
    "underrepresented_language": Code("note", "Queries of some language are very few.", _MORE_OF_THEM),
    "languages_unknown": Code(
        "note",
        "The model of languages cannot be loaded where this ran.",
        "Examine the file with `distillery doctor` on a machine that has it.",
    ),
    # What the evaluation rests on
    "few_labels": Code(
        "warning",
        "Too few labels to hold some back: the model is measured against the teacher's answers.",
        "Label more records to measure against labels that it has not seen.",
    ),
    "unlabelled": Code(
        "note",
        "No labels: the model is measured against the teacher's answers.",
        "Label more records to measure against labels that it has not seen.",
    ),
    "holdout_in_training": Code(
        "warning",
        "Nothing can be set aside, so the model is measured on records that it has seen.",
        "Add records.",
    ),
    "small_holdout": Code("warning", "Fewer records are held out than asked for.", "Add records."),
    "holdout_size": Code(
        "note",
        "Equal queries and near-duplicates stay together, so that not exactly as many are held out as wanted.",
        "Nothing to do, unless it is too few to judge by: then drop repeats and near-duplicates.",
    ),
    "diff_left_out": Code(
        "note",
        "The file of fixes is left out, as it would be too large.",
        "Fix the lines found first, and validate again.",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a line (counted from 1), or about the whole file where `line` is None.

    `lines` are the lines involved where there are several, the first 20 of them in their order.
    """

    code: str
    severity: Severity
    line: int | None
    message: str
    fix: str
    lines: tuple[int, ...] = ()


def found(
    code: str, line: int | None, message: str, *, fix: str | None = None, lines: Iterable[int] = ()
) -> Finding:
    """A finding with what the table says of its code; `fix` may be said more exactly."""
    kind = CODES[code]
    shown = tuple(sorted(set(lines))[:LINES_SHOWN])
    return Finding(code, kind.severity, line, message, kind.fix if fix is None else fix, shown)


class Flaw(Exception):
    """What makes a line unusable."""

    def __init__(self, code: str, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.fix = code, message, fix

    def at(self, line: int) -> Finding:
        """The finding on the line that has it."""
        return found(self.code, line, self.message, fix=self.fix)
