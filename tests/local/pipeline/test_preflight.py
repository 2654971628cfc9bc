"""Preflight checks fail a run before anything is billed, on the local cloud with IAM enforced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.runs.states import State
from local.cloud import deploy
from tests.local.bedrock_resources import TEACHER
from tests.local.pipeline.deployed_pipeline import sample_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local.pipeline.deployed_pipeline import DeployedPipeline

PREMIER = "us.amazon.nova-premier-v1:0"


def refused(pipeline: DeployedPipeline, mark: str) -> str:
    """Upload a dataset whose run must fail before a job is created. Returns the cause."""
    jobs = pipeline.calls("CreateModelCustomizationJob")
    run = pipeline.reach(pipeline.drop(sample_records(150, mark), f"datasets/{mark}/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert run.failure.step == "start_distillation"
    assert pipeline.calls("CreateModelCustomizationJob") == jobs
    verdicts = [check["verdict"] for check in pipeline.document(run.run_id, "preflight.json")["checks"]]
    assert "refused" in verdicts
    return run.failure.cause


def test_legacy_teacher_is_a_warning_with_its_end_of_life(pipeline: DeployedPipeline) -> None:
    lifecycle = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2999-01-02T00:00:00Z"}
    pipeline.faults(lifecycles={TEACHER: lifecycle})
    name = pipeline.drop(sample_records(150, "legacy"), "datasets/legacy/a.jsonl")
    run = pipeline.reach(name, State.PROMOTED, State.NOT_PROMOTED)
    legacy = f"The teacher {TEACHER} is a legacy model and reaches its end of life on 2999-01-02"
    assert legacy in run.warnings[0]


@pytest.fixture
def premier_as_teacher(pipeline: DeployedPipeline) -> Iterator[None]:
    """The stack deployed with a teacher that is past its end of life."""
    deploy(pipeline.cloud.endpoint, parameters={"TeacherModelId": PREMIER})
    yield
    deploy(pipeline.cloud.endpoint, parameters={"TeacherModelId": TEACHER})


@pytest.mark.usefixtures("premier_as_teacher")
def test_teacher_past_its_end_of_life_is_refused_with_the_alternative(pipeline: DeployedPipeline) -> None:
    cause = refused(pipeline, "ended")
    assert f"The teacher {PREMIER} reached its end of life on 2026-09-14." in cause
    assert f"AWS documents {TEACHER} for the same purpose." in cause


def test_full_deployment_quota_is_refused_with_what_to_delete_or_raise(
    promoted: DeployedPipeline, start_environment: Callable[..., None]
) -> None:
    start_environment(MAX_DEPLOYMENTS="1")
    cause = refused(promoted, "full")
    assert "Delete deployments that are not needed" in cause
    assert "MaxDeployments" in cause


def test_role_without_write_permission_is_refused(pipeline: DeployedPipeline) -> None:
    iam = pipeline.cloud.client("iam")
    role = next(r["RoleName"] for r in iam.list_roles()["Roles"] if "BedrockRole" in r["RoleName"])
    denial = {"Statement": [{"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}]}
    policy = json.dumps({"Version": "2012-10-17", **denial})
    iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=policy)
    try:
        assert "may not s3:PutObject" in refused(pipeline, "denied-role")
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="denied")
