"""`distillery doctor`: exit codes, what it prints and writes; no traceback."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from cli.app import main
from cli.dataset_validation import validate_file
from distillery.task.channels import default_channel_config, dump_channel_config
from tests.unit.patching import apply

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE = (Path(__file__).parents[3] / "samples" / "dataset.jsonl").read_bytes()
LINES = SAMPLE.splitlines(keepends=True)


def zip_archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("dataset.jsonl", SAMPLE)
    return packed.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "set.jsonl"
        path.write_bytes(content)
        return path

    return write


def test_the_sample_dataset_is_clean(
    file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(file(SAMPLE))]) == 0
    output = capsys.readouterr()
    assert "Clean: 1,500 lines, 0 errors, 0 warnings" in output.out
    assert output.err == ""


def test_notes_are_exit_code_0(file: Callable[[bytes], Path]) -> None:
    assert main(["doctor", str(file(SAMPLE + b"\n\n" + LINES[0]))]) == 0


def test_findings_are_printed_by_code_and_by_line(
    file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    content = [*LINES[:700], b"{}\n", LINES[700].replace(b"lecture", b"\\u0007"), *LINES[701:], b"[]\n"]
    assert main(["doctor", str(file(b"".join(content)))]) == 1
    text = capsys.readouterr().out
    for part in (
        "missing_field",
        "not_object",
        "701",
        "1,502",
        "Add 'schemaVersion' to the line.",
        "visual",
    ):
        assert part in text
    assert "Findings: 1,502 lines, 2 errors" in text


def test_dataset_that_the_stack_would_reject_prints_the_reason(
    file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(file(b"".join(LINES[:20])))]) == 1
    assert "20 distinct queries in 20 usable records; at least 100 are needed." in capsys.readouterr().out


UNREADABLE = {
    "an empty file": (b"", "no lines"),
    "blank lines": (b"\n \n", "no lines"),
    "a binary file": (b"\x7fELF\0\0\0", "binary"),
    "gzip": (gzip.compress(SAMPLE, mtime=1), "gzip"),
    "a zip archive": (zip_archive(), "zip archive"),
    "UTF-16": (SAMPLE[:4_000].decode().encode("utf-16"), "UTF-16"),
    "bytes of no encoding": (b"\xe9\xe8\n" * 50, "UTF-8"),
}


@pytest.mark.parametrize(("content", "word"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_file_is_exit_code_2_and_writes_nothing(
    file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str], content: bytes, word: str
) -> None:
    path = file(content)
    fix = path.with_name("fixed.jsonl")
    assert main(["doctor", str(path), "--fix", str(fix)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert word in output.err
    assert len(output.err.strip().splitlines()) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["set.jsonl"]


def test_missing_file_folder_and_dataset_as_its_own_output_are_exit_code_2(
    tmp_path: Path, file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(SAMPLE)
    assert main(["doctor", str(tmp_path / "none.jsonl")]) == 2
    assert main(["doctor", str(tmp_path)]) == 2
    assert main(["doctor", str(path), "--fix", str(path)]) == 2
    assert main(["doctor", str(path), "--channels", str(tmp_path / "none.yaml")]) == 2
    assert main(["doctor", str(path), "--fix", str(path / "below.jsonl")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 5
    assert path.read_bytes() == SAMPLE


def piped(folder: Path, content: bytes) -> Path:
    """A pipe from which the content can be read once."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True).start()
    return pipe


@pytest.mark.parametrize("fix", [False, True], ids=["", "with --fix"])
def test_a_pipe_is_examined_like_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fix: bool
) -> None:
    out = tmp_path / "fixed.jsonl"
    assert (
        main(["doctor", str(piped(tmp_path, SAMPLE)), "--json", *(["--fix", str(out)] if fix else [])]) == 0
    )
    assert json.loads(capsys.readouterr().out)["lines"] == 1_500
    assert not fix or out.read_bytes() == SAMPLE


def test_a_pipe_in_the_form_of_another_tool_is_converted(tmp_path: Path) -> None:
    chat = b"".join(
        json.dumps({"messages": [{"role": "user", "content": f"rain on roof {number}"}]}).encode() + b"\n"
        for number in range(150)
    )
    out = tmp_path / "fixed.jsonl"
    assert main(["doctor", str(piped(tmp_path, chat)), "--fix", str(out)]) == 1
    assert len(out.read_bytes().splitlines()) == 150


@pytest.mark.parametrize("command", ["doctor", "estimate"])
def test_a_hyphen_is_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SAMPLE)))
    assert main([command, "-"]) == 0
    assert capsys.readouterr().err == ""


def test_standard_input_that_is_closed_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["doctor", "-"]) == 2
    assert capsys.readouterr().err == "Standard input is closed. Name a file.\n"


