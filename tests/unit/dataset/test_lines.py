"""Files that cannot be read as lines of JSON."""

from __future__ import annotations

import gzip
import json

import pytest

from distillery.dataset import lines
from tests.unit.dataset.datasets import good_lines, line, validate

UNREADABLE: dict[str, tuple[str, bytes]] = {
    "empty": ("empty_file", b""),
    "blank lines only": ("empty_file", b"\n \r\n\n"),
    "a byte order mark only": ("empty_file", b"\xef\xbb\xbf"),
    "binary": ("binary_file", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "UTF-16": ("not_utf8", b"".join(good_lines(120)).decode().encode("utf-16")),
    "Latin-1": ("not_utf8", b"".join(line(f"caf\xe9 {n}") for n in range(120)).decode().encode("latin-1")),
    "compressed": ("compressed_file", gzip.compress(b"".join(good_lines(120)), mtime=1)),
    "CSV": ("other_format", b"query,visual,audio\nred kite,0.9,0.1\n" * 80),
    "a JSON array": (
        "other_format",
        json.dumps([json.loads(raw) for raw in good_lines(120)], indent=1).encode(),
    ),
}


@pytest.mark.parametrize(("code", "content"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_file_is_rejected(code: str, content: bytes) -> None:
    done = validate(content)
    assert not done.report.valid
    assert code in done.codes or "binary_file" in done.codes
    assert done.report.reasons
    assert all(reason.endswith(".") for reason in done.report.reasons)
    assert (done.train, done.holdout, done.report.fingerprint) == ([], [], None)


def test_file_over_the_size_limit_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_FILE_BYTES", 100_000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 10_000)
    report = validate(good_lines(1_000)).report
    assert not report.valid
    assert "file_too_large" in report.finding_counts
    assert report.bytes_read == 110_000


def test_carriage_returns_alone_end_lines() -> None:
    content = b"".join(good_lines(120))
    done = validate(content.replace(b"\n", b"\r"))
    assert done.report.valid
    assert (done.report.lines, done.report.accepted) == (120, 120)
    assert done.report.finding_counts["carriage_returns"] == 1
    assert done.report.fingerprint == validate(content).report.fingerprint
