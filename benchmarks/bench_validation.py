"""Validation throughput (MB of 10^6 bytes per second) and its peak memory above a bare interpreter.

Run `python -m benchmarks.bench_validation [--quick]`. Every case runs in its own interpreter, so that the
peak of one case does not include another's. The input is generated from a fixed seed. Training, holdout,
quarantine and fixes are written, as in the deployed function. The near-duplicate search is replaced by a
stub: its time depends on the number of distinct queries, not on bytes, and it has its own benchmark.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.figures import Figure, Measured, answer
from benchmarks.peak import peak_bytes
from distillery.dataset import validation
from distillery.dataset.records import Record, training_line
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTE = 1_000_000
RECORDS = 15_000
TARGET_MEGABYTES_PER_SECOND = 25.0
TARGET_PEAK_MEGABYTES = 150.0
LARGE_FILE = 500 * MEGABYTE
WORDS = ("harbour", "lantern", "orchestra", "interview", "glacier", "episode", "kettle", "budget", "ladder")
OTHER_PROMPT = "Return JSON with the weights of the channels and reasoning for the given query."


def _lines(reasoning_words: int, seed: int = 7) -> Iterator[bytes]:
    """An endless stream of valid lines that resemble a teacher's labels."""
    rng = random.Random(seed)
    channels = default_channel_config().names
    number = 0
    while True:
        number += 1
        cuts = sorted(rng.randint(0, 10) for _ in channels[1:])
        parts = [high - low for low, high in zip([0, *cuts], [*cuts, 10], strict=True)]
        label = {channel: part / 10 for channel, part in zip(channels, parts, strict=True)}
        query = " ".join(rng.choices(WORDS, k=6)) + f" {number}"
        reasoning = " ".join(rng.choices(WORDS, k=reasoning_words))
        yield training_line(Record(number, query, label, reasoning, ""), OTHER_PROMPT)


def _write(path: Path, reasoning_words: int, *, records: int = 0, size: int = 0) -> None:
    """Write `records` records, or `size` bytes of whole lines (the first 15,000 lines, repeated)."""
    lines = islice(_lines(reasoning_words), RECORDS)
    with path.open("wb") as file:
        file.writelines(islice(lines, records) if records else lines)
    if size:
        _repeat(path, size)


def _repeat(path: Path, size: int) -> None:
    """Extend the file with repetitions of itself to `size` bytes, or less than a line below that."""
    with path.open("rb") as again, path.open("ab") as file:
        while (room := size - file.tell()) > 0 and (line := again.readline(room)).endswith(b"\n"):
            file.write(line)


def _write_fixed(path: Path) -> None:
    """Write lines that all need a fix."""
    with path.open("wb") as file:
        file.writelines(
            line.replace(b'"role":"user"', b'"id":7,"role":"user"') for line in islice(_lines(6), RECORDS)
        )


def _write_one_line(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(LARGE_FILE // MEGABYTE):
            file.write(b"x" * MEGABYTE)


def _write_bad_lines(path: Path) -> None:
    channel = default_channel_config().names[0]
    with path.open("wb") as file:
        file.writelines(
            line.replace(f'{channel}\\":'.encode(), b'smell\\":') for line in islice(_lines(18), RECORDS)
        )
    _repeat(path, LARGE_FILE)


CASES = {
    "15,000 records of about 430 bytes": lambda path: _write(path, 6, records=RECORDS),
    "15,000 records of about 15,000 bytes": lambda path: _write(path, 1_750, records=RECORDS),
    "15,000 records of about 430 bytes, all fixed": _write_fixed,
    "500 MB, lines of about 430 bytes": lambda path: _write(path, 6, size=LARGE_FILE),
    "500 MB, lines of about 4,000 bytes": lambda path: _write(path, 450, size=LARGE_FILE),
    "500 MB, one line": _write_one_line,
    "500 MB, every line bad, not read to its end": _write_bad_lines,
}


def measure_file(path: Path) -> dict[str, Any]:
    """Validate one file in this process: a large file once, any other five times for the median."""
    repeats = 1 if path.stat().st_size > 50 * MEGABYTE else 5
    report, seconds = sorted((_validate(path) for _ in range(repeats)), key=lambda run: run[1])[repeats // 2]
    return {
        "megabytes": report.bytes_read / MEGABYTE,
        "lines": report.lines,
        "valid": report.valid,
        "seconds": seconds,
        "megabytes_per_second": report.bytes_read / MEGABYTE / seconds,
        "peak_bytes": peak_bytes(),
    }


def _validate(path: Path) -> tuple[DatasetReport, float]:
    """One validation, with every file that the deployed function writes."""
    with (
        path.open("rb") as source,
        tempfile.TemporaryFile() as train,
        tempfile.TemporaryFile() as holdout,
        tempfile.TemporaryFile() as quarantine,
        tempfile.TemporaryFile() as diff,
        patch.object(validation, "near_duplicate_clusters", return_value=[]),
    ):
        started = time.perf_counter()
        report = validate_dataset(
            source,
            channel_config=default_channel_config(),
            rules=Rules(),
            train=train,
            holdout=holdout,
            quarantine=quarantine,
            diff=diff,
        )
        return report, time.perf_counter() - started


def _child(code: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def measure(quick: bool) -> Measured:
    """Every case, each in its own interpreter. The quick run skips the cases of 500 MB."""
    bare = _child("from benchmarks.peak import peak_bytes; print(peak_bytes())")
    code = (
        "import json, sys; from pathlib import Path; from benchmarks.bench_validation import measure_file;"
        "print(json.dumps(measure_file(Path(sys.argv[1]))))"
    )
    cases: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dataset.jsonl"
        for name, write in CASES.items():
            if quick and name.startswith("500 MB"):
                continue
            write(path)
            case = _child(code, str(path))
            case["peak_megabytes_above_interpreter"] = (case.pop("peak_bytes") - bare) / MEGABYTE
            cases[name] = {
                key: round(value, 2) if isinstance(value, float) else value for key, value in case.items()
            }
    speeds = [
        Figure(
            f"validation, {name}", case["megabytes_per_second"], "MB/s", at_least=TARGET_MEGABYTES_PER_SECOND
        )
        for name, case in cases.items()
    ]
    peaks = [
        Figure(
            f"validation, {name}, peak memory above the interpreter",
            case["peak_megabytes_above_interpreter"],
            "MB",
            at_most=TARGET_PEAK_MEGABYTES,
        )
        for name, case in cases.items()
    ]
    return Measured(speeds + peaks, cases)


if __name__ == "__main__":
    answer(measure, __doc__)
