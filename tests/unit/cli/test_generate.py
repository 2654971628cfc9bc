"""`distillery generate`, and `distillery watch` for a generation: messages, JSON, exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cli.app import main
from cli.polling import GenerationSnapshot, TimedOut, poll_generation
from cli.stack import Stack, Target, find_stack
from distillery.generation.spec import parse_spec
from distillery.generation.states import Generation, GenerationState, generation_id
from distillery.runs.states import Source, State, now
from distillery.task.channels import default_channel_config, dump_channel_config
from tests.channel_configs import TWO
from tests.specs import spec_text
from tests.unit.cli.stacks import ON_AWS, REGION, RUN, ended_run, printed, put
from tests.unit.conftest import create_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEACHER = "amazon.nova-pro-v1:0"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "films.yaml"
    file.write_text(spec_text(hard={"typos": 0.1}), "utf-8")
    return file


@pytest.fixture
def generator(stack: Stack, resources: dict[str, Any]) -> Stack:
    """The stack with the tables for generations."""
    outputs = {
        "GenerationsTableName": create_table(resources, "GenerationsTable"),
        "LabelsTableName": create_table(resources, "LabelsTable"),
        "TeacherModelId": TEACHER,
    }
    stack.client("cloudformation").stacks["distillery"].update(outputs)
    return find_stack(Target(region=REGION))


def ended(stack: Stack, spec: Path, state: GenerationState, **values: Any) -> Generation:
    """A generation of the spec that has ended."""
    name = generation_id("films", parse_spec(spec.read_bytes()), default_channel_config(), TEACHER)
    source = Source(bucket="data", key="specs/films.yaml", version_id="1")
    stack.generations.receive(name, source, step="plan_dataset", max_cost_usd=5, deadline=now().isoformat())
    if state not in {GenerationState.REJECTED, GenerationState.FAILED}:
        stack.generations.move(name, GenerationState.LABELLING, step="a", counts={"planned": 3})
        stack.generations.move(name, GenerationState.ASSEMBLING, step="a")
    found = stack.generations.move(name, state, step="a", **values)
    assert found is not None
    stack.generations.note(name, announced=found.ending)
    return found


def test_preview_needs_no_stack(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(spec), "--preview", "20"]) == 0
    text = capsys.readouterr().out
    assert "hard case" in text
    assert "144 queries planned: 36 visual, 36 audio, 36 transcription, 36 metadata." in text
    assert "Hard cases among them: 14 typos." in text


def test_preview_as_json_has_template_group_channel_and_hard_case(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(spec), "--preview", "20", "--json"]) == 0
    content = printed(capsys)
    assert content["planned"] == 144
    assert len(content["queries"]) == 20
    assert set(content["queries"][0]) == {"query", "template_group", "channel", "hard"}


def test_channels_option_of_a_preview_reads_another_channel_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, channel_config = tmp_path / "two.yaml", tmp_path / "channels.yaml"
    spec.write_text(spec_text(channels=TWO.names), "utf-8")
    channel_config.write_text(dump_channel_config(TWO), "utf-8")
    assert main(["generate", str(spec), "--preview", "1", "--channels", str(channel_config), "--json"]) == 0
    assert set(printed(capsys)["channels"]) == set(TWO.names)
    assert main(["generate", str(spec), "--preview", "1"]) == 1
    assert "the channel configuration has no channel" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("records: 5", "The spec cannot be used: records must be at least 100"),
        (spec_text(records=15_000), "The spec's material is too little"),
    ],
)
def test_invalid_spec_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    file = tmp_path / "films.yaml"
    if content is not None:
        file.write_text(content, "utf-8")
    assert main(["generate", str(file), "--preview", "3"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert output.err.count("\n") == 1


def test_generate_uploads_the_spec_and_prints_the_generation(
    generator: Stack, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(spec), "--dataset", "My Films", "--json", *ON_AWS]) == 0
    uploaded = printed(capsys)
    assert uploaded["key"] == "specs/my-films.yaml"
    content = parse_spec(spec.read_bytes())
    assert uploaded["generation_id"] == generation_id("my-films", content, default_channel_config(), TEACHER)
    stored = boto3.client("s3").get_object(Bucket="data", Key=uploaded["key"])
    assert stored["VersionId"] == uploaded["version_id"]
    assert stored["Body"].read() == spec.read_bytes()


def test_spec_with_channels_that_the_stack_does_not_have_is_not_uploaded(
    generator: Stack, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(generator, "config/channels.yaml", dump_channel_config(TWO).encode())
    assert main(["generate", str(spec), *ON_AWS]) == 1
    assert "the channel configuration has no channel 'visual'" in capsys.readouterr().err
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="data", Prefix="specs/")


@pytest.mark.parametrize(
    ("state", "code"),
    [(GenerationState.STOPPED, 3), (GenerationState.FAILED, 3), (GenerationState.REJECTED, 2)],
)
def test_generation_without_a_run_has_its_own_exit_code(
    generator: Stack, spec: Path, capsys: pytest.CaptureFixture[str], state: GenerationState, code: int
) -> None:
    found = ended(generator, spec, state, reasons=["The teacher did not answer."])
    assert main(["watch", found.generation_id, *ON_AWS]) == code
    text = capsys.readouterr().out
    assert f"{state.value}  {found.generation_id}" in text
    assert "The teacher did not answer." in text


@pytest.mark.parametrize(("verdict", "code"), [(State.PROMOTED, 0), (State.NOT_PROMOTED, 4)])
def test_watch_of_a_generation_follows_its_run_to_the_verdict(
    generator: Stack, spec: Path, capsys: pytest.CaptureFixture[str], verdict: State, code: int
) -> None:
    ended_run(generator, verdict)
    found = ended(
        generator, spec, GenerationState.ASSEMBLED, run_id=RUN, dataset_key="datasets/films/x.jsonl"
    )
    assert main(["watch", found.generation_id, *ON_AWS]) == code
    text = capsys.readouterr().out
    assert text.index("ASSEMBLED") < text.index(verdict.value)
    assert main(["watch", found.generation_id, "--json", *ON_AWS]) == code
    document = printed(capsys)
    assert document["generation"]["state"] == "ASSEMBLED"
    assert document["run"]["run_id"] == RUN


def test_progress_of_a_generation_counts_labels_and_dollars() -> None:
    generation = Generation(
        generation_id="films-0123456789ab",
        state=GenerationState.LABELLING,
        source=Source(bucket="data", key="specs/films.yaml"),
        dataset="films",
        counts={"planned": 180},
        spent=0.25,
        max_cost_usd=5,
    )
    assert GenerationSnapshot(generation, 60).progress == "60 of 180 queries labelled, $0.2500 of $5 spent"
    assert GenerationSnapshot(None).progress == "waiting for the generation to start"


def test_end_before_a_new_upload_of_the_spec_does_not_count(
    generator: Stack, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ended(generator, spec, GenerationState.STOPPED)
    ticks: Iterator[float] = iter(range(1_000))
    with pytest.raises(TimedOut, match=r"Generation films-.* did not start"):
        list(
            poll_generation(
                generator,
                found.generation_id,
                timeout=50,
                start_timeout=10,
                version="2",
                pause=lambda _: None,
                clock=lambda: next(ticks),
            )
        )
    generator.generations.drop_again(found.generation_id, "2")
    with pytest.raises(TimedOut, match="has not ended"):
        list(
            poll_generation(
                generator,
                found.generation_id,
                timeout=10,
                start_timeout=10,
                version="2",
                pause=lambda _: None,
                clock=lambda: next(ticks),
            )
        )
    generator.generations.note(found.generation_id, dropped_again=False)
    snapshots = list(
        poll_generation(generator, found.generation_id, timeout=50, start_timeout=10, version="2")
    )
    assert [snapshot.generation is not None for snapshot in snapshots] == [True]


def test_watch_of_an_unknown_id_waits_and_then_fails_in_one_line(
    generator: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.polling.time.sleep", lambda _: None)
    assert main(["watch", "nobody-000000000000", "--start-timeout", "1", *ON_AWS]) == 6
    assert capsys.readouterr().err.count("\n") == 1


def test_watch_works_with_a_stack_without_the_generations_table(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_run(stack, State.PROMOTED)
    assert main(["watch", RUN, "--json", *ON_AWS]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "PROMOTED"
