"""A spec in `specs/`: claim the generation, plan its queries, put it under watch, queue the queries.

The generation's id follows from all that determines its queries. So the same spec again is the same
generation: nothing happens to one that is done, and one that stopped or failed goes on where it was.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

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
from distillery.steps.generation_steps import PLAN, SPEC
from distillery.task.channels import dump_channel_config

if TYPE_CHECKING:
    from distillery.cost.prices import Price
    from distillery.generation.planner import Planned
    from distillery.generation.spec import Spec
    from distillery.runs.states import Source
    from distillery.steps.generation_steps import Generating
    from distillery.steps.teacher_queries import Inventor
    from distillery.task.channels import ChannelConfig

STEP = "plan_dataset"
logger = Logger(child=True)


def plan_dataset(source: Source, teacher: str, generating: Generating, inventor: Inventor) -> Generation:
    """Take up the generation that a spec asks for, and return it as it is afterwards."""
    dataset = spec_dataset(source.key)
    content = generating.bucket.stream(source.key, source.version_id).read(LARGEST_SPEC + 1)
    try:
        spec, channel_config = parse_spec(content), stack_channel_config(generating.bucket)
        check_channels(spec, channel_config)
    except BadInput as error:
        name = rejected_id(dataset, content)
        generating.generations.receive(name, source, step=STEP)
        generating.end(name, GenerationState.REJECTED, STEP, str(error))
        return generating.generations.get(name)
    name = generation_id(dataset, spec, channel_config, teacher)
    generation = _take_up(name, source, spec, teacher, generating)
    if generation.state is GenerationState.PLANNING:
        with generating.failing(name, STEP):
            _Planner(generation, spec, channel_config, generating).plan(content, inventor)
    generation = generating.generations.get(name)
    generating.announce(generation)
    return generation


def _take_up(name: str, source: Source, spec: Spec, teacher: str, generating: Generating) -> Generation:
    """The generation, ready to be planned or labelled on where this drop asks for it."""
    deadline = now() + timedelta(minutes=spec.deadline_minutes)
    known = generating.generations.find(name)
    limits: dict[str, Any] = {"max_cost_usd": spec.max_cost_usd, "deadline": deadline.isoformat()}
    if known is None or known.state is GenerationState.PLANNING:
        generating.watch(name, deadline)
        return generating.generations.receive(name, source, step=STEP, teacher=teacher, **limits)
    if source.version in known.versions:
        return known
    heard = {"versions": [*known.versions, source.version]}
    if known.state is GenerationState.LABELLING:
        return generating.generations.note(name, **limits, **heard) or known
    capped = known.state is GenerationState.STOPPED and known.cost >= spec.max_cost_usd
    if capped or known.state in {GenerationState.ASSEMBLED, GenerationState.REJECTED}:
        logger.info("nothing to do", generation_id=name, state=known.state, capped=capped)
        return generating.generations.note(name, **heard) or known
    limits |= heard
    generating.watch(name, deadline)
    if known.state is GenerationState.FAILED:
        generating.generations.move(
            name, GenerationState.PLANNING, step=STEP, reasons=[], halted="", **limits
        )
    elif generating.generations.move(
        name, GenerationState.LABELLING, step=STEP, reasons=[], halted="", **limits, **_progress()
    ):
        generating.queue_missing(name, generating.plan(name))
    return generating.generations.get(name)


def _progress() -> dict[str, Any]:
    return {"seen": 0, "progress_at": now().isoformat()}


class _Planner:
    """Plans one generation; done twice, it writes the same again and pays for nothing twice."""

    def __init__(
        self, generation: Generation, spec: Spec, channel_config: ChannelConfig, generating: Generating
    ) -> None:
        self._name, self._teacher = generation.generation_id, generation.teacher
        self._spec, self._channel_config, self._generating = spec, channel_config, generating

    def plan(self, content: bytes, inventor: Inventor) -> None:
        """Write the plan, move the generation to LABELLING, queue its queries."""
        price = stack_prices(self._generating.bucket).find(self._teacher)
        if price is None:
            raise Permanent(
                f"No price is known for the teacher {self._teacher}, so max_cost_usd could not be kept.",
                fix="Choose a teacher that prices.yaml lists.",
            )
        try:
            planned = self._planned(content, inventor, price)
        except BadInput as error:
            self._generating.end(self._name, GenerationState.REJECTED, STEP, str(error))
            return
        invented = sum(one.template_group == TEACHER for one in planned)
        moved = self._generating.generations.move(
            self._name,
            GenerationState.LABELLING,
            step=STEP,
            price=price.model_dump(),
            counts={"planned": len(planned), "invented": invented},
            **_progress(),
        )
        if moved:
            self._generating.queue_missing(self._name, planned)

    def _planned(self, content: bytes, inventor: Inventor, price: Price) -> list[Planned]:
        """The plan as it was written, or a new one."""
        bucket = self._generating.bucket
        if bucket.has(self._key(PLAN)):
            return self._generating.plan(self._name)
        planned = plan(self._spec, self._channel_config)  # first without the teacher: a refusal costs nothing
        if self._spec.teacher_queries:
            invented = inventor.invent(self._name, self._spec, self._channel_config, self._teacher, price)
            planned = plan(self._spec, self._channel_config, invented.queries)
            self._generating.generations.note(self._name, invented_usd=invented.usd)
        # The plan last: whoever finds it finds all that belongs to it.
        bucket.put(self._key(SPEC), content, "application/yaml")
        bucket.put(self._key(COPY), dump_channel_config(self._channel_config).encode(), "application/yaml")
        bucket.put(self._key(PLAN), dump_plan(planned), "application/jsonl")
        return planned

    def _key(self, name: str) -> str:
        return generation_key(self._name, name)
