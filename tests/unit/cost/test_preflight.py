"""The preflight checks: what refuses a run and what is only a warning, before anything is billed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from distillery.aws.bedrock.models import FoundationModels
from distillery.aws.clients import AccessDenied, Missing
from distillery.cost.lifecycles import ALTERNATIVES, PREMIER, PRO, STUDENTS_OF, FoundationModel
from distillery.cost.preflight import Check, Preflight, check_model, check_pair, check_quota, trusts
from distillery.errors import BadInput, Permanent, Throttled, Transient
from distillery.runs.states import Run, State, now
from distillery.settings import StartSettings
from distillery.steps.start_distillation import start_distillation
from tests.unit.fakes import (
    TRUST,
    CloudResources,
    FakeDeployments,
    FakeModels,
    FakeRoles,
)
from tests.unit.steps.run_helpers import RUN, bring_to, jobs

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps

OTHER_JOBS = "arn:aws:bedrock:*:*:evaluation-job/*"
TODAY = datetime(2026, 11, 24, tzinfo=UTC)
ACCOUNT = "123456789012"
JOB = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:model-customization-job/run"


@pytest.fixture
def start_settings(cloud: CloudResources) -> StartSettings:
    return StartSettings.load(cloud.environment)


def started(
    steps: RunSteps,
    settings: StartSettings,
    models: FakeModels | None = None,
    roles: FakeRoles | None = None,
) -> Run:
    bring_to(State.VALIDATED, steps)
    return start_distillation(RUN, settings, steps, models or FakeModels(), roles or FakeRoles())


def refusal(
    steps: RunSteps,
    settings: StartSettings,
    models: FakeModels | None = None,
    roles: FakeRoles | None = None,
) -> str:
    """The cause of a run that must fail before anything is billed."""
    run = started(steps, settings, models, roles)
    assert run.failure is not None
    assert (run.state, run.failure.step) == (State.FAILED, "start_distillation")
    assert not jobs(steps).created
    return run.failure.cause


def stored(name: str = "preflight.json") -> Any:
    body = boto3.client("s3").get_object(Bucket="data", Key=f"runs/{RUN}/{name}")["Body"].read()
    return json.loads(body)


# Models


@pytest.mark.parametrize("role", ["teacher", "student", "baseline", "judge"])
def test_model_that_does_not_exist_here_is_refused_naming_its_parameter(role: str) -> None:
    check = check_model(role, "amazon.nova-9", None, TODAY)
    assert check.verdict == "refused"
    assert f"parameter {role.capitalize()}ModelId" in check.sentence


def test_model_past_its_end_of_life_is_refused_naming_the_documented_alternative() -> None:
    ended = FoundationModel(
        f"us.{PREMIER}", "Premier", "Amazon", legacy=True, end_of_life=datetime(2026, 9, 14, tzinfo=UTC)
    )
    check = check_model("teacher", ended.model_id, ended, TODAY)
    assert check.verdict == "refused"
    assert "2026-09-14" in check.sentence
    assert f"AWS documents {PRO} for the same purpose." in check.sentence


def test_model_past_its_end_of_life_without_an_alternative_names_none() -> None:
    ended = FoundationModel("amazon.titan-v1", "Titan", "Amazon", legacy=True, end_of_life=TODAY)
    check = check_model("judge", ended.model_id, ended, TODAY)
    assert (check.name, check.verdict) == ("judge model", "refused")
    assert check.sentence.endswith("Set the stack's parameter JudgeModelId to another model.")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (TODAY + timedelta(days=9), "reaches its end of life on 2026-12-03"),
        (None, "on a date that is not published"),
    ],
)
def test_legacy_model_is_a_warning_with_its_end_of_life(end: datetime | None, words: str) -> None:
    model = FoundationModel(PRO, "Pro", "Amazon", legacy=True, end_of_life=end)
    check = check_model("judge", PRO, model, TODAY)
    assert (check.verdict, words in check.sentence) == ("warning", True)


def test_model_is_refused_from_the_moment_of_its_end_of_life() -> None:
    model = FoundationModel(PRO, "Pro", "Amazon", legacy=True, end_of_life=TODAY)
    assert check_model("judge", PRO, model, TODAY).verdict == "refused"
    assert check_model("judge", PRO, model, TODAY - timedelta(seconds=1)).verdict == "warning"


def test_run_with_a_legacy_teacher_continues_and_the_run_table_has_the_warning(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    models = FakeModels(legacy=(PRO,), end_of_life=now() + timedelta(days=30))
    run = started(steps, start_settings, models)
    assert run.state is State.TRAINING
    assert [PRO in warning for warning in run.warnings] == [True, True]  # as teacher and as judge


def test_teacher_past_its_end_of_life_fails_the_run_before_anything_is_billed(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    models = FakeModels(legacy=(PRO,), end_of_life=now() - timedelta(days=1))
    assert "end of life" in refusal(steps, start_settings, models)


def test_lifecycle_is_read_from_bedrocks_answer() -> None:
    class Client:
        def get_foundation_model(self, **_: str) -> Any:
            lifecycle = {"status": "LEGACY", "legacyTime": TODAY, "endOfLifeTime": TODAY}
            return {"modelDetails": {"modelName": "Pro", "providerName": "A", "modelLifecycle": lifecycle}}

    client: Any = Client()
    model = FoundationModels(client).get(PRO)
    assert (model.legacy, model.ended(TODAY)) == (True, True)


# Teacher and student


def test_every_documented_pair_is_met_and_no_other() -> None:
    students = {student for taught in STUDENTS_OF.values() for student in taught}
    for teacher, taught in STUDENTS_OF.items():
        for student in students:
            assert (check_pair(teacher, student).verdict == "met") is (student in taught)
    assert set(ALTERNATIVES.values()) <= set(STUDENTS_OF)


def test_pair_that_is_not_documented_is_refused_naming_the_teachers(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    settings = start_settings.model_copy(update={"teacher_model": "amazon.nova-lite-v1:0"})
    assert f"Set TeacherModelId to {PRO} or us.{PREMIER}" in refusal(steps, settings)


def test_student_without_a_documented_teacher_is_refused() -> None:
    assert "Set StudentModelId" in check_pair(PRO, "amazon.nova-2-lite-v1:0").sentence


# Bedrock's role


def statement(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = TRUST["Statement"][0]  # type: ignore[assignment]  # JSON
    return found | changes


@pytest.mark.parametrize(
    ("statements", "trusted"),
    [
        ([statement()], True),
        ([statement(Principal="*", Action="sts:*")], True),
        ([statement(Action=["sts:TagSession", "sts:AssumeRole"])], True),
        ([statement(Principal={"Service": ["lambda.amazonaws.com", "bedrock.amazonaws.com"]})], True),
        ([statement(Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}})], True),
        ([statement(Condition={"ArnLike": {"aws:SourceArn": [OTHER_JOBS, JOB]}})], True),
        ([statement(Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}})], False),
        ([statement(Condition={"ArnLike": {"aws:SourceArn": OTHER_JOBS}})], False),
        ([statement(Condition={"StringNotEquals": {"aws:SourceAccount": ACCOUNT}})], False),
        ([statement(Condition={"Bool": {"aws:SecureTransport": "true"}})], True),
        ([statement(Principal={"Service": "lambda.amazonaws.com"})], False),
        ([statement(Principal={"AWS": ACCOUNT})], False),
        ([statement(Action="sts:TagSession")], False),
        ([statement(), statement(Effect="Deny")], False),
        ([], False),
    ],
)  # fmt: skip
def test_trust_policy_is_read_as_iam_reads_it(statements: list[dict[str, Any]], trusted: bool) -> None:
    assert trusts({"Statement": statements}, ACCOUNT, JOB) is trusted


def test_trust_policy_with_a_single_statement_is_read() -> None:
    assert trusts({"Statement": statement()}, ACCOUNT, JOB)


def test_role_that_bedrock_may_not_assume_is_refused(steps: RunSteps, start_settings: StartSettings) -> None:
    cause = refusal(steps, start_settings, roles=FakeRoles(trust={"Statement": []}))
    assert "trust policy of arn:aws:iam::123456789012:role/bedrock" in cause


def test_role_that_does_not_exist_is_refused(steps: RunSteps, start_settings: StartSettings) -> None:
    class Gone(FakeRoles):
        def trust_policy(self, role_arn: str) -> dict[str, Any]:
            raise Missing(role_arn)

    assert "role/bedrock does not exist" in refusal(steps, start_settings, roles=Gone())


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:GetObject"])
def test_role_that_cannot_reach_the_bucket_is_refused(
    steps: RunSteps, start_settings: StartSettings, action: str
) -> None:
    cause = refusal(steps, start_settings, roles=FakeRoles(denied=(action,)))
    assert f"may not {action} on arn:aws:s3:::data/runs/{RUN}/" in cause


def test_role_that_the_function_may_not_read_is_a_warning(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    run = started(steps, start_settings, roles=FakeRoles(failure=AccessDenied("An organisation says no.")))
    assert run.state is State.TRAINING
    assert len([warning for warning in run.warnings if "An organisation says no." in warning]) == 3


# Quotas


@given(used=st.integers(0, 50), most=st.integers(1, 50))
def test_one_more_fits_below_the_quota_only(used: int, most: int) -> None:
    check = check_quota("things", used, most, parameter="MaxThings", passes=False, fix="Delete some")
    assert (check.verdict == "met") is (used < most)
    assert check.verdict == "met" or "Delete some" in check.sentence


def test_exhausted_quota_is_refused_saying_what_to_delete_or_raise(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    assert isinstance(steps.deployments, FakeDeployments)
    steps.deployments.others, steps.deployments.other_models = 10, 100
    cause = refusal(steps, start_settings)
    for words in ("Delete deployments", "MaxDeployments", "Delete custom models", "MaxCustomModels"):
        assert words in cause


def test_model_of_a_running_job_counts_against_the_quota(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    assert isinstance(steps.deployments, FakeDeployments)
    jobs(steps).others, steps.deployments.other_models = 3, 97
    assert "100 of 100 custom models" in refusal(steps, start_settings)


def test_raised_quota_is_set_by_its_parameter(steps: RunSteps, start_settings: StartSettings) -> None:
    assert isinstance(steps.deployments, FakeDeployments)
    steps.deployments.others = 10
    raised = start_settings.model_copy(update={"max_deployments": 11})
    assert started(steps, raised).state is State.TRAINING


def test_too_many_running_jobs_make_the_run_wait_and_refuse_nothing(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    jobs(steps).others = 10
    jobs(steps).failure = Transient("An account can have 10 scheduled customization jobs.")
    with pytest.raises(Transient):
        started(steps, start_settings)
    assert steps.run_store.get(RUN).state is State.TRAINING
    assert "waits" in {check["verdict"] for check in stored()["checks"]}
    jobs(steps).failure = None
    assert start_distillation(RUN, start_settings, steps, FakeModels(), FakeRoles()).job_arn


# Access to the models


@pytest.mark.parametrize("role", ["teacher", "student", "baseline", "judge"])
def test_model_that_the_account_may_not_use_is_refused_and_nothing_is_billed(
    steps: RunSteps, start_settings: StartSettings, role: str
) -> None:
    model = start_settings.models[role]
    models = FakeModels(without_access={model: ["its agreement is NOT_AVAILABLE"]})
    cause = refusal(steps, start_settings, models)
    assert f"cannot use the {role} {model}: its agreement is NOT_AVAILABLE" in cause


@pytest.mark.parametrize("role", ["baseline", "judge"])
@pytest.mark.parametrize(
    "failure", [AccessDenied("Model use case details have not been submitted."), Permanent("Not supported.")]
)
def test_model_that_refuses_a_call_is_refused_and_nothing_is_billed(
    steps: RunSteps, start_settings: StartSettings, role: str, failure: Exception
) -> None:
    models = FakeModels(failures={start_settings.models[role]: failure})
    assert str(failure).rstrip(".") in refusal(steps, start_settings, models)


def test_throttled_call_of_the_preflight_does_not_stop_the_run(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    models = FakeModels(failures={start_settings.baseline_model: Throttled("Too many tokens.")})
    assert started(steps, start_settings, models).state is State.TRAINING
    verdicts = {check["name"]: check["verdict"] for check in stored()["checks"]}
    assert verdicts["access to the baseline model"] == "unknown"


def test_availability_that_bedrock_reports_is_said_in_words() -> None:
    client = boto3.client("bedrock")
    with Stubber(client) as stub:
        stub.add_response(
            "get_foundation_model_availability",
            {
                "modelId": "anthropic.claude-haiku-4-5-20251001-v1:0",
                "agreementAvailability": {"status": "PENDING"},
                "authorizationStatus": "NOT_AUTHORIZED",
                "entitlementAvailability": "AVAILABLE",
                "regionAvailability": "AVAILABLE",
            },
            {"modelId": "anthropic.claude-haiku-4-5-20251001-v1:0"},
        )
        lacking = FoundationModels(client).lacking("us.anthropic.claude-haiku-4-5-20251001-v1:0")
    assert lacking == ["its agreement is PENDING", "the account is not authorized"]


# All checks together


def test_all_refusals_are_in_one_message(steps: RunSteps, start_settings: StartSettings) -> None:
    assert isinstance(steps.deployments, FakeDeployments)
    steps.deployments.others = 10
    settings = start_settings.model_copy(update={"teacher_model": "amazon.nova-lite-v1:0"})
    cause = refusal(
        steps,
        settings,
        FakeModels(missing=("amazon.nova-lite-v1:0",)),
        FakeRoles(denied=("s3:PutObject",)),
    )
    for words in ("does not exist", "not a documented teacher", "may not s3:PutObject", "deployments"):
        assert words in cause


def test_every_check_is_stored_with_its_sentence(steps: RunSteps, start_settings: StartSettings) -> None:
    started(steps, start_settings)
    document = Preflight.model_validate(stored())
    assert [check.verdict for check in document.checks] == ["met"] * 15
    assert all(check.sentence.endswith(".") for check in document.checks)


def test_only_refused_checks_stop_the_run() -> None:
    verdicts: tuple[Literal["met", "warning", "waits", "unknown"], ...] = (
        "met",
        "warning",
        "waits",
        "unknown",
    )
    checks = [Check(name=verdict, verdict=verdict, sentence=f"{verdict}.") for verdict in verdicts]
    passed = Preflight(run_id=RUN, at=TODAY, checks=checks)
    passed.require()
    assert passed.warnings == ["warning.", "unknown."]
    refused = Check(name="no", verdict="refused", sentence="No.")
    with pytest.raises(BadInput, match=r"Nothing was started. No\."):
        passed.model_copy(update={"checks": [*checks, refused]}).require()


def test_invalid_price_list_of_the_stack_fails_the_run_naming_the_place(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    boto3.client("s3").put_object(Bucket="data", Key="config/prices.yaml", Body=b"as_of: soon")
    cause = refusal(steps, start_settings)
    assert "config/prices.yaml: The price list cannot be used: as_of must be a date" in cause
