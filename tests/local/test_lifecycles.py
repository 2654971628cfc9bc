"""Legacy models work until their end, and whether a role will do can be asked of that role only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.local.test_bedrock_evaluations import line, request, run
from tests.local.test_bedrock_jobs import refusal
from tests.local.tools import TEACHER, allow, as_user, make_role

if TYPE_CHECKING:
    from local.cloud import LocalCloud
    from tests.local.tools import Control, Workshop

ASK = [{"role": "user", "content": [{"text": "red clip number 4"}]}]
LEGACY = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2999-01-01T00:00:00Z"}
ENDED = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2026-02-01T00:00:00Z"}
RESULT_GOOD = '{"visual": 1.0, "audio": 0.0, "transcription": 0.0, "metadata": 0.0, "reasoning": ""}'


def test_legacy_model_answers_and_judges_until_its_end(
    workshop: Workshop, runtime: Any, control: Control
) -> None:
    control.faults(lifecycles={TEACHER: LEGACY})
    assert runtime.converse(modelId=TEACHER, messages=ASK)["output"]["message"]["content"][0]["text"]
    assert run(workshop, [line(RESULT_GOOD)])["status"] == "Completed"


def test_model_at_its_end_neither_answers_nor_judges(
    workshop: Workshop, bedrock: Any, runtime: Any, control: Control
) -> None:
    control.faults(lifecycles={TEACHER: ENDED})
    wanted = request(workshop, [line(RESULT_GOOD)])
    for call, params in (
        (runtime.converse, {"modelId": TEACHER, "messages": ASK}),
        (bedrock.create_evaluation_job, wanted),
    ):
        code, message = refusal(call, **params)
        assert (code, "end of its life" in message) == ("ResourceNotFoundException", True)


def test_role_is_simulated_by_whoever_may_ask_about_it_only(cloud: LocalCloud) -> None:
    role = make_role(cloud, [allow("s3:PutObject", "arn:aws:s3:::here/*")])
    other = make_role(cloud, [])
    asking = as_user(cloud, "iam", [allow("iam:SimulatePrincipalPolicy", role)])

    def decision(resource: str) -> str:
        answer = asking.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["s3:PutObject"], ResourceArns=[resource]
        )
        return str(answer["EvaluationResults"][0]["EvalDecision"])

    assert decision("arn:aws:s3:::here/a") == "allowed"
    assert decision("arn:aws:s3:::there/a") == "implicitDeny"
    with pytest.raises(ClientError, match="AccessDenied"):
        asking.simulate_principal_policy(PolicySourceArn=other, ActionNames=["s3:PutObject"])
