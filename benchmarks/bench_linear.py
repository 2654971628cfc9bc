"""The linear model: `python -m benchmarks.bench_linear [--quick]`.

* `weight_score`: mean weight score on the real teacher labels of ../shared, five-fold over distinct queries
  (all copies of a query in one fold), and the same for `DIVISIONS` random divisions into folds. Left out,
  with a note, where that file is not at hand.
* `latency_ms`: one warm `predict`, p50 and p95, each query of the file (or of the made-up records) once per
  round, for a model fitted on that file and for one fitted on 15,000 records.
* `training`: seconds and peak memory of a process of its own that makes up 15,000 records, fits and saves.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, Measured, answer
from benchmarks.peak import peak_bytes
from distillery.linear.model import LinearModel, load
from distillery.linear.training import fit
from distillery.task.channels import default_channel_config
from distillery.task.weights import weight_score

if TYPE_CHECKING:
    from collections.abc import Sequence

Example = tuple[str, dict[str, float]]

ROOT = Path(__file__).resolve().parent.parent
TEACHER_LABELS = ROOT.parent / "shared" / "data" / "teacher_labels.jsonl"
FOLDS = 5
DIVISIONS = 3
RECORDS = 15_000
ROUNDS = 5
TRAIN_LARGE = """
import json, sys
from pathlib import Path
from benchmarks.bench_linear import train_large
sys.stdout.write(json.dumps(train_large(Path(sys.argv[1]))))
"""
TARGETS = {
    "weight_score": 4.28,
    "p50_ms": 0.5,
    "model_bytes": 3_000_000,
    "training_seconds": 30,
    "peak_mb": 1000,
}


def read_examples(path: Path, channels: Sequence[str]) -> list[Example]:
    """The labelled records of a file in the shape Bedrock's distillation takes."""
    examples: list[Example] = []
    for line in path.read_text("utf-8").splitlines():
        user, assistant = json.loads(line)["messages"]
        label = json.loads(assistant["content"][0]["text"])
        examples.append(
            (user["content"][0]["text"], {channel: float(label[channel]) for channel in channels})
        )
    return examples


def five_fold(examples: Sequence[Example], division: int) -> float:
    """Mean weight score over all records, each predicted by a linear model that saw no copy of its query."""
    channel_config = default_channel_config()
    keys = [" ".join(query.casefold().split()) for query, _ in examples]
    distinct = sorted(set(keys))
    random.Random(division).shuffle(distinct)
    fold_of = {key: place % FOLDS for place, key in enumerate(distinct)}
    scores: list[int] = []
    for fold in range(FOLDS):
        train = [example for example, key in zip(examples, keys, strict=True) if fold_of[key] != fold]
        model = fit(train, channel_config)
        scores += [
            weight_score(label, model.predict(query), channel_config.names)
            for (query, label), key in zip(examples, keys, strict=True)
            if fold_of[key] == fold
        ]
    return statistics.fmean(scores)


def made_up(count: int) -> list[Example]:
    """Distinct queries over 6,000 invented words, common and rare as in speech; labels follow the words."""
    channels = default_channel_config().names
    rng = random.Random(11)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er")]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(6_000)]
    leanings = {word: [rng.random() ** 4 for _ in channels] for word in words}
    shares = [1 / (rank + 5) for rank in range(len(words))]
    examples: dict[str, dict[str, float]] = {}
    while len(examples) < count:
        chosen = rng.choices(words, shares, k=rng.randint(3, 14))
        sums = [sum(leanings[word][place] for word in chosen) ** 2 for place in range(len(channels))]
        tenths = [int(10 * value / sum(sums)) for value in sums]
        tenths[sums.index(max(sums))] += 10 - sum(tenths)
        examples[" ".join(chosen)] = {f: tenth / 10 for f, tenth in zip(channels, tenths, strict=True)}
    return list(examples.items())


def train_large(path: Path) -> dict[str, float]:
    """Fit on 15,000 made-up records in this process and save; seconds of the fit, peak memory of it all."""
    examples = made_up(RECORDS)
    start = time.perf_counter()
    model = fit(examples, default_channel_config())
    seconds = time.perf_counter() - start
    model.save(path)
    return {
        "records": RECORDS,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak_bytes() / 1e6, 1),
        "model_bytes": path.stat().st_size,
    }


def latencies(model: LinearModel, queries: Sequence[str]) -> dict[str, float]:
    """p50 and p95 of one warm predict, in milliseconds."""
    for query in queries[:200]:
        model.predict(query)
    taken: list[float] = []
    for _ in range(ROUNDS):
        for query in queries:
            start = time.perf_counter()
            model.predict(query)
            taken.append((time.perf_counter() - start) * 1000)
    cuts = statistics.quantiles(taken, n=20)
    return {"p50": round(statistics.median(taken), 4), "p95": round(cuts[18], 4)}


def measure(quick: bool) -> Measured:
    """Everything; where it must be quick, one division into folds instead of three."""
    channel_config = default_channel_config()
    detail: dict[str, Any] = {"targets": TARGETS}
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.model"
        done = subprocess.run(
            [sys.executable, "-c", TRAIN_LARGE, str(large)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        detail["training"] = json.loads(done.stdout)
        start = time.perf_counter()
        model = load(large)
        detail["training"]["load_ms"] = round((time.perf_counter() - start) * 1000, 1)
        queries = [query for query, _ in made_up(1_000)]
        detail["latency_ms"] = {"model of 15,000 records": latencies(model, queries)}
        if TEACHER_LABELS.exists():
            examples = read_examples(TEACHER_LABELS, channel_config.names)
            means = [round(five_fold(examples, division), 4) for division in range(1 if quick else DIVISIONS)]
            detail["weight_score"] = {"five_fold": means[0], "divisions": means, "records": len(examples)}
            real = Path(folder) / "real.model"
            start = time.perf_counter()
            fit(examples, channel_config).save(real)
            detail["teacher_labels"] = {
                "training_seconds": round(time.perf_counter() - start, 2),
                "model_bytes": real.stat().st_size,
            }
            detail["latency_ms"]["model of the teacher's labels"] = latencies(
                load(real), [query for query, _ in examples]
            )
        else:
            detail["note"] = f"no weight score: {TEACHER_LABELS.name} is not at hand"
    return Measured(figures(detail), detail)


def figures(detail: dict[str, Any]) -> list[Figure]:
    """What was measured, beside its targets."""
    training = detail["training"]
    found = []
    if "weight_score" in detail:
        records = detail["weight_score"]["records"]
        weight_score_told = f"linear model, mean weight score of 5-fold over {records} teacher labels"
        found.append(
            Figure(
                weight_score_told,
                detail["weight_score"]["five_fold"],
                "of 5",
                at_least=TARGETS["weight_score"],
            )
        )
    found += [
        Figure(f"linear model, one query warm, {name}, p50", taken["p50"], "ms", at_most=TARGETS["p50_ms"])
        for name, taken in detail["latency_ms"].items()
    ]
    return [
        *found,
        Figure(
            "linear model, model file",
            training["model_bytes"] / 1e6,
            "MB",
            at_most=TARGETS["model_bytes"] / 1e6,
        ),
        Figure(
            "linear model, training on 15,000 records",
            training["seconds"],
            "s",
            at_most=TARGETS["training_seconds"],
        ),
        Figure(
            "linear model, training, peak memory of the process",
            training["peak_mb"],
            "MB",
            at_most=TARGETS["peak_mb"],
        ),
    ]


if __name__ == "__main__":
    answer(measure, __doc__)
