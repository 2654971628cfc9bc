"""Judge jobs: the answers in the form that Bedrock's evaluation reads, and the grades out of what it writes.

Grades are on the scale of the metric, 1 to 5. A grade that is missing is counted as missing, never as 0.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from distillery.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from distillery.evaluation.answers import Answer

MOST_PROMPTS = 1_000
LONGEST_PROMPT_BYTES = 4_000
"""Bedrock says 4 KB without saying which; the smaller reading is safe."""
LOWEST_GRADE, HIGHEST_GRADE = 1.0, 5.0
NO_ANSWER = "(no answer)"
"""Stands for an empty response: whether Bedrock takes an empty string is not documented."""

Scale = Literal["normalised", "grades"]


@dataclass(frozen=True, slots=True)
class JudgeGrades:
    """The grades one candidate got, 1 to 5, and how many records came back without one.

    `scale` says how the results were written: `normalised` to 0..1, or as `grades`.
    """

    grades: tuple[float, ...] = ()
    missing: int = 0
    scale: Scale = "normalised"

    @property
    def mean(self) -> float | None:
        """The mean of the grades there are."""
        return math.fsum(self.grades) / len(self.grades) if self.grades else None


def judge_records(answers: Sequence[Answer], candidate: str, system: str) -> bytes:
    """A judge job's dataset, one JSON line an answer, with `system` folded into the prompt.

    Answers without a reference and prompts too long for Bedrock are left out, and what is beyond a thousand
    records; they count as missing later. Raises Permanent when nothing is left to judge.
    """
    lines = []
    for answer in answers:
        prompt = f"{system}\n\nQuery: {answer.query}"
        if answer.reference is None or len(prompt.encode()) > LONGEST_PROMPT_BYTES:
            continue
        record = {
            "prompt": prompt,
            "referenceResponse": json.dumps(answer.reference),
            "modelResponses": [
                {"response": (answer.text or "").strip() or NO_ANSWER, "modelIdentifier": candidate}
            ],
        }
        lines.append(json.dumps(record, ensure_ascii=False))
        if len(lines) == MOST_PROMPTS:
            break
    if not lines:
        raise Permanent(f"None of the answers of {candidate} can be given to a judge.")
    return ("\n".join(lines) + "\n").encode()


def is_judge_output(key: str) -> bool:
    """Whether an object under a judge job's prefix holds records; its full name is not documented."""
    return key.endswith("_output.jsonl")


def read_judge_outputs(outputs: Mapping[str, Iterable[bytes]], metric: str) -> dict[str, JudgeGrades]:
    """Grades by candidate from the content of each candidate's `*_output.jsonl` objects.

    Results are reported to come normalised to 0..1, which nobody promises: as soon as one result of any
    candidate exceeds 1 all of them are read as grades, since one account's jobs write one scale. A null,
    a result off the scale, or a line that cannot be read is missing.
    """
    results = {candidate: list(_results(files, metric)) for candidate, files in outputs.items()}
    found = [value for values in results.values() for value in values if value is not None]
    scale: Scale = "grades" if any(value > 1 for value in found) else "normalised"
    return {candidate: _graded(values, scale) for candidate, values in results.items()}


def _graded(values: Sequence[float | None], scale: Scale) -> JudgeGrades:
    stretch = HIGHEST_GRADE - LOWEST_GRADE
    grades = tuple(
        value if scale == "grades" else value * stretch + LOWEST_GRADE
        for value in values
        if value is not None
    )
    usable = tuple(grade for grade in grades if LOWEST_GRADE <= grade <= HIGHEST_GRADE)
    return JudgeGrades(usable, len(values) - len(usable), scale)


def _results(files: Iterable[bytes], metric: str) -> Iterator[float | None]:
    """The result of every line, None where it has none."""
    for content in files:
        for line in content.splitlines():
            if line.strip():
                yield _result(line, metric)


def _result(line: bytes, metric: str) -> float | None:
    try:
        scores: Any = json.loads(line)["automatedEvaluationResult"]["scores"]
        named = [score["result"] for score in scores if score["metricName"].endswith(metric)]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    value = named[0] if named else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
