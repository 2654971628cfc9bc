"""Generations on the deployed pipeline, seen through its bucket and tables."""

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
from tests.local.bedrock_resources import TEACHER
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from tests.local.pipeline.deployed_pipeline import DeployedPipeline


@dataclass(frozen=True)
class GenerationClient:
    """Uploads specs and reads the generations, labels and datasets that result."""

    pipeline: DeployedPipeline

    def drop(self, dataset: str, text: str) -> str:
        """Upload a spec. Returns the id of its generation."""
        self.pipeline.s3.put_object(
            Bucket=self.pipeline.outputs["DataBucketName"], Key=spec_key(dataset), Body=text.encode()
        )
        return generation_id(dataset, parse_spec(text), default_channel_config(), TEACHER)

    @property
    def run_store(self) -> Generations:
        return Generations(self.pipeline.outputs["GenerationsTableName"], self.pipeline.dynamodb)

    @property
    def labels(self) -> Labels:
        return Labels(self.pipeline.outputs["LabelsTableName"], self.pipeline.dynamodb)

    def reach(self, name: str, *states: GenerationState, times: int = 1, seconds: float = 90) -> Generation:
        """Wait until the generation is in one of the states for the nth time and has been announced."""

        def look() -> Generation | None:
            found = self.run_store.find(name)
            if found is None or sum(move.state in states for move in found.history) < times:
                if found is not None and found.state in {GenerationState.REJECTED, GenerationState.FAILED}:
                    raise AssertionError(f"the generation ended as {found.state}: {found.reasons}")
                return None
            announced = found.announced == found.ending or found.state not in GENERATION_ENDED
            return found if found.state in states and announced else None

        return wait_for(look, f"{name} in {states}", seconds)

    def labelled(self, name: str, at_least: int, seconds: float = 60) -> int:
        """Wait until there are at least this many labels."""

        def look() -> int | None:
            count = self.labels.count(name)
            return count if count >= at_least else None

        return wait_for(look, f"{at_least} labels of {name}", seconds)

    def settled(self, name: str) -> int:
        """Wait until the label queue is empty and return the number of labels."""
        wait_for(lambda: self.pipeline.waiting("LabelQueueUrl") == 0, "the label queue to be empty", 60)
        return self.labels.count(name)

    def document(self, name: str, file: str) -> Any:
        """Return a JSON document of a generation."""
        answer = self.pipeline.s3.get_object(
            Bucket=self.pipeline.outputs["DataBucketName"], Key=generation_key(name, file)
        )
        return json.loads(answer["Body"].read())

    def dataset(self, generation: Generation) -> list[dict[str, Any]]:
        """Return the records of the generated dataset."""
        answer = self.pipeline.s3.get_object(
            Bucket=self.pipeline.outputs["DataBucketName"], Key=generation.dataset_key or ""
        )
        return [json.loads(line) for line in answer["Body"].read().decode().split("\n") if line]

    def datasets(self, dataset: str) -> list[str]:
        """Return the keys of all object versions of a dataset."""
        answer = self.pipeline.s3.list_object_versions(
            Bucket=self.pipeline.outputs["DataBucketName"], Prefix=f"datasets/{dataset}/"
        )
        return [version["Key"] for version in answer.get("Versions", [])]

    def teacher_calls(self) -> int:
        """Count the calls of the teacher since the test started, including failed calls."""
        return int(self.pipeline.control.state()["models_called"].get(TEACHER, 0))
