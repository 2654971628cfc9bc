"""`distillery drop`."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cli.app import main
from cli.uploads import upload_dataset
from distillery.runs.states import Source, run_id
from tests.unit.cli.stacks import ON_AWS, printed

if TYPE_CHECKING:
    import pytest

    from cli.stack import Stack


ROOT = Path(__file__).parents[3]


def test_drop_prints_the_id_of_the_run_that_the_upload_starts(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "My Films.jsonl"
    file.write_text("{}\n")
    assert main(["drop", str(file), "--no-check", "--json", *ON_AWS]) == 0
    uploaded = printed(capsys)
    assert uploaded["key"] == "datasets/my-films/my-films.jsonl"
    assert uploaded["run_id"] == run_id("data", uploaded["key"], uploaded["version_id"])
    head = stack.client("s3").head_object(Bucket="data", Key=uploaded["key"])
    assert head["VersionId"] == uploaded["version_id"]


def test_drop_with_another_dataset_name(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("{}\n")
    assert main(["drop", str(file), "--no-check", "--dataset", "films", *ON_AWS]) == 0
    assert capsys.readouterr().out.startswith("films-")


def test_file_that_cannot_be_read_is_an_error(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drop", str(tmp_path / "a.jsonl"), *ON_AWS]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_ending_of_the_file_does_not_matter(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "films.JSON"
    file.write_bytes((ROOT / "samples/dataset.jsonl").read_bytes())
    assert main(["drop", str(file), "--json", *ON_AWS]) == 0
    assert printed(capsys)["key"] == "datasets/films/films.jsonl"


def test_files_without_latin_letters_are_datasets_of_their_own_and_the_name_is_printed(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = set()
    for stem in ("\u52d5\u753b", "\u691c\u7d22", "gr\u00f6\u00dfe", "gr\u00f6sse"):
        file = tmp_path / f"{stem}.jsonl"
        file.write_text("{}\n")
        assert main(["drop", str(file), "--no-check", *ON_AWS]) == 0
        names.add(capsys.readouterr().err)
    assert len(names) == 4
    assert all(name.startswith("The name of the dataset is ") for name in names)


def test_run_id_is_that_of_the_event_while_versioning_is_suspended(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3, file, ids = stack.client("s3"), tmp_path / "a.jsonl", set()
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Suspended"})
    for content in ("{}\n", "[]\n"):
        file.write_text(content)
        assert main(["drop", str(file), "--no-check", *ON_AWS]) == 0
        etag = s3.head_object(Bucket="data", Key="datasets/a/a.jsonl")["ETag"].strip('"')
        source = Source(bucket="data", key="datasets/a/a.jsonl", version_id="null", etag=etag)
        ids.add(capsys.readouterr().out.strip())
        assert run_id(source.bucket, source.key, source.version) in ids
    assert len(ids) == 2


def test_a_pipe_is_not_uploaded(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "a.jsonl"
    os.mkfifo(pipe)
    for name in (str(pipe), "-"):
        assert main(["drop", name, *ON_AWS]) == 1
        assert "is a pipe, and an upload needs a file" in capsys.readouterr().err


def test_file_that_begins_with_a_hyphen_is_named_after_two_hyphens(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-films.jsonl").write_text("{}\n")
    assert main(["drop", "-films.jsonl", *ON_AWS]) == 2
    assert "Put -- before file names that begin with a hyphen." in capsys.readouterr().err
    assert main(["drop", "--no-check", *ON_AWS, "--", "-films.jsonl"]) == 0


def test_upload_has_a_progress_bar_on_a_terminal(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "films.jsonl"
    file.write_bytes(b"x" * 1_000_000)
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    uploaded = upload_dataset(stack, file, None, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "uploading" in shown
    assert "1.0/1.0 MB" in shown
    stored = stack.client("s3").get_object(Bucket="data", Key=uploaded.key)["Body"].read()
    assert stored == file.read_bytes()


def test_dataset_that_would_be_rejected_is_not_uploaded(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("{}\n")
    assert main(["drop", str(file), *ON_AWS]) == 2
    message = capsys.readouterr().err
    assert "was not uploaded" in message
    assert f"distillery doctor {file}" in message
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket="data", Prefix="datasets/")


def test_file_of_zeros_is_not_uploaded(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "zeros.jsonl"
    file.write_bytes(bytes(100_000))
    assert main(["drop", str(file), *ON_AWS]) == 1
    assert "binary" in capsys.readouterr().err
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket="data", Prefix="datasets/")


def test_sample_dataset_passes_the_check(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drop", str(ROOT / "samples" / "dataset.jsonl"), *ON_AWS]) == 0
    assert capsys.readouterr().out.startswith("dataset-")
