"""Evaluation jobs: records, requests and waiting for the end."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from tests.local.bedrock_resources import ENDED, TEACHER
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from tests.local.bedrock_resources import BedrockResources

WEIGHTS = {"visual": 0.7, "audio": 0.1, "transcription": 0.1, "metadata": 0.1}
FLIPPED = {"visual": 0.1, "audio": 0.1, "transcription": 0.1, "metadata": 0.7}


def evaluation_record(
    response: str, *, prompt: str = "red car", source: str = "distilled", reference: str = ""
) -> bytes:
    """Return a record of an evaluation dataset."""
    content = {
        "prompt": prompt,
        "referenceResponse": reference or json.dumps(WEIGHTS),
        "modelResponses": [{"response": response, "modelIdentifier": source}],
    }
    return json.dumps(content).encode()


def evaluation_request(resources: BedrockResources, lines: list[bytes], **changes: Any) -> dict[str, Any]:
    """Return the parameters of CreateEvaluationJob."""
    name = f"e-{uuid.uuid4().hex[:12]}"
    evaluator = {"bedrockEvaluatorModels": [{"modelIdentifier": TEACHER}]}
    metric = {
        "name": "OverallQuality",
        "instructions": "Grade. {{prompt}} {{ground_truth}} {{prediction}}",
        "ratingScale": [{"definition": "as good", "value": {"floatValue": 5}}],
    }
    dataset = {"name": "holdout", "datasetLocation": {"s3Uri": resources.put(lines)}}
    automated = {
        "datasetMetricConfigs": [
            {"taskType": "General", "dataset": dataset, "metricNames": ["OverallQuality"]}
        ],
        "customMetricConfig": {
            "customMetrics": [{"customMetricDefinition": metric}],
            "evaluatorModelConfig": evaluator,
        },
        "evaluatorModelConfig": evaluator,
    }
    source = {"precomputedInferenceSource": {"inferenceSourceIdentifier": "distilled"}}
    return {
        "jobName": name,
        "clientRequestToken": name,
        "applicationType": "ModelEvaluation",
        "roleArn": resources.role,
        "evaluationConfig": {"automated": automated},
        "inferenceConfig": {"models": [source]},
        "outputDataConfig": {"s3Uri": f"s3://{resources.bucket}/judged/{name}"},
    } | changes


def ended_evaluation(resources: BedrockResources, arn: str) -> Any:
    """Wait until the job has ended and return it."""

    def look() -> Any:
        job = resources.bedrock.get_evaluation_job(jobIdentifier=arn)
        return job if job["status"] in ENDED else None

    return wait_for(look, f"the end of {arn}")


def run_evaluation(resources: BedrockResources, lines: list[bytes], **changes: Any) -> Any:
    """Start a job and wait until it has ended."""
    created = resources.bedrock.create_evaluation_job(**evaluation_request(resources, lines, **changes))
    return ended_evaluation(resources, created["jobArn"])
