"""`make demo`: a run from dataset to verdict on a local cloud, driven by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.background import DIRECTORY
from local.cloud import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

DATASET = ROOT / "samples" / "dataset.jsonl"
SPEC = ROOT / "samples" / "spec.yaml"
QUERIES = ROOT / "samples" / "queries.jsonl"
QUERY_COUNT = 36
REPORT = DIRECTORY / "report.html"
RUN_SECONDS = 300
"""Time limit of a run: more than ten times what a run takes on two cores."""


class DemoFailed(Exception):
    """A step of the demonstration failed. `code` is its exit code."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"The demonstration failed: {step} ended with exit code {code}.")
        self.code = code


def from_dataset(port: int) -> str:
    """Drop the sample dataset and watch its run. Returns the run id."""
    headline("Uploading the sample dataset, which starts a run")
    run_id = str(_json(port, "drop", str(DATASET))["run_id"])
    print_line(run_id)
    _command(port, "watch", run_id, "--start-timeout", "60", "--timeout", str(RUN_SECONDS))
    return run_id


def from_spec(port: int) -> str:
    """Drop the sample spec and watch its generation and the run it starts. Returns the run id."""
    headline("Uploading the sample spec: queries are planned, and the teacher labels them")
    _command(port, "generate", str(SPEC), "--preview", "5")
    generation = _json(port, "generate", str(SPEC), "--dataset", "samples")["generation_id"]
    print_line(generation)
    _command(port, "watch", generation, "--start-timeout", "60", "--timeout", str(RUN_SECONDS))
    return str(_json(port, "watch", generation)["generation"]["run_id"])


SOURCES: dict[str, Callable[[int], str]] = {"dataset": from_dataset, "spec": from_spec}


def run_demo(port: int, start_run: Callable[[int], str]) -> str:
    """Start a run, watch it, send queries and fetch the report.

    Returns two lines: the address of the report, and the verdict. Raises DemoFailed.
    """
    run_id = start_run(port)
    headline(f"Sending {QUERY_COUNT} queries to the queue, which the active model answers")
    _command(port, "route", "--file", str(QUERIES), "--limit", str(QUERY_COUNT))
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    fetched = _json(port, "report", run_id, "--to", str(REPORT), "--force")
    verdict = _verdict(_json(port, "show", run_id))
    return f"Report: {fetched['address']} (open it in a browser; it needs no network)\n{verdict}"


def _verdict(run: dict[str, Any]) -> str:
    weight_scores = ", ".join(
        f"{name} {scores['weight_score']:.2f}" for name, scores in run["scores"].items()
    )
    models = "; ".join(run["served_by"])
    return f"Verdict: {run['state']}. Weight score (1 to 5): {weight_scores}. Models: {models}."


def headline(text: str) -> None:
    """Print the headline of a step."""
    print_line(f"\n== {text}")


def print_line(text: str) -> None:
    """Print a line at once, so that output of subprocesses follows in order."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def distillery() -> str:
    """Return the path of the `distillery` command installed with this interpreter."""
    return str(Path(sys.executable).with_name("distillery"))


def _environment(port: int) -> dict[str, str]:
    return os.environ | {"DISTILLERY_PORT": str(port)}


def _command(port: int, *arguments: str) -> None:
    """Run a command with its output on this terminal."""
    code = subprocess.run([distillery(), *arguments], env=_environment(port), check=False).returncode
    if code:
        raise DemoFailed(f"`distillery {arguments[0]}`", code)


def _json(port: int, *arguments: str) -> dict[str, Any]:
    answer = subprocess.run(
        [distillery(), *arguments, "--json"], env=_environment(port), stdout=subprocess.PIPE, check=False
    )
    if answer.returncode:
        raise DemoFailed(f"`distillery {arguments[0]}`", answer.returncode)
    content: dict[str, Any] = json.loads(answer.stdout)
    return content
