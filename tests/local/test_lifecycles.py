"""Lifecycles of foundation models, and permissions for policy simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.local.bedrock_resources import TEACHER, refusal
from tests.local.evaluation_jobs import evaluation_record, evaluation_request, run_evaluation
from tests.local.permissions import allow, as_user, make_role

if TYPE_CHECKING:
    from local.cloud import LocalCloud
    from tests.local.bedrock_resources import BedrockResources
    from tests.local.control_api import ControlApi

ASK = [{"role": "user", "content": [{"text": "red clip number 4"}]}]
LEGACY = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2999-01-01T00:00:00Z"}
ENDED = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2026-02-01T00:00:00Z"}
LABEL = '{"visual": 1.0, "audio": 0.0, "transcription": 0.0, "metadata": 0.0, "reasoning": ""}'


def test_legacy_model_answers_and_judges_until_its_end_of_life(
    resources: BedrockResources, runtime: Any, control: ControlApi
) -> None:
    control.faults(lifecycles={TEACHER: LEGACY})
    assert runtime.converse(modelId=TEACHER, messages=ASK)["output"]["message"]["content"][0]["text"]
    assert run_evaluation(resources, [evaluation_record(LABEL)])["status"] == "Completed"


def test_model_past_its_end_of_life_neither_answers_nor_judges(
    resources: BedrockResources, bedrock: Any, runtime: Any, control: ControlApi
) -> None:
    control.faults(lifecycles={TEACHER: ENDED})
    parameters = evaluation_request(resources, [evaluation_record(LABEL)])
    for call, params in (
        (runtime.converse, {"modelId": TEACHER, "messages": ASK}),
        (bedrock.create_evaluation_job, parameters),
    ):
        code, message = refusal(call, **params)
        assert (code, "end of life" in message) == ("ResourceNotFoundException", True)


def test_policy_simulation_needs_permission_for_the_simulated_role(cloud: LocalCloud) -> None:
    role = make_role(cloud, [allow("s3:PutObject", "arn:aws:s3:::here/*")])
    other = make_role(cloud, [])
    client = as_user(cloud, "iam", [allow("iam:SimulatePrincipalPolicy", role)])

    def decision(resource: str) -> str:
        answer = client.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["s3:PutObject"], ResourceArns=[resource]
        )
        return str(answer["EvaluationResults"][0]["EvalDecision"])

    assert decision("arn:aws:s3:::here/a") == "allowed"
    assert decision("arn:aws:s3:::there/a") == "implicitDeny"
    with pytest.raises(ClientError, match="AccessDenied"):
        client.simulate_principal_policy(PolicySourceArn=other, ActionNames=["s3:PutObject"])
