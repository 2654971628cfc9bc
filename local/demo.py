"""`make demo`: the main job on a local cloud of its own, seen through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.background import DIRECTORY
from local.cloud import ROOT

DATASET = ROOT / "samples" / "dataset.jsonl"
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


def show_main_job(port: int) -> str:
    """Drop, follow, route, fetch the report; returns where the report is and the verdict.

    Raises DemoFailed.
    """
    headline("The sample dataset goes into the bucket, and the run begins")
    run_id = _json(port, "drop", str(DATASET))["run_id"]
    say(run_id)
    _command(port, "watch", run_id, "--timeout", str(RUN_SECONDS))
    headline(f"{QUERIES_ROUTED} queries go to the queue, and the new router answers")
    _command(port, "route", "--file", str(QUERIES), "--first", str(QUERIES_ROUTED))
    fetched = _json(port, "report", run_id, "--to", str(REPORT))
    verdict = _verdict(_json(port, "show", run_id))
    return f"Report: {fetched['address']} (any browser opens it; it needs no network)\n{verdict}"


def _verdict(run: dict[str, Any]) -> str:
    rubrics = ", ".join(f"{name} {scores['rubric']:.2f}" for name, scores in run["scores"].items())
    return f"Verdict: {run['state']}, rubric {rubrics} of 5. Models: {'; '.join(run['served_by'])}."


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
