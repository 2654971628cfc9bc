"""Time from the upload of the sample dataset to the verdict: `python -m benchmarks.bench_chain [--quick]`.

Each run uses a new local cloud with the default durations (a job takes 6 s, a deployment and an evaluation
2 s) and a newly deployed stack, so every function starts cold. The time is measured from the upload until
the run table holds PROMOTED or NOT_PROMOTED. Bedrock is emulated.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.figures import Figure, Measured, answer
from distillery.aws.tables import from_item
from distillery.runs.states import ENDED, Run, State, run_id
from local.cloud import ROOT, LocalCloud, build, deploy

RUNS = 3
TARGET_SECONDS = 45.0
TIMEOUT_SECONDS = 300.0
POLL_SECONDS = 0.1
KEY = "datasets/sample/dataset.jsonl"


def one_run() -> dict[str, Any]:
    """Measure one run: seconds to start the cloud, to deploy, to the verdict and to each state."""
    begun = time.monotonic()
    with LocalCloud() as cloud:
        ready = time.monotonic()
        outputs = deploy(cloud.endpoint)
        deployed = time.monotonic()
        content = (ROOT / "samples" / "dataset.jsonl").read_bytes()
        bucket = outputs["DataBucketName"]
        dropped = time.monotonic()
        put = cloud.client("s3").put_object(Bucket=bucket, Key=KEY, Body=content)
        run = _wait_for_end(cloud, outputs["RunsTableName"], run_id(bucket, KEY, put["VersionId"]))
        ended = time.monotonic()
    if run.state not in {State.PROMOTED, State.NOT_PROMOTED}:
        raise RuntimeError(f"The run ended as {run.state}: {run.failure or run.reasons}")
    first = run.history[0].at
    return {
        "start_cloud_seconds": round(ready - begun, 2),
        "deploy_seconds": round(deployed - ready, 2),
        "drop_to_verdict_seconds": round(ended - dropped, 2),
        "verdict": run.state,
        "records": run.counts,
        "seconds_after_the_first_state": {
            move.state: round((move.at - first).total_seconds(), 2) for move in run.history
        },
    }


def _wait_for_end(cloud: LocalCloud, table: str, name: str) -> Run:
    """Return the run when it has ended. Raises TimeoutError."""
    client = cloud.client("dynamodb")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        found = client.get_item(TableName=table, Key={"run_id": {"S": name}}, ConsistentRead=True).get("Item")
        if found and (run := Run.model_validate(from_item(found))).state in ENDED:
            return run
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"The run {name} did not end within {TIMEOUT_SECONDS:.0f} s.")


def measure(quick: bool) -> Measured:
    """Return the median of three runs, or of one run when `quick`."""
    build()
    runs = [one_run() for _ in range(1 if quick else RUNS)]
    seconds = statistics.median(run["drop_to_verdict_seconds"] for run in runs)
    deploying = statistics.median(run["deploy_seconds"] for run in runs)
    figures = [
        Figure("sample dataset, upload to verdict on the local cloud", seconds, "s", at_most=TARGET_SECONDS),
        Figure("deployment of the built stack to the local cloud", deploying, "s"),
    ]
    return Measured(figures, {"runs": runs})


if __name__ == "__main__":
    answer(measure, __doc__)
