"""20,000 mutated and random files: each gives a report, no exception, and takes bounded memory.

Each batch mutates one small clean file. Every case has its own seed, which a failure names. Memory is the
peak that tracemalloc counts while a file is validated: it covers Python's objects and buffers and does not
depend on the machine. The clean file is measured in the same way, after everything that is loaded once has
been loaded.
"""

from __future__ import annotations

import io
import json
import random
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from distillery.dataset import validation
from distillery.dataset.findings import CODES
from distillery.dataset.records import Record, training_line
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.reports.validation_report import render_validation
from distillery.task.channels import default_channel_config
from distillery.task.prompts import student_prompt
from tests.unit.patching import apply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCHES = 20
CASES = 1_000
"""Cases in each batch."""
LINES = 8
UNREAD = {"binary_file", "compressed_file", "not_utf8", "other_format"}
CHANNEL_CONFIG = default_channel_config()
CHANNELS = CHANNEL_CONFIG.names
PROMPT = student_prompt(CHANNEL_CONFIG)
SPECIAL_BYTES = b'"\\{}[]:,\0\r\n\t\x1b\x7f\xff\xfe\xef\xbb\xbf\xed\xa0\x80 019-+.eE@'


def seeded(seed: str) -> random.Random:
    """A random generator with a seed."""
    return random.Random(seed)  # noqa: S311


def good_file(rng: random.Random) -> bytes:
    """A small clean file with lines in several JSON styles."""
    lines = []
    for number in range(LINES):
        top = rng.choice([0.5, 0.6, 0.7, 1.0])
        label = {**dict.fromkeys(CHANNELS, 0.0), CHANNELS[0]: top, CHANNELS[1]: round(1 - top, 1)}
        query = f"{rng.choice(['red kite', 'Krähe über dem Dach', '猫の動画'])} {number}"
        record = Record(0, query, rng.choice([label, label, None]), rng.choice(["", "It is “seen”."]), "")
        line = training_line(record, PROMPT)
        lines.append(line if rng.random() < 0.7 else json.dumps(json.loads(line)).encode() + b"\n")
    return b"".join(lines)


def flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice(SPECIAL_BYTES)
    return bytes(changed)


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randint(0, len(content))]


def drop_bytes(rng: random.Random, content: bytes) -> bytes:
    start = rng.randint(0, len(content))
    return content[:start] + content[start + rng.randint(1, 60) :]


def insert_bytes(rng: random.Random, content: bytes) -> bytes:
    start = rng.randint(0, len(content))
    return content[:start] + bytes(rng.choices(SPECIAL_BYTES, k=rng.randint(1, 12))) + content[start:]


def repeat_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    return b"".join(line * rng.choice([1, 1, 1, 2]) for line in lines)


def nest(rng: random.Random, content: bytes) -> bytes:
    nested = rng.choice([b"[", b'{"a":', b'{\\"a\\":']) * rng.choice([3, 900, 2_600])
    return insert(rng, content, nested)


def huge_number(rng: random.Random, content: bytes) -> bytes:
    number = rng.choice(
        [b"9" * 5_000, b"1e999", b"-0.0", b"NaN", b"-Infinity", b"0." + b"3" * 900, b"1e-400"]
    )
    at = content.find(rng.choice([b"0.5", b"0.7", b"1.0", b"0.0"]), rng.randint(0, len(content)))
    return content if at < 0 else content[:at] + number + content[at + 3 :]


def surrogate(rng: random.Random, content: bytes) -> bytes:
    return insert(rng, content, rng.choice([b"\\ud83d", b"\\\\ud83d", b"\\udc00\\ud800", b"\xed\xa0\x80"]))


def odd_ends(rng: random.Random, content: bytes) -> bytes:
    return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\n \r\n", b"\x85\n", b""]))


def mark(rng: random.Random, content: bytes) -> bytes:
    return (
        rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04", b"\xef\xbb\xbf" * 2]) + content
    )


def other_words(rng: random.Random, content: bytes) -> bytes:
    old = rng.choice(
        [b"user", b"assistant", b"system", b"messages", b"text", b"content", CHANNELS[0].encode()]
    )
    new = rng.choice([b"", b"user", b"assistant", b"role", b"System:", b"\\u0000", b"me@example.org", b"\\n"])
    return content.replace(old, new, rng.choice([1, 3, -1]))


