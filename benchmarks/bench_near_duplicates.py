"""Near-duplicate search: seconds and peak memory above a bare interpreter for 15,000 queries.

Run `python -m benchmarks.bench_near_duplicates [--quick]`. Every case runs in its own interpreter. The
ordinary queries are made from the sample's vocabulary, the others are worst cases. The target applies to the
ordinary queries.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, Measured, answer
from benchmarks.peak import peak_bytes
from distillery.dataset.near_duplicates import near_duplicate_clusters
from distillery.generation.spec import SLOT, parse_spec
from samples.make_samples import SPEC

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE = 1_000_000
QUERIES = 15_000
TARGET_SECONDS = 20.0
TARGET_PEAK_MEGABYTES = 500.0
COPIED = "a grey heron catching a fish at dawn in slow motion near the old harbour wall"
LETTERS = "abcdefghijklmnopqrstuvwxyz "


def _ordinary(rng: random.Random) -> str:
    return " ".join(rng.choices(_VOCABULARY, k=rng.randint(2, 4)))


def _copy(rng: random.Random) -> str:
    at = rng.randrange(len(COPIED))
    return f"{COPIED[:at]}{rng.choice(LETTERS)}{COPIED[at + 1 :]}"


def _long(rng: random.Random) -> str:
    return "".join(rng.choices(LETTERS, k=1_000))


_VOCABULARY = sorted(
    {
        entry
        for entries in parse_spec(SPEC.read_bytes()).words.values()
        for entry in entries
        if not SLOT.search(entry)
    }
)
CASES: dict[str, Callable[[random.Random], str]] = {
    "ordinary queries": _ordinary,
    "copies of one query": _copy,
    "1,000 random letters": _long,
}


def measure_case(name: str) -> dict[str, Any]:
    """Search the queries of one case, in this process."""
    rng = random.Random(11)
    queries = [CASES[name](rng) for _ in range(QUERIES)]
    before = peak_bytes()
    started = time.perf_counter()
    clusters = near_duplicate_clusters(queries)
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "peak_megabytes": round((peak_bytes() - before) / MEGABYTE, 1),
        "clusters": len(clusters),
        "clustered": sum(map(len, clusters)),
    }


def measure(quick: bool) -> Measured:
    """Every case. The quick run measures only the ordinary queries."""
    cases: dict[str, Any] = {}
    code = (
        "import json, sys; from benchmarks.bench_near_duplicates import measure_case;"
        "print(json.dumps(measure_case(sys.argv[1])))"
    )
    for name in list(CASES)[: 1 if quick else None]:
        done = subprocess.run([sys.executable, "-c", code, name], check=True, capture_output=True, text=True)
        cases[name] = json.loads(done.stdout)
    figures = []
    for name, case in cases.items():
        ordinary = name == next(iter(CASES))
        what = f"near-duplicate search, {QUERIES:,} {name}"
        figures.append(Figure(what, case["seconds"], "s", at_most=TARGET_SECONDS if ordinary else None))
        figures.append(
            Figure(f"{what}, peak memory", case["peak_megabytes"], "MB", at_most=TARGET_PEAK_MEGABYTES)
        )
    return Measured(figures, cases)


if __name__ == "__main__":
    answer(measure, __doc__)
