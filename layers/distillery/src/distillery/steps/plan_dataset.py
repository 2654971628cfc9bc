"""A spec in `specs/`: create the generation, send its wait to the poller, plan its queries, queue them.

The id of a generation is derived from everything that determines its queries. The same spec is therefore the
same generation: one that is complete stays as it is, and one that stopped or failed continues where it was.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from distillery.aws.stack_config import COPY, stack_channel_config, stack_prices
from distillery.errors import BadInput, Permanent
from distillery.generation.planner import TEACHER, dump_plan, plan
from distillery.generation.spec import LARGEST_SPEC, check_channels, parse_spec
from distillery.generation.states import (
    Generation,
    GenerationState,
    generation_id,
    generation_key,
    rejected_id,
    spec_dataset,
)
from distillery.runs.states import now
from distillery.steps.generation_steps import PLAN, SPEC, progress
from distillery.steps.watch_generation import PLANNING_TIME
from distillery.task.channels import dump_channel_config

if TYPE_CHECKING:
    from distillery.cost.prices import Price
    from distillery.generation.planner import Planned
    from distillery.generation.spec import Spec
    from distillery.runs.states import Source
    from distillery.steps.generation_steps import GenerationSteps
    from distillery.steps.teacher_queries import TeacherQueryWriter
    from distillery.task.channels import ChannelConfig

STEP = "plan_dataset"


def plan_dataset(
    source: Source, teacher: str, steps: GenerationSteps, query_writer: TeacherQueryWriter
) -> Generation:
    """Plan the generation of a spec, or continue it. Returns the generation as it is afterwards."""
    dataset = spec_dataset(source.key)
    content = steps.bucket.stream(source.key, source.version_id).read(LARGEST_SPEC + 1)
    try:
        spec, channel_config = parse_spec(content), stack_channel_config(steps.bucket)
        check_channels(spec, channel_config)
    except BadInput as error:
        name = rejected_id(dataset, content)
        steps.watch(name, now() + PLANNING_TIME)
        steps.generations.receive(name, source, step=STEP)
        steps.end(name, GenerationState.REJECTED, STEP, str(error))
        return steps.generations.get(name)
    name = generation_id(dataset, spec, channel_config, teacher)
    generation = _create_or_continue(name, source, spec, teacher, steps)
    if generation.state is GenerationState.PLANNING:
        with steps.fail_on_error(name, STEP):
            _Planner(generation, spec, channel_config, steps).plan(content, query_writer)
    return steps.announce(steps.generations.get(name))


def _create_or_continue(
    name: str, source: Source, spec: Spec, teacher: str, steps: GenerationSteps
) -> Generation:
    """Return the generation, moved to PLANNING or LABELLING where this drop of the spec requires it.

    The drop and its limits are recorded before anything is done about them. A later delivery of the event, or
    another function, does what is left.
    """
    deadline = now() + timedelta(minutes=spec.deadline_minutes)
    limits: dict[str, Any] = {"max_cost_usd": spec.max_cost_usd, "deadline": deadline.isoformat()}
    known = steps.generations.find(name)
    if known is None:
        steps.watch(name, deadline)
        known = steps.generations.receive(name, source, step=STEP, teacher=teacher, **limits)
    if source.version not in known.versions:
        dropped = steps.generations.drop_again(name, source.version, **limits)
        if dropped and dropped.state is GenerationState.LABELLING and known.why_closed(now()):
            # The messages that were received while it took no labels are gone.
            steps.queue_missing(name, steps.plan(name))
        known = dropped or steps.generations.get(name)
    return steps.resume(known, STEP)


class _Planner:
    """Plans one generation. Planning it again writes the same objects and is not billed again."""

    def __init__(
        self, generation: Generation, spec: Spec, channel_config: ChannelConfig, steps: GenerationSteps
    ) -> None:
        self._name, self._teacher = generation.generation_id, generation.teacher
        self._spec, self._channel_config, self._steps = spec, channel_config, steps

    def plan(self, content: bytes, query_writer: TeacherQueryWriter) -> None:
        """Write the plan, move the generation to LABELLING and queue its queries."""
        price = stack_prices(self._steps.bucket).find(self._teacher)
        if price is None:
            raise Permanent(
                f"There is no price for the teacher {self._teacher}, so max_cost_usd cannot be enforced.",
                fix="Choose a teacher that prices.yaml lists.",
            )
        try:
            planned = self._planned(content, query_writer, price)
        except BadInput as error:
            self._steps.end(self._name, GenerationState.REJECTED, STEP, str(error))
            return
        invented = sum(one.template_group == TEACHER for one in planned)
        moved = self._steps.generations.move(
            self._name,
            GenerationState.LABELLING,
            step=STEP,
            since=GenerationState.PLANNING,
            price=price.model_dump(),
            counts={"planned": len(planned), "invented": invented},
            **progress(),
        )
        if moved:
            self._steps.queue_missing(self._name, planned)

    def _planned(self, content: bytes, query_writer: TeacherQueryWriter, price: Price) -> list[Planned]:
        """Return the plan from the bucket, or write a new one."""
        bucket = self._steps.bucket
        if bucket.has(self._key(PLAN)):
            return self._steps.plan(self._name)
        # First without the teacher, because a rejection then costs nothing.
        planned = plan(self._spec, self._channel_config)
        if self._spec.teacher_queries:
            written = query_writer.write(self._name, self._spec, self._channel_config, self._teacher, price)
            planned = plan(self._spec, self._channel_config, written.queries)
            self._steps.generations.note(self._name, invented_usd=written.usd)
        # The plan is written last: where a plan exists, the other objects exist too.
        bucket.put(self._key(SPEC), content, "application/yaml")
        bucket.put(self._key(COPY), dump_channel_config(self._channel_config).encode(), "application/yaml")
        bucket.put(self._key(PLAN), dump_plan(planned), "application/jsonl")
        return planned

    def _key(self, name: str) -> str:
        return generation_key(self._name, name)
