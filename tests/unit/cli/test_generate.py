"""`distillery generate`, and `distillery watch` of a generation: sentences, JSON, exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cli import generations
from cli.cli import main
from cli.following import TimedOut
from cli.generations import Progress, follow_generation
from cli.stack import Stack, Target, find_stack
from distillery.generation.spec import parse_spec
from distillery.generation.states import Generation, GenerationState, generation_id
from distillery.runs.states import Source, State, now
from distillery.task.channels import default_channel_config, dump_channel_config
from tests.channel_configs import TWO
from tests.specs import spec_text
from tests.unit.cli.test_commands import ON_AWS, REGION, RUN, ended_run, printed, put
from tests.unit.cli.test_commands import stack as _stack
from tests.unit.conftest import create_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEACHER = "amazon.nova-pro-v1:0"
stack = _stack


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "films.yaml"
    file.write_text(spec_text(hard={"typos": 0.1}), "utf-8")
    return file


@pytest.fixture
def generator(stack: Stack, resources: dict[str, Any]) -> Stack:
    """The stack with the generator's tables."""
    own = {
        "GenerationsTableName": create_table(resources, "GenerationsTable"),
        "LabelsTableName": create_table(resources, "LabelsTable"),
        "TeacherModelId": TEACHER,
    }
    stack.client("cloudformation").stacks["distillery"].update(own)
    return find_stack(Target(region=REGION))


def ended(stack: Stack, spec: Path, state: GenerationState, **values: Any) -> Generation:
    """A generation of the spec that has ended."""
    name = generation_id("films", parse_spec(spec.read_bytes()), default_channel_config(), TEACHER)
    source = Source(bucket="data", key="specs/films.yaml", version_id="1")
    stack.generations.receive(name, source, step="plan_dataset", max_cost_usd=5, deadline=now().isoformat())
    if state not in {GenerationState.REJECTED, GenerationState.FAILED}:
        stack.generations.move(name, GenerationState.LABELLING, step="a", counts={"planned": 3})
    found = stack.generations.move(name, state, step="a", **values)
    assert found is not None
    stack.generations.note(name, announced=found.ending)
    return found


def test_a_preview_needs_no_stack(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(spec), "--preview", "20"]) == 0
    said = capsys.readouterr().out
    assert "hard case" in said
    assert "144 queries planned: 36 visual, 36 audio, 36 transcription, 36 metadata, 14 typos." in said


def test_a_preview_as_json_says_template_group_channel_and_hard_case(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(spec), "--preview", "20", "--json"]) == 0
    shown = printed(capsys)
    assert shown["planned"] == 144
    assert len(shown["queries"]) == 20
    assert set(shown["queries"][0]) == {"query", "template_group", "channel", "hard"}


def test_a_preview_takes_another_channel_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, channel_config = tmp_path / "two.yaml", tmp_path / "channels.yaml"
    spec.write_text(spec_text(channels=TWO.names), "utf-8")
    channel_config.write_text(dump_channel_config(TWO), "utf-8")
    assert main(["generate", str(spec), "--preview", "1", "--channels", str(channel_config), "--json"]) == 0
    assert set(printed(capsys)["channels"]) == set(TWO.names)
    assert main(["generate", str(spec), "--preview", "1"]) == 1
    assert "the channel configuration has no channel" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("records: 5", "The spec cannot be used: records must be at least 100"),
        (spec_text(records=15_000), "The spec's material is too little"),
    ],
)
def test_a_spec_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    file = tmp_path / "films.yaml"
    if content is not None:
        file.write_text(content, "utf-8")
    assert main(["generate", str(file), "--preview", "3"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1


def test_a_spec_is_dropped_and_its_generation_named(
    generator: Stack, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(spec), "--dataset", "My Films", "--json", *ON_AWS]) == 0
    told = printed(capsys)
    assert told["key"] == "specs/my-films.yaml"
    content = parse_spec(spec.read_bytes())
    assert told["generation_id"] == generation_id("my-films", content, default_channel_config(), TEACHER)
    stored = boto3.client("s3").get_object(Bucket="data", Key=told["key"])
    assert stored["VersionId"] == told["version_id"]
    assert stored["Body"].read() == spec.read_bytes()


def test_a_spec_for_other_channels_than_the_stacks_is_not_dropped(
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
def test_a_generation_from_which_no_run_comes_has_an_exit_code_of_its_own(
    generator: Stack, spec: Path, capsys: pytest.CaptureFixture[str], state: GenerationState, code: int
) -> None:
    found = ended(generator, spec, state, reasons=["It was not to be."])
    assert main(["watch", found.generation_id, *ON_AWS]) == code
    said = capsys.readouterr().out
    assert f"{state.value}  {found.generation_id}" in said
    assert "It was not to be." in said


@pytest.mark.parametrize(("verdict", "code"), [(State.PROMOTED, 0), (State.NOT_PROMOTED, 4)])
def test_watching_a_generation_goes_on_to_its_run_and_its_verdict(
    generator: Stack, spec: Path, capsys: pytest.CaptureFixture[str], verdict: State, code: int
) -> None:
    ended_run(generator, verdict)
    found = ended(
        generator, spec, GenerationState.ASSEMBLED, run_id=RUN, dataset_key="datasets/films/x.jsonl"
    )
    assert main(["watch", found.generation_id, *ON_AWS]) == code
    said = capsys.readouterr().out
    assert said.index("ASSEMBLED") < said.index(verdict.value)
    assert main(["watch", found.generation_id, "--json", *ON_AWS]) == code
    told = printed(capsys)
    assert told["generation"]["state"] == "ASSEMBLED"
    assert told["run"]["run_id"] == RUN


def test_progress_is_told_in_labels_and_money() -> None:
    generation = Generation(
        generation_id="films-0123456789ab",
        state=GenerationState.LABELLING,
        source=Source(bucket="data", key="specs/films.yaml"),
        dataset="films",
        counts={"planned": 180},
        spent=0.25,
        max_cost_usd=5,
    )
    assert Progress(generation, 60).words == "60 of 180 queries labelled, $0.2500 of $5 spent"
    assert Progress(None).words == "waiting for the first function"


def test_an_earlier_end_does_not_count_for_a_new_drop(
    generator: Stack, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ended(generator, spec, GenerationState.STOPPED)
    ticks: Iterator[float] = iter(range(1_000))
    with pytest.raises(TimedOut, match=r"No generation films-.* appeared"):
        list(
            follow_generation(
                generator,
                found.generation_id,
                timeout=50,
                arrival=10,
                version="2",
                pause=lambda _: None,
                clock=lambda: next(ticks),
            )
        )
    generator.generations.note(found.generation_id, versions=["1", "2"])
    looks = list(follow_generation(generator, found.generation_id, timeout=50, arrival=10, version="2"))
    assert [look.generation is not None for look in looks] == [True]


def test_an_id_that_nobody_knows_is_waited_for_and_then_one_sentence(
    generator: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generations.time, "sleep", lambda _: None)
    assert main(["watch", "nobody-000000000000", "--arrival", "1", *ON_AWS]) == 6
    assert capsys.readouterr().err.count("\n") == 1


def test_a_stack_from_before_the_generator_is_still_watched(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_run(stack, State.PROMOTED)
    assert main(["watch", RUN, "--json", *ON_AWS]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "PROMOTED"
