"""Measures the student: `python -m benchmarks.bench_student [--json OUT]` prints one JSON object.

* `rubric`: mean weight rubric on the real teacher labels of ../shared, five-fold over distinct queries (all
  copies of a query in one fold), and the same for `DIVISIONS` random divisions into folds. Left out, with a
  note, where that file is not at hand.
* `latency_ms`: one warm `predict`, p50 and p95, each query of the file (or of the made-up records) once per
  round, for a model fitted on that file and for one fitted on 15,000 records.
* `training`: seconds and peak memory of a process of its own that makes up 15,000 records, fits and saves.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.student import Student, fit, load
from distillery.taxonomy import default_taxonomy
from distillery.weights import rubric

if TYPE_CHECKING:
    from collections.abc import Sequence

Example = tuple[str, dict[str, float]]

ROOT = Path(__file__).resolve().parent.parent
TEACHER_LABELS = ROOT.parent / "shared" / "data" / "teacher_labels.jsonl"
FOLDS = 5
DIVISIONS = 3
RECORDS = 15_000
ROUNDS = 5
TARGETS = {"rubric": 4.28, "p50_ms": 0.5, "model_bytes": 3_000_000, "training_seconds": 30, "peak_mb": 1000}


def read_examples(path: Path, facets: Sequence[str]) -> list[Example]:
    """The labelled records of a file in the shape Bedrock's distillation takes."""
    examples: list[Example] = []
    for line in path.read_text("utf-8").splitlines():
        user, assistant = json.loads(line)["messages"]
        label = json.loads(assistant["content"][0]["text"])
        examples.append((user["content"][0]["text"], {facet: float(label[facet]) for facet in facets}))
    return examples


def five_fold(examples: Sequence[Example], division: int) -> float:
    """Mean rubric over all records, each predicted by a student that saw no copy of its query."""
    taxonomy = default_taxonomy()
    keys = [" ".join(query.casefold().split()) for query, _ in examples]
    distinct = sorted(set(keys))
    random.Random(division).shuffle(distinct)
    fold_of = {key: place % FOLDS for place, key in enumerate(distinct)}
    scores: list[int] = []
    for fold in range(FOLDS):
        train = [example for example, key in zip(examples, keys, strict=True) if fold_of[key] != fold]
        student = fit(train, taxonomy)
        scores += [
            rubric(label, student.predict(query), taxonomy.names)
            for (query, label), key in zip(examples, keys, strict=True)
            if fold_of[key] == fold
        ]
    return statistics.fmean(scores)


def made_up(count: int) -> list[Example]:
    """Distinct queries over 6,000 invented words, common and rare as in speech; labels follow the words."""
    facets = default_taxonomy().names
    rng = random.Random(11)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er")]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(6_000)]
    leanings = {word: [rng.random() ** 4 for _ in facets] for word in words}
    shares = [1 / (rank + 5) for rank in range(len(words))]
    examples: dict[str, dict[str, float]] = {}
    while len(examples) < count:
        chosen = rng.choices(words, shares, k=rng.randint(3, 14))
        sums = [sum(leanings[word][place] for word in chosen) ** 2 for place in range(len(facets))]
        tenths = [int(10 * value / sum(sums)) for value in sums]
        tenths[sums.index(max(sums))] += 10 - sum(tenths)
        examples[" ".join(chosen)] = {f: tenth / 10 for f, tenth in zip(facets, tenths, strict=True)}
    return list(examples.items())


def train_large(path: Path) -> dict[str, float]:
    """Fit on 15,000 made-up records in this process and save; seconds of the fit, peak memory of it all."""
    examples = made_up(RECORDS)
    start = time.perf_counter()
    student = fit(examples, default_taxonomy())
    seconds = time.perf_counter() - start
    student.save(path)
    # Linux gives kilobytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return {
        "records": RECORDS,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak, 1),
        "model_bytes": path.stat().st_size,
    }


def latencies(student: Student, queries: Sequence[str]) -> dict[str, float]:
    """p50 and p95 of one warm predict, in milliseconds."""
    for query in queries[:200]:
        student.predict(query)
    taken: list[float] = []
    for _ in range(ROUNDS):
        for query in queries:
            start = time.perf_counter()
            student.predict(query)
            taken.append((time.perf_counter() - start) * 1000)
    cuts = statistics.quantiles(taken, n=20)
    return {"p50": round(statistics.median(taken), 4), "p95": round(cuts[18], 4)}


def measure() -> dict[str, Any]:
    """Everything, as one JSON-able object."""
    taxonomy = default_taxonomy()
    result: dict[str, Any] = {"targets": TARGETS}
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.student"
        command = [sys.executable, "-m", "benchmarks.bench_student", "--train-large", str(large)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        result["training"] = json.loads(done.stdout)
        start = time.perf_counter()
        student = load(large)
        result["training"]["load_ms"] = round((time.perf_counter() - start) * 1000, 1)
        queries = [query for query, _ in made_up(1_000)]
        result["latency_ms"] = {"model_of_15000": latencies(student, queries)}
        if not TEACHER_LABELS.exists():
            return result | {"note": f"no rubric: {TEACHER_LABELS.name} is not at hand"}
        examples = read_examples(TEACHER_LABELS, taxonomy.names)
        means = [round(five_fold(examples, division), 4) for division in range(DIVISIONS)]
        result["rubric"] = {"five_fold": means[0], "divisions": means, "records": len(examples)}
        real = Path(folder) / "real.student"
        start = time.perf_counter()
        fit(examples, taxonomy).save(real)
        result["teacher_labels"] = {
            "training_seconds": round(time.perf_counter() - start, 2),
            "model_bytes": real.stat().st_size,
        }
        result["latency_ms"]["model_of_teacher_labels"] = latencies(
            load(real), [query for query, _ in examples]
        )
    return result


def main() -> None:
    """Print the measurements; also write them to the file of `--json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--train-large", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    result = train_large(arguments.train_large) if arguments.train_large else measure()
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
