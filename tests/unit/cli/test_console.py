"""What reaches a terminal: no control characters, no tracebacks, whatever its encoding."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.markup import escape

from cli import console
from cli.app import main

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
ATTACK = "rain\x1b]0;owned\x07\x1b[2K\x9b31m\u202egnal"


def test_control_characters_of_content_are_printed_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    table = console.table("query")
    table.add_row(ATTACK)
    console.terminal().print(table)
    console.print_text(ATTACK)
    console.print_error(ATTACK)
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert not any(character in text for character in "\x1b\x07\x9b\u202e")
        assert "\\x1b" in text


def test_json_has_no_raw_control_characters_and_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"query": ATTACK})
    text = capsys.readouterr().out
    assert not any(character in text for character in "\x1b\x9b\u202e")
    assert json.loads(text) == {"query": ATTACK}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_that_the_terminal_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    console.make_streams_safe()
    console.print_text("猫がピアノを弾く")
    console.print_json({"query": "猫"})
    sys.stdout.flush()
    assert b"\\u732b" in raw.getvalue()


def failing(error: OSError) -> Callable[..., int]:
    def command(**_: object) -> int:
        raise error

    return command


def test_usage_error_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--limit", "none"]) == 2
    assert main(["nonsense"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("target", "code", "message"), [("/dev/full", 1, "cannot be written")])
def test_full_disk_is_one_sentence(target: str, code: int, message: str) -> None:
    with Path(target).open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_reader_that_closes_early_gets_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "generate", "samples/spec.yaml", "--preview", "1500"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()


WIDTHS = [1, 20, 40, 80, 120, 400]
ARN = "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-micro-v1:0:128k/iaigsznlw5ct"
MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
SENTENCE = f"The model {MODEL} answered none of the queries; " * 3


def printed_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    rows = console.table("id", "weight score", "reason", numbers=["weight score"], folded=["reason"])
    rows.add_row(ARN, "4.34", SENTENCE)
    console.print_table(console.terminal(), rows)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", WIDTHS)
def test_ids_and_figures_of_a_table_are_never_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    words = printed_table(monkeypatch, capsys, width).split()
    assert [ARN in words, "4.34" in words, words.count(MODEL)] == [True, True, 3]
    assert "".join(SENTENCE.split()) == "".join(
        word for word in words if word in SENTENCE.split() and word not in {ARN, "4.34"}
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_of_a_table_are_not_filled_with_blanks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    lines = printed_table(monkeypatch, capsys, width).splitlines()
    assert lines == [line.rstrip() for line in lines]


def test_a_table_that_fits_fills_the_terminal_and_not_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed_table(monkeypatch, capsys, 200).splitlines()
    assert 160 < max(map(len, lines)) <= 200


def test_a_table_without_rows_has_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(console.terminal(), console.table("a", "b", folded=["b"]))
    assert capsys.readouterr().out.split() == ["a", "b"]


def test_brackets_and_control_characters_in_a_table_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    rows = console.table("query", folded=["query"])
    rows.add_row(escape(f"[bold]{ATTACK}"))
    console.print_table(console.terminal(), rows)
    text = capsys.readouterr().out
    assert "[bold]rain\\x1b" in text
    assert "\x1b" not in text
