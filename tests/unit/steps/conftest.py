"""Fixtures of the tests of the steps."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from distillery.aws.generation_store import Labels
from distillery.aws.tables import Entries
from distillery.settings import StartSettings, ValidateSettings
from distillery.steps.deploy_model import deploy_model
from distillery.steps.evaluate_model import ready_for_evaluation
from distillery.steps.start_distillation import start_distillation
from distillery.steps.validate_dataset import validate_dataset
from tests.unit.fakes import FakeModels, FakeRoles
from tests.unit.steps.generation_flow import GenerationFlow
from tests.unit.steps.run_helpers import GOOD_DATASET, deployments, drop, jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


@pytest.fixture
def start_settings(cloud: CloudResources) -> StartSettings:
    return StartSettings.load(cloud.environment)


@pytest.fixture
def deployed(cloud: CloudResources, steps: RunSteps) -> str:
    """A run whose model has just been deployed."""
    source = drop("datasets/set/a.jsonl", GOOD_DATASET)
    run_id = validate_dataset(source, ValidateSettings.load(cloud.environment), steps).run_id
    start_distillation(run_id, StartSettings.load(cloud.environment), steps, FakeModels(), FakeRoles())
    deploy_model(jobs(steps).end(run_id, "Completed"), steps)
    deployments(steps).become(run_id, "Active")
    assert ready_for_evaluation(run_id, steps)
    return run_id


@pytest.fixture
def flow(cloud: CloudResources, monkeypatch: pytest.MonkeyPatch) -> GenerationFlow:
    # DynamoDB serializes the writes to one item; moto does not.
    lock = threading.Lock()

    def one_by_one(write: Callable[..., Any]) -> Callable[..., Any]:
        def locked(*arguments: Any) -> Any:
            with lock:
                return write(*arguments)

        return locked

    monkeypatch.setattr(Entries, "_write", one_by_one(Entries._write))
    monkeypatch.setattr(Labels, "store", one_by_one(Labels.store))
    boto3.client("s3").put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    return GenerationFlow(cloud)
