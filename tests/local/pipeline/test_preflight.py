"""What stands in the way of a job is found before it is paid for, on the local cloud with IAM enforced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.runs.states import State
from local.cloud import deploy
from tests.local.pipeline.chain import sample_records
from tests.local.tools import TEACHER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local.pipeline.chain import Chain

PREMIER = "us.amazon.nova-premier-v1:0"


def refused(chain: Chain, mark: str) -> str:
    """Drop a dataset whose run must fail before anything is paid; returns the cause."""
    jobs = chain.calls("CreateModelCustomizationJob")
    run = chain.reach(chain.drop(sample_records(150, mark), f"datasets/{mark}/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert run.failure.step == "start_distillation"
    assert chain.calls("CreateModelCustomizationJob") == jobs
    verdicts = [check["verdict"] for check in chain.document(run.run_id, "preflight.json")["checks"]]
    assert "refused" in verdicts
    return run.failure.cause


def test_legacy_teacher_goes_on_with_a_warning_that_names_its_end(chain: Chain) -> None:
    lifecycle = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2999-01-02T00:00:00Z"}
    chain.faults(lifecycles={TEACHER: lifecycle})
    name = chain.drop(sample_records(150, "legacy"), "datasets/legacy/a.jsonl")
    run = chain.reach(name, State.PROMOTED, State.NOT_PROMOTED)
    assert f"The teacher {TEACHER} is a legacy model and ends on 2999-01-02" in run.warnings[0]


@pytest.fixture
def taught_by_premier(chain: Chain) -> Iterator[None]:
    """The stack deployed with a teacher that has ended."""
    deploy(chain.cloud.endpoint, parameters={"TeacherModelId": PREMIER})
    yield
    deploy(chain.cloud.endpoint, parameters={"TeacherModelId": TEACHER})


@pytest.mark.usefixtures("taught_by_premier")
def test_ended_teacher_is_refused_naming_the_alternative(chain: Chain) -> None:
    cause = refused(chain, "ended")
    assert f"The teacher {PREMIER} reached its end of life on 2026-09-14." in cause
    assert f"AWS names {TEACHER} for it." in cause


def test_full_deployments_are_refused_saying_what_to_delete_or_raise(
    promoted: Chain, spending: Callable[..., None]
) -> None:
    spending(MAX_DEPLOYMENTS="1")
    cause = refused(promoted, "full")
    assert "Delete deployments that are not needed" in cause
    assert "MaxDeployments" in cause


def test_role_that_may_not_write_is_refused(chain: Chain) -> None:
    iam = chain.cloud.client("iam")
    role = next(r["RoleName"] for r in iam.list_roles()["Roles"] if "BedrockRole" in r["RoleName"])
    denial = {"Statement": [{"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}]}
    policy = json.dumps({"Version": "2012-10-17", **denial})
    iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=policy)
    try:
        assert "may not s3:PutObject" in refused(chain, "denied-role")
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="denied")
