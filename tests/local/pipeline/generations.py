"""Generations on a deployed stack as a test sees them: from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distillery.aws.generation_store import Generations, Labels
from distillery.generation.spec import parse_spec
from distillery.generation.states import (
    GENERATION_ENDED,
    Generation,
    GenerationState,
    generation_id,
    generation_key,
    spec_key,
)
from distillery.task.channels import default_channel_config
from tests.local.tools import TEACHER, wait_for

if TYPE_CHECKING:
    from tests.local.pipeline.chain import Chain


@dataclass(frozen=True)
class Workbench:
    """Drops specs and looks at what becomes of them."""

    chain: Chain

    def drop(self, dataset: str, text: str) -> str:
        """Drop a spec; returns the id of its generation."""
        self.chain.s3.put_object(
            Bucket=self.chain.outputs["DataBucketName"], Key=spec_key(dataset), Body=text.encode()
        )
        return generation_id(dataset, parse_spec(text), default_channel_config(), TEACHER)

    @property
    def run_store(self) -> Generations:
        return Generations(self.chain.outputs["GenerationsTableName"], self.chain.dynamodb)

    @property
    def labels(self) -> Labels:
        return Labels(self.chain.outputs["LabelsTableName"], self.chain.dynamodb)

    def reach(self, name: str, *states: GenerationState, times: int = 1, seconds: float = 90) -> Generation:
        """Wait until the generation is in one of the states for the nth time, and that was said."""

        def look() -> Generation | None:
            found = self.run_store.find(name)
            if found is None or sum(move.state in states for move in found.history) < times:
                if found is not None and found.state in {GenerationState.REJECTED, GenerationState.FAILED}:
                    raise AssertionError(f"the generation ended as {found.state}: {found.reasons}")
                return None
            said = found.announced == found.ending
            return found if found.state in states and (said or found.state not in GENERATION_ENDED) else None

        return wait_for(look, f"{name} in {states}", seconds)

    def labelled(self, name: str, at_least: int, seconds: float = 60) -> int:
        """Wait for so many labels."""

        def look() -> int | None:
            count = self.labels.count(name)
            return count if count >= at_least else None

        return wait_for(look, f"{at_least} labels of {name}", seconds)

    def settled(self, name: str) -> int:
        """How many labels there are once no message is under way."""
        wait_for(lambda: self.chain.waiting("LabelQueueUrl") == 0, "the label queue to be empty", 60)
        return self.labels.count(name)

    def document(self, name: str, file: str) -> Any:
        """A JSON document of a generation."""
        answer = self.chain.s3.get_object(
            Bucket=self.chain.outputs["DataBucketName"], Key=generation_key(name, file)
        )
        return json.loads(answer["Body"].read())

    def dataset(self, generation: Generation) -> list[dict[str, Any]]:
        """The records that were made."""
        answer = self.chain.s3.get_object(
            Bucket=self.chain.outputs["DataBucketName"], Key=generation.dataset_key or ""
        )
        return [json.loads(line) for line in answer["Body"].read().decode().split("\n") if line]

    def datasets(self, dataset: str) -> list[str]:
        """Every object that was made for a dataset, each version counted."""
        answer = self.chain.s3.list_object_versions(
            Bucket=self.chain.outputs["DataBucketName"], Prefix=f"datasets/{dataset}/"
        )
        return [version["Key"] for version in answer.get("Versions", [])]

    def asked(self) -> int:
        """How often the teacher was called since the test began; refused calls count."""
        return int(self.chain.control.state()["models_called"].get(TEACHER, 0))
