"""`make demo`: the main job on a local cloud of its own, seen through the command line."""

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
QUERIES_ROUTED = 36
REPORT = DIRECTORY / "report.html"
RUN_SECONDS = 300
"""More than ten times what a run takes on two cores; a demonstration must not hang."""


class DemoFailed(Exception):
    """A step of the demonstration ended badly; `code` is its exit code."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"The demonstration failed: {step} ended with exit code {code}.")
        self.code = code


def from_dataset(port: int) -> str:
    """Drop the sample dataset and follow its run; returns the run's id."""
    headline("The sample dataset goes into the bucket, and the run begins")
    run_id = str(_json(port, "drop", str(DATASET))["run_id"])
    say(run_id)
    _command(port, "watch", run_id, "--start-timeout", "60", "--timeout", str(RUN_SECONDS))
    return run_id


def from_spec(port: int) -> str:
    """Drop the sample spec, follow its generation and the run that comes of it; returns the run's id."""
    headline("The sample spec goes into the bucket: queries are planned, and the teacher labels them")
    _command(port, "generate", str(SPEC), "--preview", "5")
    generation = _json(port, "generate", str(SPEC), "--dataset", "samples")["generation_id"]
    say(generation)
    _command(port, "watch", generation, "--start-timeout", "60", "--timeout", str(RUN_SECONDS))
    return str(_json(port, "watch", generation)["generation"]["run_id"])


BEGINNINGS: dict[str, Callable[[int], str]] = {"dataset": from_dataset, "spec": from_spec}


def show_main_job(port: int, begin: Callable[[int], str]) -> str:
    """Begin a run and follow it, route, fetch the report; returns where the report is and the verdict.

    Raises DemoFailed.
    """
    run_id = begin(port)
    headline(f"{QUERIES_ROUTED} queries go to the queue, and the new router answers")
    _command(port, "route", "--file", str(QUERIES), "--limit", str(QUERIES_ROUTED))
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    fetched = _json(port, "report", run_id, "--to", str(REPORT), "--force")
    verdict = _verdict(_json(port, "show", run_id))
    return f"Report: {fetched['address']} (any browser opens it; it needs no network)\n{verdict}"


def _verdict(run: dict[str, Any]) -> str:
    weight_scores = ", ".join(
        f"{name} {scores['weight_score']:.2f}" for name, scores in run["scores"].items()
    )
    return (
        f"Verdict: {run['state']}, weight score {weight_scores} of 5. Models: {'; '.join(run['served_by'])}."
    )


def headline(words: str) -> None:
    """Say what comes next."""
    say(f"\n== {words}")


def say(words: str) -> None:
    """A line for the person watching."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def distillery() -> str:
    """The command line, as it is installed beside this interpreter."""
    return str(Path(sys.executable).with_name("distillery"))


def _environment(port: int) -> dict[str, str]:
    return os.environ | {"DISTILLERY_PORT": str(port)}


def _command(port: int, *arguments: str) -> None:
    """Run the command line on this terminal."""
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
