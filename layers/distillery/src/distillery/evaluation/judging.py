"""Input and output of the judge jobs: Bedrock evaluation jobs in which a model grades the answers.

`judge_records` writes the dataset of a job, `read_judge_outputs` reads the grades from its results. To use
another judge prompt, change `judge_instructions` in task/prompts.py.

Grades are numbers from 1 to 5. A missing grade is counted as missing, never as 0.
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

MAX_PROMPTS = 1_000
MAX_PROMPT_BYTES = 4_000
"""The quota is 4 KB. AWS does not say whether that is 4,000 or 4,096 bytes; the smaller number is safe."""
MIN_GRADE, MAX_GRADE = 1.0, 5.0
NO_ANSWER = "(no answer)"
"""Replaces an empty response, because it is not documented whether Bedrock accepts an empty string."""

Scale = Literal["normalised", "grades"]


@dataclass(frozen=True, slots=True)
class JudgeGrades:
    """The grades of one candidate, 1 to 5, and the number of records without a grade.

    `scale` is the scale of the results: `normalised` to 0..1, or `grades` (1 to 5).
    """

    grades: tuple[float, ...] = ()
    missing: int = 0
    scale: Scale = "normalised"

    @property
    def mean(self) -> float | None:
        """The mean grade, without the missing ones."""
        return math.fsum(self.grades) / len(self.grades) if self.grades else None


def judge_records(answers: Sequence[Answer], candidate: str, system: str) -> bytes:
    """Return the dataset of a judge job: one JSON line for each answer, with `system` as part of the prompt.

    Leaves out answers without a reference, prompts longer than `MAX_PROMPT_BYTES`, and everything after the
    first `MAX_PROMPTS` records. Answers left out count as missing grades later. Raises Permanent when no
    record is left.
    """
    lines = []
    for answer in answers:
        prompt = f"{system}\n\nQuery: {answer.query}"
        if answer.reference is None or len(prompt.encode()) > MAX_PROMPT_BYTES:
            continue
        record = {
            "prompt": prompt,
            "referenceResponse": json.dumps(answer.reference),
            "modelResponses": [
                {"response": (answer.text or "").strip() or NO_ANSWER, "modelIdentifier": candidate}
            ],
        }
        lines.append(json.dumps(record, ensure_ascii=False))
        if len(lines) == MAX_PROMPTS:
            break
    if not lines:
        raise Permanent(f"No answer of the candidate {candidate} can be graded by the judge.")
    return ("\n".join(lines) + "\n").encode()


def is_judge_output(key: str) -> bool:
    """Whether an object under a judge job's prefix holds results. The full name is not documented."""
    return key.endswith("_output.jsonl")


def read_judge_outputs(outputs: Mapping[str, Iterable[bytes]], metric: str) -> dict[str, JudgeGrades]:
    """Return the grades of each candidate from the content of its `*_output.jsonl` objects.

    A metric counts if `metric` is part of its name: the job adds the candidate, and Bedrock may add more.

    Results are reported to be normalised to 0..1, but this is not documented. All jobs of an account use the
    same scale, so when any result of any candidate exceeds 1, all results are read as grades. A null, a
    result outside the scale, and a line that cannot be read count as missing.
    """
    results = {candidate: list(_results(files, metric)) for candidate, files in outputs.items()}
    found = [value for values in results.values() for value in values if value is not None]
    scale: Scale = "grades" if any(value > 1 for value in found) else "normalised"
    return {candidate: _to_grades(values, scale) for candidate, values in results.items()}


def _to_grades(results: Sequence[float | None], scale: Scale) -> JudgeGrades:
    found = [value for value in results if value is not None]
    if scale == "normalised":
        found = [value * (MAX_GRADE - MIN_GRADE) + MIN_GRADE for value in found]
    grades = tuple(grade for grade in found if MIN_GRADE <= grade <= MAX_GRADE)
    return JudgeGrades(grades, len(results) - len(grades), scale)


def _results(files: Iterable[bytes], metric: str) -> Iterator[float | None]:
    """Yield the result of each line, None where the line has none."""
    for content in files:
        for line in content.splitlines():
            if line.strip():
                yield _result(line, metric)


def _result(line: bytes, metric: str) -> float | None:
    try:
        scores: Any = json.loads(line)["automatedEvaluationResult"]["scores"]
        results = [score["result"] for score in scores if metric in score["metricName"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    value = results[0] if results else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
