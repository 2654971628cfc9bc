"""`Labels Complete`: choose the records and write the dataset, which starts a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from distillery.generation.assembly import MIN_RECORDS, Choice, Labelled, choose, dataset_bytes, dataset_key
from distillery.generation.planner import exhausted_cases
from distillery.generation.states import Generation, GenerationState, generation_key
from distillery.runs.states import now, run_id
from distillery.steps.generation_steps import SUMMARY

if TYPE_CHECKING:
    from distillery.aws.generation_store import Label
    from distillery.generation.planner import Planned
    from distillery.steps.generation_steps import GenerationSteps

STEP = "assemble_dataset"
logger = Logger(child=True)


def why_complete(generation: Generation, settled: int) -> str | None:
    """Return why labelling is over, given the number of queries that are labelled or cannot be.

    Empty when no query is left; None while labelling continues.
    """
    if settled >= generation.planned:
        return ""
    return generation.why_closed(now()) or None


def assemble_dataset(generation_id: str, steps: GenerationSteps) -> Generation:
    """Assemble the dataset of a generation whose labelling is over.

    The event only wakes this step up: whether labelling is over is read from the tables.
    """
    generation = steps.generations.get(generation_id)
    if generation.state is GenerationState.LABELLING:
        generation = _close(generation, steps)
    if generation.state is GenerationState.ASSEMBLING:
        with steps.fail_on_error(generation_id, STEP):
            _assemble(generation, steps)
        generation = steps.generations.get(generation_id)
    return steps.resume(generation, STEP)


def _close(generation: Generation, steps: GenerationSteps) -> Generation:
    """Move a generation whose labelling is over to ASSEMBLING, in which it takes no label.

    Its labels, and so its dataset, are the same for every later try. If the spec was dropped since the
    generation was read, the limits may have changed: the generation stays as it is until the next poll.
    """
    name = generation.generation_id
    why = why_complete(generation, steps.labels.count(name))
    if why is None:
        logger.info("labelling continues", generation_id=name)
        return generation
    closed = steps.generations.move(
        name,
        GenerationState.ASSEMBLING,
        step=STEP,
        unchanged={"versions": generation.versions},
        closed_at=now().isoformat(),
        closed_because=why,
        dropped_again=False,
    )
    return closed or steps.generations.get(name)


def _assemble(generation: Generation, steps: GenerationSteps) -> None:
    """Write the dataset and the summary. Again, it writes the same: the key is derived from the content."""
    name = generation.generation_id
    spec, channel_config = steps.spec(name), steps.channel_config(name)
    planned, labels = steps.plan(name), steps.labels.all(name)
    why = generation.closed_because if len(labels) < generation.planned else ""
    choice = choose(_labelled(planned, labels), spec, channel_config)
    enough = len(choice.chosen) >= MIN_RECORDS
    reasons = [*([why] if why else []), *exhausted_cases(planned, spec), *choice.remarks]
    key = run = None
    if enough:
        content = dataset_bytes(choice.chosen, channel_config)
        key = dataset_key(generation.dataset, content)
        version = steps.bucket.put_new(key, content, "application/jsonl")
        run = run_id(steps.bucket.name, key, version)
    else:
        reasons.append(f"A dataset needs at least {MIN_RECORDS} records.")
    results: dict[str, Any] = {
        "counts": generation.counts | _counts(planned, labels, choice),
        "mix": choice.mix,
        "dataset_key": key,
        "run_id": run,
        "reasons": reasons,
    }
    document = {
        "generation_id": name,
        "dataset": generation.dataset,
        "teacher": generation.teacher,
        "spent_usd": round(generation.cost, 6),
        "max_cost_usd": generation.max_cost_usd,
        "wanted_mix": spec.mix,
        **results,
        "unlabelled": [
            {"number": one.number, "query": one.query, "reason": one.reason}
            for one in labels
            if one.weights is None
        ],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    steps.bucket.put(generation_key(name, SUMMARY), text.encode(), "application/json")
    state = GenerationState.STOPPED if why or not enough else GenerationState.ASSEMBLED
    # A function that was delayed until the generation is assembled another time must not end that.
    same_time = {"closed_at": generation.closed_at}
    steps.generations.move(name, state, step=STEP, unchanged=same_time, **results)


def _labelled(planned: list[Planned], labels: list[Label]) -> list[Labelled]:
    by_number = {label.number: label for label in labels if label.weights is not None}
    return [
        Labelled(one, label.weights, label.reasoning)
        for one in planned
        if (label := by_number.get(one.number)) is not None and label.weights is not None
    ]


def _counts(planned: list[Planned], labels: list[Label], choice: Choice) -> dict[str, int]:
    return {
        "planned": len(planned),
        "labelled": sum(label.weights is not None for label in labels),
        "unlabelled": sum(label.weights is None for label in labels),
        "records": len(choice.chosen),
        "near_duplicates": choice.near_duplicates,
    }
