"""The report: self-contained, safe whatever a query holds, and whole when something was not measured."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from distillery.evaluation.judging import JudgeGrades
from distillery.reports import run_report
from distillery.runs.states import Move, State
from distillery.task.channels import default_channel_config
from tests.unit.sample_run import (
    SERVED_BY,
    START,
    answer,
    channel_config_of,
    examined,
    good,
    hopeless,
    run,
    validation,
)

if TYPE_CHECKING:
    from distillery.evaluation.evaluation import Evaluation
    from distillery.task.channels import ChannelConfig

CHANNEL_CONFIG = default_channel_config()
HOSTILE = """</q></title><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'"&amp;\u202e"""
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """A page taken apart; refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and not {"head", "style"} & set(self._open):
            self.texts.append(" ".join(data.split()))


def page(
    evaluation: Evaluation, channel_config: ChannelConfig = CHANNEL_CONFIG, *, labelled: bool = True
) -> str:
    return run_report.render(evaluation, run(), validation(channel_config, labelled=labelled), channel_config)


def full(channel_config: ChannelConfig = CHANNEL_CONFIG) -> Evaluation:
    grades = {name: JudgeGrades((4.0,) * 60) for name in ("distilled", "untuned", "baseline")}
    answers = {
        "distilled": good(channel_config),
        "untuned": hopeless(channel_config),
        "baseline": good(channel_config),
    }
    return examined(channel_config, answers, grades)  # type: ignore[arg-type]


def test_the_first_line_says_who_served_the_models() -> None:
    assert Page(page(full())).texts[:2] == ["Models served by", SERVED_BY]


def test_stand_ins_are_called_stand_ins_in_the_first_line_and_real_models_are_not() -> None:
    real = full().model_copy(update={"served_by": ("Amazon",)})
    assert "stand-ins" in Page(page(full())).texts[2]
    assert "stand-ins" not in page(real)


def test_the_verdict_comes_after_the_first_line_with_every_reason() -> None:
    evaluation = full()
    texts = Page(page(evaluation)).texts
    assert "Promoted" in texts
    assert [text for text in texts if text in evaluation.verdict.reasons] == evaluation.verdict.reasons


def test_nothing_is_loaded_or_run() -> None:
    text = page(full())
    parsed = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "img", "image", "use", "base"} & set(
        parsed.tags
    )
    outside = [
        (name, value)
        for name, value in parsed.attributes
        if "//" in value and not name.startswith("xmlns") and not value.startswith("s3:")
    ]
    assert outside == []
    assert not re.search(r"@import|url\(", text)
    # Names of XML namespaces look like addresses; nothing fetches them.
    assert set(re.findall(r"https?://[^\"'\s<>]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parsed.attributes


def test_values_that_are_all_zero_are_drawn() -> None:
    idle = [
        answer(CHANNEL_CONFIG, number).model_copy(
            update={"latency_ms": 0.0, "input_tokens": 0, "output_tokens": 0}
        )
        for number in range(5)
    ]
    evaluation = examined(CHANNEL_CONFIG, {"distilled": idle, "untuned": idle, "baseline": idle})
    still = [move.model_copy(update={"at": evaluation.evaluated_at}) for move in run().history]
    Page(run_report.render(evaluation, run(history=still), validation(CHANNEL_CONFIG), CHANNEL_CONFIG))


def test_a_page_is_the_same_each_time_it_is_drawn() -> None:
    assert page(full()) == page(full())


def test_hostile_queries_answers_and_names_are_only_text() -> None:
    bad = [
        answer(CHANNEL_CONFIG, 1, text=HOSTILE).model_copy(update={"query": HOSTILE}),
        answer(CHANNEL_CONFIG, 2, off=0.5).model_copy(
            update={"text": '{"visual":1,"audio":0,"transcription":0,"metadata":0,"reasoning":"<b>x</b>"}'}
        ),
    ]
    evaluation = examined(
        CHANNEL_CONFIG, {"distilled": [*good(CHANNEL_CONFIG), *bad], "baseline": good(CHANNEL_CONFIG)}
    )
    evaluation = evaluation.model_copy(update={"served_by": (HOSTILE,)})
    text = run_report.render(evaluation, run(dataset=HOSTILE), validation(CHANNEL_CONFIG), CHANNEL_CONFIG)
    parsed = Page(text)
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert "49" not in parsed.texts
    assert "<script>alert(1)</script>" not in text
    assert any("<script>alert(1)</script>" in said for said in parsed.texts)
    assert "<b>x</b>" in parsed.texts


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_every_channel_is_drawn_whatever_their_number(channels: int) -> None:
    channel_config = channel_config_of(channels)
    parsed = Page(page(full(channel_config), channel_config))
    assert all(name in parsed.texts for name in channel_config.names)
    # Dataset by channel, four of candidates, errors, weight scores, ten worst queries, timeline.
    assert parsed.tags.count("svg") == channels + 4 + 2 + 10 + 1


@pytest.mark.parametrize("candidate", ["distilled", "untuned", "baseline"])
def test_a_candidate_without_one_valid_answer(candidate: str) -> None:
    answers = {name: good(CHANNEL_CONFIG) for name in ("distilled", "untuned", "baseline")}
    answers[candidate] = hopeless(CHANNEL_CONFIG)
    Page(page(examined(CHANNEL_CONFIG, answers)))  # type: ignore[arg-type]


def test_candidates_that_gave_no_answer_at_all() -> None:
    texts = Page(page(examined(CHANNEL_CONFIG, {"distilled": [], "untuned": [], "baseline": []}))).texts
    assert "Nothing to compare." in texts
    assert "No candidate answered." in texts
    assert "Not promoted" in texts


def test_missing_judge_grades_and_prices_are_called_unknown() -> None:
    answers = {
        "distilled": good(CHANNEL_CONFIG),
        "untuned": good(CHANNEL_CONFIG),
        "baseline": good(CHANNEL_CONFIG),
    }
    text = page(examined(CHANNEL_CONFIG, answers, student="somebody.unpriced-v1:0"))  # type: ignore[arg-type]
    texts = Page(text).texts
    assert "Not measured for any candidate." in texts
    assert "distilled unknown" in " ".join(text.split())
    assert not re.search(r"\b(None|nan)\b", " ".join(texts))


def test_a_dataset_without_labels_has_no_weights_to_draw() -> None:
    texts = Page(page(full(), labelled=False)).texts
    assert any("no labels" in said for said in texts)


def test_the_timeline_ends_with_the_evaluation_of_a_run_on_its_way() -> None:
    spans = run_report.timeline(run(), START + timedelta(seconds=30))
    assert [span.lasted for span in spans] == [5, 5, 5, 5, 10]
    assert [span.offset for span in spans] == [0, 5, 10, 15, 20]


def test_a_verdict_lasts_no_time() -> None:
    promoted = Move(state=State.PROMOTED, at=START + timedelta(seconds=31), step="promote_model")
    ended = [*run().history, promoted]
    spans = run_report.timeline(run(history=ended), START)
    assert (spans[-2].lasted, spans[-1].lasted) == (11, None)


def test_a_run_without_history_still_has_a_report() -> None:
    text = run_report.render(full(), run(history=[]), validation(CHANNEL_CONFIG), CHANNEL_CONFIG)
    assert "no history" in text


def test_the_lineage_names_where_everything_came_from() -> None:
    texts = Page(page(full())).texts
    for known in ("s3://data/datasets/harbour/a.jsonl", "v7", "aaaabbbbcccc", run().job_arn, run().model_arn):
        assert known in texts
    assert "moves right after this report" in texts


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
        (None, ""),
    ],
)
def test_durations_are_shown_in_the_units_that_matter(seconds: float | None, shown: str) -> None:
    assert run_report.duration(seconds) == shown


@pytest.mark.parametrize(
    ("usd", "shown"), [(None, "unknown"), (0.0008, "$0.0008"), (1.949, "$1.95"), (1234.5, "$1,234.50")]
)
def test_costs_are_shown_down_to_fractions_of_a_cent(usd: float | None, shown: str) -> None:
    assert run_report.dollars(usd) == shown


@pytest.mark.parametrize(
    ("reference", "changes", "said"),
    [
        ("labels", {}, "never seen"),
        ("labels", {"finding_counts": {"holdout_in_training": 1}}, "flatter"),
        ("teacher", {"labelled": 0}, "no labels"),
        ("teacher", {"labelled": 12}, "only 12 labels"),
    ],
)
def test_page_says_what_the_evaluation_rests_on(
    reference: str, changes: dict[str, object], said: str
) -> None:
    evaluation = examined(CHANNEL_CONFIG, {"distilled": good(CHANNEL_CONFIG)}).model_copy(
        update={"reference": reference}
    )
    page = run_report.render(
        evaluation, run(), validation(CHANNEL_CONFIG).model_copy(update=changes), CHANNEL_CONFIG
    )
    assert said in page