@pytest.mark.parametrize("taken", ["fixed.jsonl", "fixed.jsonl.diff", "page.html"])
def test_output_is_not_overwritten_without_force(
    file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str], taken: str
) -> None:
    path = file(SAMPLE)
    path.with_name(taken).write_text("mine")
    outputs = ["--fix", str(path.with_name("fixed.jsonl")), "--html", str(path.with_name("page.html"))]
    assert main(["doctor", str(path), *outputs]) == 2
    assert f"{taken} exists. Set --force" in capsys.readouterr().err
    assert path.with_name(taken).read_text() == "mine"
    assert sorted(entry.name for entry in path.parent.iterdir()) == sorted(["set.jsonl", taken])
    assert main(["doctor", str(path), *outputs, "--force"]) == 0
    assert path.with_name(taken).read_text() != "mine"


def test_output_in_a_folder_that_does_not_exist_is_an_error(
    file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(SAMPLE)
    assert main(["doctor", str(path), "--html", str(path.parent / "none" / "page.html")]) == 2
    assert "does not exist. Create it first." in capsys.readouterr().err


def test_fix_through_a_link_writes_where_the_link_points(file: Callable[[bytes], Path]) -> None:
    path = file(SAMPLE)
    real, link = path.with_name("real.jsonl"), path.with_name("link.jsonl")
    real.touch()
    link.symlink_to(real)
    assert main(["doctor", str(path), "--fix", str(link), "--force"]) == 0
    assert link.is_symlink()
    assert real.read_bytes() == SAMPLE


def test_a_device_is_not_replaced(
    file: Callable[[bytes], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = tmp_path / "device"
    os.mkfifo(device)
    assert main(["doctor", str(file(SAMPLE)), "--fix", str(device), "--force"]) == 2
    assert "is not a regular file" in capsys.readouterr().err
    assert device.is_fifo()


def test_fix_writes_the_fixed_dataset_and_the_changes(file: Callable[[bytes], Path]) -> None:
    content = SAMPLE.replace(b"lecture on", b"lecture\\u0000 on", 3) + b"{}\n"
    path = file(content)
    fix = path.with_name("fixed.jsonl")
    assert main(["doctor", str(path), "--fix", str(fix)]) == 1
    diff = fix.with_name("fixed.jsonl.diff").read_bytes()
    assert apply(diff, content) == fix.read_bytes()
    assert path.read_bytes() == content
    assert main(["doctor", str(fix)]) == 0
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "fixed.jsonl",
        "fixed.jsonl.diff",
        "set.jsonl",
    ]


def test_json_output_is_the_report_only(
    file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(SAMPLE)
    assert main(["doctor", str(path), "--json", "--html", str(path.with_suffix(".html"))]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["lines"], report["dataset"], report["errors"]) == (1_500, "set.jsonl", 0)
    assert "</html>" in path.with_suffix(".html").read_text("utf-8")


def test_channels_option_reads_another_channel_config(
    file: Callable[[bytes], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    channels = tmp_path / "channels.yaml"
    channels.write_text(
        dump_channel_config(default_channel_config()).replace("name: metadata", "name: data"), "utf-8"
    )
    assert main(["doctor", str(file(SAMPLE)), "--channels", str(channels)]) == 2
    channels.write_text(dump_channel_config(default_channel_config()).replace("metadata:", "data:").replace(
        "name: metadata", "name: data"), "utf-8")  # fmt: skip
    assert main(["doctor", str(file(SAMPLE)), "--channels", str(channels)]) == 1
    assert "unknown_channel" in capsys.readouterr().out


def test_progress_bar_is_printed_on_a_terminal_only(file: Callable[[bytes], Path]) -> None:
    path = file(SAMPLE)
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        validate_file(path, default_channel_config(), console)
        assert isinstance(console.file, io.StringIO)
        assert ("reading" in console.file.getvalue() or "comparing" in console.file.getvalue()) is terminal


def test_file_of_another_tool_is_converted(
    tmp_path: Path, file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    records = [json.loads(line)["messages"] for line in LINES]
    chats = [
        {"messages": [{"role": turn["role"], "content": turn["content"][0]["text"]} for turn in turns]}
        for turns in records
    ]
    path = file("".join(json.dumps(chat) + "\n" for chat in chats).encode())
    assert main(["doctor", str(path)]) == 1
    assert "The file is in OpenAI's chat form. Convert it: `distillery doctor" in capsys.readouterr().out
    fix = tmp_path / "converted.jsonl"
    assert main(["doctor", str(path), "--fix", str(fix)]) == 0
    assert f"Wrote {fix} (0 lines fixed, 0 lines quarantined)." in capsys.readouterr().out
    assert [json.loads(line)["messages"] for line in fix.read_bytes().splitlines()] == records
    assert not fix.with_name("converted.jsonl.diff").exists()


def test_file_that_cannot_be_converted_leaves_no_output(
    tmp_path: Path, file: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    fix = tmp_path / "converted.jsonl"
    assert main(["doctor", str(file(b'{"prompt": "a"}\n{broken')), "--fix", str(fix)]) == 2
    assert "cannot be converted: line 2 is not JSON." in capsys.readouterr().err
    assert not fix.exists()
