"""Evaluation jobs: a model judges responses supplied with the dataset."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

from distillery.errors import UnreadableRouting
from local.bedrock import iam
from local.bedrock.catalogue import refuse_past_end_of_life
from local.bedrock.context import at_least, logger
from local.bedrock.errors import AwsError, JobFailed, conflict, invalid, not_found, over_quota
from local.bedrock.objects import RoleObjects, under
from local.bedrock.store import Evaluation, listed, new_arn, now
from local.models import judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.bedrock.context import Context
    from local.bedrock.iam import Caller

MAX_RUNNING = 20
MAX_PROMPTS = 1_000
MAX_PROMPT_BYTES = 4_000
"""The documentation says 4 KB, which is 4,000 or 4,096 bytes. The smaller limit is enforced."""
PAGE_SIZE = 5
"""The longest page that the service model allows."""
VARIABLES = ("{{prompt}}", "{{prediction}}")
"""The variables that the instructions of a custom metric must contain."""


class Evaluations:
    """The operations on evaluation jobs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    async def create(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """CreateEvaluationJob with one dataset, custom metrics and supplied responses."""
        arn = new_arn("evaluation-job")
        judge = self._judge(params)
        caller.require_any("bedrock:CreateEvaluationJob", [arn, judge[0]])
        caller.require_pass_role(params["roleArn"])
        if params.get("jobTags"):
            caller.require("bedrock:TagResource", [arn])
        earlier = self._store.arn_of_token("evaluation", params)
        if earlier:
            return {"jobArn": earlier}
        _refuse_unsupported(params)
        present = self._store.evaluations.values()
        if any(job.name == params["jobName"] for job in present):
            raise invalid("The provided job name is currently in use.")
        if sum(job.status in {"InProgress", "Stopping"} for job in present) >= MAX_RUNNING:
            raise over_quota(f"An account can run {MAX_RUNNING} evaluation jobs at a time.")
        session = iam.assume(params["roleArn"], arn)
        job = Evaluation(arn, params)
        self._store.tag(arn, params.get("jobTags", []))
        self._store.evaluations[arn] = job
        self._store.keep_token("evaluation", params, arn)
        job.task = self._context.spawn(self._run(job, session, judge))
        return {"jobArn": arn}

    def _judge(self, params: dict[str, Any]) -> tuple[str, ...]:
        """Return the ARNs of the judge, which both evaluatorModelConfig blocks must name."""
        automated = params["evaluationConfig"].get("automated", {})
        blocks = (
            automated.get("evaluatorModelConfig"),
            automated.get("customMetricConfig", {}).get("evaluatorModelConfig"),
        )
        named = {block["bedrockEvaluatorModels"][0]["modelIdentifier"] for block in blocks if block}
        if None in blocks or len(named) != 1:
            raise invalid(
                "A judge-based evaluation names one evaluator model, in both evaluatorModelConfig blocks."
            )
        target = self._context.catalogue.target(named.pop())
        refuse_past_end_of_life(target.model, now())
        if not (target.model.on_demand or target.through_profile):
            raise invalid(f"The evaluator model {target.identifier} cannot be used.")
        return target.arns

    async def _run(self, job: Evaluation, session: iam.Session, judge: tuple[str, ...]) -> None:
        try:
            async with at_least(self._context.settings.evaluation_seconds):
                missing = [arn for arn in judge if not session.may("bedrock:InvokeModel", arn)]
                if missing:
                    raise JobFailed(
                        f"The provided role is not authorized to perform bedrock:InvokeModel on {missing[0]}."
                    )
                await asyncio.to_thread(self._evaluate, job, session)
            fault = self._context.faults.evaluation
            if fault == "fail":
                raise JobFailed("The evaluation failed: an injected fault.")
            if fault == "never":
                await asyncio.Event().wait()
            self._end(job, "Stopped" if fault == "stop" else "Completed")
        except JobFailed as failure:
            self._end(job, "Failed", str(failure))
        except asyncio.CancelledError:
            if job.status != "Stopping":
                raise
            self._end(job, "Stopped")
        except Exception:  # noqa: BLE001  # the job must end after any error
            logger.exception("The evaluation job %s failed with an internal error", job.name)
            self._end(job, "Failed", "An internal error occurred. Try again.")

    def _end(self, job: Evaluation, status: str, failure: str = "") -> None:
        job.status, job.changed = status, now()
        job.failures = [failure] if failure else []

    def _evaluate(self, job: Evaluation, session: iam.Session) -> None:
        objects = RoleObjects(self._context.endpoint, session)
        dataset = _dataset(job.request)
        source = _source(job.request)
        judge = job.request["evaluationConfig"]["automated"]["evaluatorModelConfig"][
            "bedrockEvaluatorModels"
        ][0]
        lines = []
        for record in _records(objects.lines(dataset["dataset"]["datasetLocation"]["s3Uri"]), source):
            result, explanation = self._grade(record)
            scores = [
                {
                    "metricName": metric,
                    "result": result,
                    "evaluatorDetails": [
                        {"modelIdentifier": judge["modelIdentifier"], "explanation": explanation}
                    ],
                }
                for metric in dataset["metricNames"]
            ]
            output = {
                "automatedEvaluationResult": {"scores": scores},
                "inputRecord": {
                    name: record[name] for name in ("prompt", "referenceResponse") if name in record
                },
                "modelResponses": record["modelResponses"],
            }
            lines.append(json.dumps(output, ensure_ascii=False))
        key = (
            f"{job.name}/{job.arn.rsplit('/', 1)[-1]}/models/{source}/taskTypes/{dataset['taskType']}"
            f"/datasets/{dataset['dataset']['name']}/{uuid.uuid4()}_output.jsonl"
        )
        objects.put(under(job.request["outputDataConfig"]["s3Uri"], key), ("\n".join(lines) + "\n").encode())

    def _grade(self, record: dict[str, Any]) -> tuple[float | None, str]:
        """Return a grade from 0 to 1, or None when the reference cannot be read."""
        try:
            return judge.judge(
                record["prompt"],
                record.get("referenceResponse", ""),
                record["modelResponses"][0]["response"],
            )
        except UnreadableRouting:
            return None, "The reference has no readable weights."

    # Get, list, stop and delete

    def _authorised(self, caller: Caller, action: str, params: dict[str, Any]) -> Evaluation:
        arn = params["jobIdentifier"]
        caller.require(f"bedrock:{action}", [arn], self._store.tag_context(arn))
        if arn not in self._store.evaluations:
            raise not_found(f"Could not find the evaluation job {arn}.")
        return self._store.evaluations[arn]

    async def get(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """GetEvaluationJob, by ARN."""
        job = self._authorised(caller, "GetEvaluationJob", params)
        repeated = ("roleArn", "evaluationConfig", "inferenceConfig", "outputDataConfig")
        optional = ("jobDescription", "applicationType")
        return {
            "jobName": job.name,
            "status": job.status,
            "jobArn": job.arn,
            "jobType": "Automated",
            "creationTime": job.created,
            "lastModifiedTime": job.changed,
            **{name: job.request[name] for name in repeated},
            **{name: job.request[name] for name in optional if name in job.request},
            **({"failureMessages": job.failures} if job.failures else {}),
        }

    async def list(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """ListEvaluationJobs."""
        caller.require("bedrock:ListEvaluationJobs", ["*"])
        kind = params.get("applicationTypeEquals")
        page, more = listed(
            self._store.evaluations.values(),
            params,
            limit=PAGE_SIZE,
            matches=lambda job: kind in {None, job.request.get("applicationType")},
        )
        return {"jobSummaries": [_summary(job) for job in page], **more} if page else more

    async def stop(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """StopEvaluationJob: the job must be running."""
        job = self._authorised(caller, "StopEvaluationJob", params)
        if job.status != "InProgress" or job.task is None:
            raise conflict(f"The evaluation job {job.name} is {job.status} and cannot be stopped.")
        job.status, job.changed = "Stopping", now()
        job.task.cancel()
        return {}

    async def batch_delete(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """BatchDeleteEvaluationJob: deletes jobs that have ended and returns the others in `errors`."""
        deleted, errors = [], []
        for arn in params["jobIdentifiers"]:
            try:
                caller.require("bedrock:BatchDeleteEvaluationJob", [arn])
                job = self._store.evaluations.get(arn)
                if job is None:
                    raise not_found(f"Could not find the evaluation job {arn}.")
                if job.status in {"InProgress", "Stopping"}:
                    raise conflict(f"The evaluation job {job.name} is {job.status}.")
            except AwsError as error:
                errors.append({"jobIdentifier": arn, "code": error.code, "message": error.message})
                continue
            del self._store.evaluations[arn]
            self._store.tags.pop(arn, None)
            deleted.append({"jobIdentifier": arn, "jobStatus": "Deleting"})
        return {"errors": errors, "evaluationJobs": deleted}


def _dataset(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = request["evaluationConfig"]["automated"]["datasetMetricConfigs"][0]
    return found


def _source(request: dict[str, Any]) -> str:
    return str(
        request["inferenceConfig"]["models"][0]["precomputedInferenceSource"]["inferenceSourceIdentifier"]
    )


def _refuse_unsupported(params: dict[str, Any]) -> None:
    automated = params["evaluationConfig"]["automated"]
    if params.get("applicationType", "ModelEvaluation") != "ModelEvaluation":
        raise invalid("The Bedrock emulator evaluates models only.")
    if len(automated["datasetMetricConfigs"]) != 1 or "datasetLocation" not in _dataset(params)["dataset"]:
        raise invalid("The Bedrock emulator evaluates one dataset from S3 per job.")
    used = params["inferenceConfig"].get("models", [])
    if len(used) != 1 or "precomputedInferenceSource" not in used[0]:
        raise invalid(
            "The Bedrock emulator evaluates one model per job, by responses supplied with the dataset."
        )
    definitions = [
        source["customMetricDefinition"] for source in automated["customMetricConfig"]["customMetrics"]
    ]
    if sorted(definition["name"] for definition in definitions) != sorted(_dataset(params)["metricNames"]):
        raise invalid("The custom metrics must be those of metricNames.")
    for definition in definitions:
        absent = [variable for variable in VARIABLES if variable not in definition["instructions"]]
        if absent:
            raise invalid(
                f"The instructions of the metric {definition['name']} lack the variable {absent[0]}."
            )


def _records(lines: Iterable[bytes], source: str) -> Iterable[dict[str, Any]]:
    """Yield the records of a dataset. Raises JobFailed at the first that is not valid."""
    number = 0
    for number, raw in enumerate(lines, 1):
        if number > MAX_PROMPTS:
            raise JobFailed(f"The dataset has more than {MAX_PROMPTS} prompts.")
        yield _record(raw, number, source)
    if not number:
        raise JobFailed("The dataset has no prompts.")


def _record(raw: bytes, number: int, source: str) -> dict[str, Any]:
    try:
        record = json.loads(raw)
        prompt, responses = record["prompt"], record["modelResponses"]
        (response,) = responses
        well_formed = isinstance(prompt, str) and prompt and set(response) == {"response", "modelIdentifier"}
        text_only = all(
            isinstance(value, str) for value in (*response.values(), record.get("referenceResponse", ""))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise JobFailed(
            f"The dataset is not valid: line {number}: not a prompt with one response ({error})."
        ) from error
    if (
        not well_formed
        or not text_only
        or set(record) - {"prompt", "referenceResponse", "modelResponses", "category"}
    ):
        raise JobFailed(f"The dataset is not valid: line {number}: not a prompt with one response.")
    if len(prompt.encode()) > MAX_PROMPT_BYTES:
        raise JobFailed(
            f"The dataset is not valid: line {number}: a prompt longer than {MAX_PROMPT_BYTES} bytes."
        )
    if response["modelIdentifier"] != source:
        raise JobFailed(
            f"The dataset is not valid: line {number}: the modelIdentifier {response['modelIdentifier']} "
            f"is not the inferenceSourceIdentifier {source}."
        )
    return dict(record)


def _summary(job: Evaluation) -> dict[str, Any]:
    automated = job.request["evaluationConfig"]["automated"]
    judge = automated["evaluatorModelConfig"]["bedrockEvaluatorModels"][0]["modelIdentifier"]
    return {
        "jobArn": job.arn,
        "jobName": job.name,
        "status": job.status,
        "creationTime": job.created,
        "jobType": "Automated",
        "evaluationTaskTypes": [_dataset(job.request)["taskType"]],
        "evaluatorModelIdentifiers": [judge],
        "customMetricsEvaluatorModelIdentifiers": [judge],
        "inferenceConfigSummary": {
            "modelConfigSummary": {"precomputedInferenceSourceIdentifiers": [_source(job.request)]}
        },
        "applicationType": "ModelEvaluation",
    }
