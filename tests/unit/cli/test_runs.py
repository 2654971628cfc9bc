"""`distillery runs`, `show` and `report`."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest

from cli.app import main
from distillery.aws.run_store import RunStore
from distillery.reports.headlines import HEADLINES, cost_sentences
from distillery.reports.run_report import render_run_report
from distillery.runs.states import Source, State
from distillery.task.channels import default_channel_config
from tests.unit.cli.stacks import ON_AWS, RUN, ended_run, printed, put
from tests.unit.sample_evaluations import (
    accurate_answers,
    evaluation_of,
    unreadable_answers,
    validation_report,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack


def test_rejected_run_shows_its_findings_and_fixes(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    findings = [
        {"code": "odd", "severity": "note", "line": None, "message": "Odd.", "fix": ""},
        {
            "code": "sum",
            "severity": "error",
            "line": 7,
            "message": "They sum to 0.7.",
            "fix": "Scale [them].",
        },
    ]
    ended_run(stack, State.REJECTED)
    put(stack, f"runs/{RUN}/validation.json", {"findings": findings})
    assert main(["watch", RUN, *ON_AWS]) == 2
    text = capsys.readouterr().out
    assert "They sum to 0.7." in text
    assert "Scale [them]." in text
    assert main(["show", RUN, "--json", *ON_AWS]) == 0
    assert [finding["code"] for finding in printed(capsys)["findings"]] == ["sum", "odd"]


def test_failed_run_shows_step_and_cause(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    ended_run(stack, State.FAILED, failure={"step": "start_distillation", "cause": "The teacher is gone."})
    assert main(["show", RUN, *ON_AWS]) == 0
    assert "start_distillation: The teacher is gone." in capsys.readouterr().out


def test_scores_of_all_candidates_are_in_one_table(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {
        "untuned": {"weight_score": 1.5},
        "distilled": {"weight_score": 4.31, "cost_per_1000_usd": 0.00875},
    }
    ended_run(stack, State.PROMOTED, scores=scores, reasons=["It is good enough."])
    assert main(["show", RUN, *ON_AWS]) == 0
    text = capsys.readouterr().out
    assert text.index("distilled") < text.index("untuned")
    assert "$0.0088" in text
    assert "It is good enough." in text


def test_show_and_the_report_have_the_same_figures(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    config = default_channel_config()
    answers = accurate_answers(config)
    evaluation = evaluation_of(
        config, {"distilled": answers, "untuned": unreadable_answers(config), "baseline": answers}
    )
    measured = evaluation.measured_cost()
    assert measured is not None
    ended_run(
        stack,
        State.PROMOTED,
        scores=evaluation.scores(),
        reasons=evaluation.verdict.reasons,
        warnings=evaluation.caveats(trained_on_holdout=False),
        measured_cost=measured.model_dump(),
    )
    run = stack.run_store.get(RUN)
    page = render_run_report(evaluation, run, validation_report(config), config)
    on_page = html.unescape(re.sub(r"<[^>]+>", "\n", page))
    assert main(["show", RUN, *ON_AWS]) == 0
    printed_lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for headline in HEADLINES:
        cells = [headline.cell(evaluation.scores()[name]) for name in ("distilled", "untuned", "baseline")]
        row = next(line for line in printed_lines if line.startswith(headline.label))
        assert row.removeprefix(headline.label).split() == " ".join(cells).split()
        assert f"\n{cells[0]}\n" in on_page
        assert f"\nbaseline {cells[2]}" in on_page
    for sentence in [*run.reasons, *cost_sentences(run), *(f"warning: {text}" for text in run.warnings)]:
        assert sentence in printed_lines
        assert sentence.removeprefix("warning: ") in on_page


def test_run_that_does_not_exist_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "nothing", *ON_AWS]) == 1
    assert capsys.readouterr().err.startswith("Run nothing does not exist.")


def test_runs_are_listed_latest_first(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    run_store = RunStore("RunsTable", stack.client("dynamodb"))
    for name in ("first-0", "second-0", "third-0"):
        run_store.receive(name, Source(bucket="data", key=f"datasets/{name}/a.jsonl", version_id="1"))
    assert main(["runs", "--limit", "2", "--json", *ON_AWS]) == 0
    assert [run["run_id"] for run in printed(capsys)] == ["third-0", "second-0"]
    assert main(["runs", *ON_AWS]) == 0
    assert "first-0" in capsys.readouterr().out


def test_stack_without_runs_lists_none(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json", *ON_AWS]) == 0
    assert printed(capsys) == []


def test_report_is_downloaded_and_not_overwritten(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_run(stack, State.PROMOTED, report_key=f"runs/{RUN}/report.html")
    put(stack, f"runs/{RUN}/report.html", b"<html>")
    file = tmp_path / "report.html"
    assert main(["report", RUN, "--to", str(file), *ON_AWS]) == 0
    assert file.read_bytes() == b"<html>"
    assert capsys.readouterr().out.strip() == file.as_uri()
    assert main(["report", RUN, "--to", str(file), *ON_AWS]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["report", RUN, "--to", str(file), "--force", *ON_AWS]) == 0
    assert main(["report", RUN, "--to", str(tmp_path / "none" / "a.html"), *ON_AWS]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_report_of_a_rejected_run_is_its_findings(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_run(stack, State.REJECTED)
    put(stack, f"runs/{RUN}/validation.html", b"<findings>")
    file = tmp_path / "report.html"
    assert main(["report", RUN, "--to", str(file), *ON_AWS]) == 0
    assert file.read_bytes() == b"<findings>"


def test_run_without_a_report_is_an_error(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    ended_run(stack, State.FAILED)
    assert main(["report", RUN, *ON_AWS]) == 1
    assert "has no report: it is FAILED" in capsys.readouterr().err


@pytest.mark.parametrize("width", ["10", "60", "80"])
def test_ids_are_never_broken_over_two_lines(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    arn = f"arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/{'a' * 60}"
    ended_run(stack, State.NOT_PROMOTED, deployment_arn=arn, models={"baseline": f"us.{'b' * 50}"})
    monkeypatch.setenv("COLUMNS", width)
    assert main(["runs", *ON_AWS]) == 0
    assert RUN in capsys.readouterr().out.split()
    assert main(["show", RUN, *ON_AWS]) == 0
    words = capsys.readouterr().out.split()
    assert {RUN, arn, f"us.{'b' * 50}"} <= set(words)
