"""Generating a dataset: a spec shown offline, dropped, and followed to the run that comes of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner

from cli.following import AWS_INTERVAL, LOCAL_INTERVAL, TimedOut
from cli.screens import table
from distillery.aws import clients
from distillery.aws.stack_config import stack_channel_config
from distillery.errors import BadInput, Transient
from distillery.generation.planner import plan, teacher_query_counts
from distillery.generation.spec import Hard, check_channels, parse_spec
from distillery.generation.states import (
    GENERATION_ENDED,
    Generation,
    GenerationState,
    generation_id,
    spec_dataset,
    spec_key,
)
from distillery.runs.states import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from cli.stack import Stack
    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig

EXIT_CODES = {GenerationState.REJECTED: 2, GenerationState.FAILED: 3, GenerationState.STOPPED: 3}
"""Of a generation from which no run comes; where one does, the run's verdict counts."""


@dataclass(frozen=True, slots=True)
class DroppedSpec:
    """Where a spec went, and the generation that it asks for."""

    generation_id: str
    dataset: str
    bucket: str
    key: str
    version_id: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A generation at one look; None until the first function has opened it."""

    generation: Generation | None
    dealt_with: int = 0

    @property
    def words(self) -> str:
        """How far it is, in a line."""
        found = self.generation
        if found is None:
            return "waiting for the first function"
        if found.state is GenerationState.PLANNING:
            return "planning queries"
        return (
            f"{self.dealt_with} of {found.planned} queries labelled, "
            f"${found.cost:.4f} of ${found.max_cost_usd:g} spent"
        )


def read_spec(file: Path) -> tuple[Spec, bytes]:
    """The spec in a file, and its bytes; BadInput when it cannot be read or used."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error
    try:
        return parse_spec(content), content
    except BadInput as error:
        raise BadInput(f"{file}: {error.message}", fix=error.fix) from error


def preview(spec: Spec, channel_config: ChannelConfig, count: int) -> dict[str, Any]:
    """The first queries of the plan, and its shares; asks nobody."""
    planned = plan(spec, channel_config)
    channels, hard = Counter(one.channel for one in planned), Counter(one.hard for one in planned)
    return {
        "planned": len(planned),
        "to_invent": sum(teacher_query_counts(spec).values()),
        "channels": {channel: channels[channel] for channel in spec.mix if channels[channel]},
        "hard": {case.value: hard[case.value] for case in Hard if hard[case.value]},
        "queries": [
            {
                "query": one.query,
                "template_group": one.template_group,
                "channel": one.channel,
                "hard": one.hard,
            }
            for one in planned[:count]
        ],
    }


def preview_table(shown: dict[str, Any]) -> Table:
    """A preview for people."""
    rows = table("query", "channel", "template_group", "hard case")
    for one in shown["queries"]:
        rows.add_row(escape(one["query"]), one["channel"], one["template_group"], one["hard"] or "")
    return rows


def preview_words(shown: dict[str, Any]) -> str:
    """What else a preview says, in a line."""
    shares = ", ".join(
        f"{count} {name}" for part in ("channels", "hard") for name, count in shown[part].items()
    )
    invented = f", {shown['to_invent']} more to be invented by the teacher" if shown["to_invent"] else ""
    return f"{shown['planned']} queries planned{invented}: {shares}."


def drop_spec(stack: Stack, file: Path, dataset: str | None) -> DroppedSpec:
    """Put a spec into the bucket once it is known to be usable there."""
    spec, content = read_spec(file)
    channel_config = stack_channel_config(stack.bucket)
    check_channels(spec, channel_config)
    key = spec_key(dataset or file.stem)
    name = spec_dataset(key)
    teacher = stack.output("TeacherModelId")
    bucket = stack.output("DataBucketName")
    with clients.explained(f"upload {file.name}"):
        answer = stack.client("s3").put_object(
            Bucket=bucket, Key=key, Body=content, ContentType="application/yaml"
        )
    version = answer.get("VersionId") or answer["ETag"].strip('"')
    return DroppedSpec(generation_id(name, spec, channel_config, teacher), name, bucket, key, version)


def is_generation(stack: Stack, name: str, arrival: float) -> bool:
    """Whether an id is a generation's; waits until the stack knows it as that or as a run."""
    begin = time.monotonic()
    while True:
        if stack.run_store.find(name) is not None:
            return False
        if "GenerationsTableName" in stack.outputs and stack.generations.find(name) is not None:
            return True
        if time.monotonic() - begin >= arrival:
            return False
        time.sleep(_interval(stack))


def follow_generation(
    stack: Stack,
    name: str,
    *,
    timeout: float,
    arrival: float,
    version: str = "",
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Look at a generation until it has ended and that was said; the last progress is the ended one.

    With `version` it waits until that drop of the spec was heard, so that an earlier end does not count.
    Raises TimedOut, and Transient when nothing could be read within `arrival` seconds.
    """
    begin = reached = clock()
    found: Generation | None = None
    heard = False
    while True:
        try:
            found = stack.generations.find(name)
            done = stack.labels.count(name) if found and found.planned else 0
            reached = clock()
            heard = found is not None and (not version or version in found.versions)
            yield Progress(found if heard else None, done)
        except Transient:
            if clock() - reached >= arrival:
                raise
        if (
            heard
            and found is not None
            and found.state in GENERATION_ENDED
            and found.announced == found.ending
        ):
            return
        if not heard and clock() - begin >= arrival:
            raise TimedOut(f"No generation {name} appeared within {arrival:g} seconds.")
        if clock() - begin >= timeout:
            raise TimedOut(f"The generation {name} has not ended within {timeout:g} seconds; it goes on.")
        pause(_interval(stack))


def show_generation(console: Console, looks: Iterable[Progress]) -> Generation | None:
    """Show a generation while it goes: redrawn on a terminal, a line for every change elsewhere."""
    last = None
    if console.is_terminal:
        with Live(console=console, refresh_per_second=8) as live:
            for look in looks:
                last = look.generation
                state = f"{last.state.value}  " if last else ""
                live.update(Spinner("dots", text=f"{state}{look.words}"))
    else:
        said = ""
        for look in looks:
            last = look.generation
            line = f"{last.state.value if last else '':<12} {look.words}"
            if line != said:
                console.print(f"{now().astimezone():%H:%M:%S}  {line}", markup=False, soft_wrap=True)
            said = line
    if last is not None:
        console.print(f"{last.state.value}  {last.generation_id}", soft_wrap=True)
        if last.dataset_key:
            records = last.counts.get("records", 0)
            console.print(f"  {records} records in {last.dataset_key}", markup=False, soft_wrap=True)
        for reason in last.reasons:
            console.print(f"  {reason}", markup=False, soft_wrap=True)
    return last


def _interval(stack: Stack) -> float:
    return LOCAL_INTERVAL if stack.local else AWS_INTERVAL
