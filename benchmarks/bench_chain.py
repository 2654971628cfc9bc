"""From the drop of the sample dataset to the verdict: `python -m benchmarks.bench_chain [--quick]`.

Each run has a local cloud of its own with the default durations (a job takes six seconds, a deployment and an
evaluation two) and the stack newly deployed, so that every function starts cold. The clock runs from the
upload until the run's entry says that the model was promoted or not. Bedrock is emulated.
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
GIVE_UP_SECONDS = 300.0
LOOK_EVERY = 0.1
KEY = "datasets/sample/dataset.jsonl"


def one_run() -> dict[str, Any]:
    """Seconds to start the cloud, to deploy, and from drop to verdict, with the second of each state."""
    begun = time.monotonic()
    with LocalCloud() as cloud:
        ready = time.monotonic()
        outputs = deploy(cloud.endpoint)
        deployed = time.monotonic()
        content = (ROOT / "samples" / "dataset.jsonl").read_bytes()
        bucket = outputs["DataBucketName"]
        dropped = time.monotonic()
        put = cloud.client("s3").put_object(Bucket=bucket, Key=KEY, Body=content)
        run = _ended(cloud, outputs["RunsTableName"], run_id(bucket, KEY, put["VersionId"]))
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


def _ended(cloud: LocalCloud, table: str, name: str) -> Run:
    """The run when it has ended; raises TimeoutError."""
    client = cloud.client("dynamodb")
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        found = client.get_item(TableName=table, Key={"run_id": {"S": name}}, ConsistentRead=True).get("Item")
        if found and (run := Run.model_validate(from_item(found))).state in ENDED:
            return run
        time.sleep(LOOK_EVERY)
    raise TimeoutError(f"The run {name} did not end within {GIVE_UP_SECONDS:.0f} s.")


def measure(quick: bool) -> Measured:
    """The median of three runs; one where it must be quick."""
    build()
    runs = [one_run() for _ in range(1 if quick else RUNS)]
    seconds = statistics.median(run["drop_to_verdict_seconds"] for run in runs)
    deploying = statistics.median(run["deploy_seconds"] for run in runs)
    figures = [
        Figure(
            "sample dataset, from drop to verdict on the local cloud", seconds, "s", at_most=TARGET_SECONDS
        ),
        Figure("stack deployed to the local cloud, built before", deploying, "s"),
    ]
    return Measured(figures, {"runs": runs})


if __name__ == "__main__":
    answer(measure, __doc__)