def swap_halves(rng: random.Random, content: bytes) -> bytes:
    at = rng.randint(0, len(content))
    return content[at:] + content[:at]


def noise(rng: random.Random, content: bytes) -> bytes:
    return rng.randbytes(rng.randint(0, len(content)))


def insert(rng: random.Random, content: bytes, what: bytes) -> bytes:
    """Insert bytes after a quotation mark: in a line's structure or in its texts."""
    places = content.count(b'"')
    at = -1
    for _ in range(rng.randint(0, min(places, 60))):
        at = content.find(b'"', at + 1)
    return content[: at + 1] + what + content[at + 1 :]


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flip, flip, cut, drop_bytes, insert_bytes, repeat_lines, nest, huge_number, surrogate, odd_ends, mark,
    other_words, swap_halves, noise,
)  # fmt: skip


def validate(content: bytes, tolerance: float) -> tuple[DatasetReport, bytes, bytes]:
    """The report, the fixes and the fixed file."""
    diff, fixed = io.BytesIO(), io.BytesIO()
    report = validate_dataset(
        io.BytesIO(content),
        channel_config=CHANNEL_CONFIG,
        rules=Rules(error_tolerance=tolerance, holdout_min=2),
        train=io.BytesIO(),
        holdout=io.BytesIO(),
        quarantine=io.BytesIO(),
        diff=diff,
        fixed=fixed,
    )
    return report, diff.getvalue(), fixed.getvalue()


def traced(content: bytes, tolerance: float) -> tuple[DatasetReport, bytes, bytes, int]:
    """As `validate`, with the peak of the memory in bytes."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    result = validate(content, tolerance)
    return *result, tracemalloc.get_traced_memory()[1] - before


def mutated(rng: random.Random, content: bytes) -> bytes:
    for mutate in rng.choices(MUTATIONS, k=rng.randint(1, 3)):
        content = mutate(rng, content)
    return content


def check_case(seed: str, clean: bytes, allowed: int) -> None:
    """Validate one case and check everything that must hold for its report."""
    rng = seeded(seed)
    content = mutated(rng, clean)
    report, diff, fixed, peak = traced(content, rng.choice([0.0, 0.01, 0.5, 1.0]))
    assert peak <= allowed
    assert report.valid == (not report.reasons)
    assert report.finding_counts.keys() <= CODES.keys()
    assert report.errors + report.warnings + report.notes == sum(report.finding_counts.values())
    assert report.accepted + report.quarantined == report.lines
    document = report.model_dump_json()
    if any(finding.line is None and finding.code in UNREAD for finding in report.findings):
        assert (report.lines, diff, fixed) == (0, b"", b"")
    elif "diff_left_out" not in report.finding_counts:
        assert apply(diff, content) == fixed
    if rng.random() < 0.1:
        assert DatasetReport.model_validate_json(document) == report
        # The fixed file needs no fixes.
        again, _, same = validate(fixed, 0.0)
        assert (again.quarantined, again.fixed, again.lines) == (0, 0, report.accepted)
        assert same == fixed
    if rng.random() < 0.002:
        assert "</html>" in render_validation(report, CHANNEL_CONFIG)


@pytest.fixture
def _few_queries_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MIN_DISTINCT", 4)


@pytest.fixture
def _traced_memory() -> Iterator[None]:
    # Load everything that is loaded once before memory is counted.
    validate(good_file(seeded("0")) * 2 + b"call 212 555 2368 or +44 20 7946 0958\n", 1.0)
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("_few_queries_are_enough", "_traced_memory")
@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutated_files_get_a_report_within_twice_the_memory(batch: int) -> None:
    sys.stdout.write(f"seeds {batch}-0 to {batch}-{CASES - 1}\n")
    clean = good_file(seeded(str(batch)))
    allowed = 2 * traced(clean, 1.0)[-1]
    for number in range(CASES):
        seed = f"{batch}-{number}"
        try:
            check_case(seed, clean, allowed)
        except Exception as error:
            raise AssertionError(f"the case with the seed {seed!r} failed") from error
