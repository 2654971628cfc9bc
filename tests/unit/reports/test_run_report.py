"""The run report: self-contained, safe for any text, and complete when something was not measured."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from distillery.cost.estimate import make_estimate
from distillery.cost.prices import price_list
from distillery.evaluation.judging import JudgeGrades
from distillery.reports.headlines import cost_sentences
from distillery.reports.page import dollars, duration
from distillery.reports.run_report import FIGURES, render_run_report, timeline
from distillery.runs.states import Move, State
from distillery.task.channels import default_channel_config
from tests.unit.sample_evaluations import (
    HAIKU,
    MICRO,
    NOVA_PRO,
    SERVED_BY,
    START,
    accurate_answers,
    answer,
    channel_config_of,
    evaluation_of,
    sample_run,
    unreadable_answers,
    validation_report,
)

if TYPE_CHECKING:
    from distillery.evaluation.evaluation import Evaluation
    from distillery.task.channels import ChannelConfig

CHANNEL_CONFIG = default_channel_config()
HOSTILE = """</q></title><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'"&amp;\u202e"""
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """The tags, attributes and texts of a page. Fails if tags are not closed in order."""

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
    return render_run_report(
        evaluation, sample_run(), validation_report(channel_config, labelled=labelled), channel_config
    )


def full_evaluation(channel_config: ChannelConfig = CHANNEL_CONFIG) -> Evaluation:
    """An evaluation in which everything was measured."""
    grades = {name: JudgeGrades((4.0,) * 60) for name in ("distilled", "untuned", "baseline")}
    answers = {
        "distilled": accurate_answers(channel_config),
        "untuned": unreadable_answers(channel_config),
        "baseline": accurate_answers(channel_config),
    }
    return evaluation_of(channel_config, answers, grades)  # type: ignore[arg-type]


def test_the_report_begins_with_the_provider_of_the_models() -> None:
    real = full_evaluation().model_copy(update={"served_by": ("Amazon", "Anthropic")})
    assert Page(page(real)).texts[:2] == ["Models served by", "Amazon and Anthropic"]
    assert "stand-ins" not in page(real)


def test_the_report_of_emulated_models_begins_with_emulated() -> None:
    emulated, explanation, *provider = Page(page(full_evaluation())).texts[:4]
    assert emulated.startswith("Emulated")
    assert "stand-ins" in explanation
    assert provider == ["Models served by", SERVED_BY]


def test_the_verdict_stands_at_the_top_with_the_reason_of_every_rule() -> None:
    evaluation = full_evaluation()
    texts = Page(page(evaluation)).texts
    assert "Promoted" in texts
    assert [text for text in texts if text in evaluation.verdict.reasons] == evaluation.verdict.reasons


def test_the_page_loads_and_runs_nothing() -> None:
    text = page(full_evaluation())
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
    # XML namespaces are URLs, but a browser does not load them.
    assert set(re.findall(r"https?://[^\"'\s<>]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parsed.attributes


def test_charts_of_values_that_are_all_zero_can_be_drawn() -> None:
    zero = [
        answer(CHANNEL_CONFIG, number).model_copy(
            update={"latency_ms": 0.0, "input_tokens": 0, "output_tokens": 0}
        )
        for number in range(5)
    ]
    evaluation = evaluation_of(CHANNEL_CONFIG, {"distilled": zero, "untuned": zero, "baseline": zero})
    history = [move.model_copy(update={"at": evaluation.evaluated_at}) for move in sample_run().history]
    parsed = Page(
        render_run_report(
            evaluation, sample_run(history=history), validation_report(CHANNEL_CONFIG), CHANNEL_CONFIG
        )
    )
    assert "distilled 0 ms" in parsed.texts
    assert "distilled $0.0000" in parsed.texts
    assert "evaluating 0.0 s" in parsed.texts


def test_the_same_evaluation_always_gives_the_same_page() -> None:
    assert page(full_evaluation()) == page(full_evaluation())


def test_markup_in_queries_answers_and_names_is_escaped() -> None:
    bad = [
        answer(CHANNEL_CONFIG, 1, text=HOSTILE).model_copy(update={"query": HOSTILE}),
        answer(CHANNEL_CONFIG, 2, error=0.5).model_copy(
            update={"text": '{"visual":1,"audio":0,"transcription":0,"metadata":0,"reasoning":"<b>x</b>"}'}
        ),
    ]
    evaluation = evaluation_of(
        CHANNEL_CONFIG,
        {
            "distilled": [*accurate_answers(CHANNEL_CONFIG), *bad],
            "baseline": accurate_answers(CHANNEL_CONFIG),
        },
    )
    evaluation = evaluation.model_copy(update={"served_by": (HOSTILE,)})
    text = render_run_report(
        evaluation, sample_run(dataset=HOSTILE), validation_report(CHANNEL_CONFIG), CHANNEL_CONFIG
    )
    parsed = Page(text)
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert "49" not in parsed.texts
    assert "<script>alert(1)</script>" not in text
    assert any("<script>alert(1)</script>" in text for text in parsed.texts)
    assert "<b>x</b>" in parsed.texts


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_every_channel_is_shown_for_any_number_of_channels(channels: int) -> None:
    channel_config = channel_config_of(channels)
    parsed = Page(page(full_evaluation(channel_config), channel_config))
    assert all(name in parsed.texts for name in channel_config.names)
    # A histogram for each channel, 6 charts of candidates, 2 of errors, 10 worst queries, the timeline.
    assert parsed.tags.count("svg") == channels + 6 + 2 + 10 + 1


@pytest.mark.parametrize("candidate", ["distilled", "untuned", "baseline"])
def test_a_candidate_with_unreadable_answers_only_has_a_weight_score_of_1(candidate: str) -> None:
    answers = {name: accurate_answers(CHANNEL_CONFIG) for name in ("distilled", "untuned", "baseline")}
    answers[candidate] = unreadable_answers(CHANNEL_CONFIG)
    texts = Page(page(evaluation_of(CHANNEL_CONFIG, answers))).texts  # type: ignore[arg-type]
    assert f"{candidate} 1.00" in texts
    assert texts.count("1.00 (1.00 to 1.00)") == 1
    assert texts.count("unknown") >= 1 + len(CHANNEL_CONFIG.names)


def test_candidates_without_answers_still_have_a_report() -> None:
    texts = Page(page(evaluation_of(CHANNEL_CONFIG, {"distilled": [], "untuned": [], "baseline": []}))).texts
    assert "There are no answers to compare." in texts
    assert "No candidate answered." in texts
    assert "Not promoted" in texts


def test_missing_judge_grades_and_prices_are_shown_as_unknown() -> None:
    answers = {
        "distilled": accurate_answers(CHANNEL_CONFIG),
        "untuned": accurate_answers(CHANNEL_CONFIG),
        "baseline": accurate_answers(CHANNEL_CONFIG),
    }
    text = page(evaluation_of(CHANNEL_CONFIG, answers, student="somebody.unpriced-v1:0"))  # type: ignore[arg-type]
    texts = Page(text).texts
    assert "Not measured for any candidate." in texts
    assert "distilled unknown" in " ".join(text.split())
    assert not re.search(r"\b(None|nan)\b", " ".join(texts))


def test_a_dataset_without_labels_has_no_histograms() -> None:
    texts = Page(page(full_evaluation(), labelled=False)).texts
    assert any("no labels" in text for text in texts)


def test_the_timeline_of_an_unfinished_run_ends_with_the_evaluation() -> None:
    spans = timeline(sample_run(), START + timedelta(seconds=30))
    assert [span.lasted for span in spans] == [5, 5, 5, 5, 10]


def test_a_final_state_has_no_duration() -> None:
    promoted = Move(state=State.PROMOTED, at=START + timedelta(seconds=31), step="promote_model")
    history = [*sample_run().history, promoted]
    spans = timeline(sample_run(history=history), START)
    assert (spans[-2].lasted, spans[-1].lasted) == (11, None)


def test_headline_figures_stand_at_the_top_with_the_ones_of_the_baseline() -> None:
    texts = Page(page(full_evaluation())).texts
    top = texts[: texts.index("Channel weights in the dataset")]
    place = top.index("dominant-channel agreement")
    assert top[place - 1 : place + 2] == ["75.0%", "dominant-channel agreement", "baseline 75.0%"]


def test_figures_in_which_the_baseline_is_better_say_so_at_the_top() -> None:
    evaluation = evaluation_of(
        CHANNEL_CONFIG,
        {
            "distilled": accurate_answers(CHANNEL_CONFIG),
            "baseline": [answer(CHANNEL_CONFIG, number) for number in range(60)],
        },
    )
    texts = Page(page(evaluation)).texts
    better = [text for text in texts if text.endswith(", which is better")]
    assert better == ["baseline 5.00, which is better", "baseline 100.0%, which is better"]


def test_warnings_of_the_run_stand_beside_the_verdict() -> None:
    warning = "The holdout is small."
    text = render_run_report(
        full_evaluation(), sample_run(warnings=[warning]), validation_report(CHANNEL_CONFIG), CHANNEL_CONFIG
    )
    texts = Page(text).texts
    assert texts.index("Promoted") < texts.index(warning) < texts.index("mean weight score (1 to 5)")


def test_cost_of_the_run_is_shown_as_estimated_and_by_the_tokens_used() -> None:
    evaluation, validation = full_evaluation(), validation_report(CHANNEL_CONFIG)
    models = {"teacher": NOVA_PRO, "student": MICRO, "baseline": HAIKU, "judge": NOVA_PRO}
    estimate = make_estimate(validation, CHANNEL_CONFIG, models, price_list())
    measured = evaluation.measured_cost()
    assert measured is not None
    run = sample_run(estimate=estimate.short(50).model_dump(), measured_cost=measured.model_dump())
    texts = Page(render_run_report(evaluation, run, validation, CHANNEL_CONFIG, estimate)).texts
    costs = texts[texts.index("Cost of the run") : texts.index("Timeline")]
    assert [text for text in costs if text in cost_sentences(run)] == cost_sentences(run)
    assert {line.name for line in estimate.lines} <= set(costs)
    assert costs[costs.index("training") + 2 : costs.index("training") + 4] == ["not reported"] * 2
    assert "3,000 input, 6,000 output" in costs


def test_a_run_without_an_estimate_still_has_a_report() -> None:
    evaluation = full_evaluation().model_copy(update={"usage": ()})
    assert "The run has no cost estimate." in Page(page(evaluation)).texts


def test_charts_have_their_figures_as_a_text_alternative() -> None:
    names = [value for name, value in Page(page(full_evaluation())).attributes if name == "aria-label"]
    assert "Mean weight score: distilled 4.00; untuned 1.00; baseline 4.00" in names
    latency = next(name for name in names if name.startswith("Latency in milliseconds: "))
    assert "distilled 129 ms: median 129 ms, 95th percentile 156 ms; untuned" in latency


def test_the_table_of_figures_shows_every_figure_and_the_error_of_every_channel() -> None:
    evaluation = full_evaluation()
    texts = Page(page(evaluation)).texts
    distilled = evaluation.candidates["distilled"]
    table = texts[texts.index("All figures") :]
    for figure in FIGURES:
        assert table[table.index(figure.label) + 1] == figure.cell(distilled)
    for channel, error in distilled.mae_per_channel.items():
        assert table[table.index(f"mean absolute error, {channel}") + 1] == f"{error:.3f}"


def test_every_colour_of_a_chart_is_defined_in_the_style_sheet() -> None:
    text = page(full_evaluation())
    used = set(re.findall(r"var\((--\w+)\)", text))
    assert {"--distilled", "--untuned", "--baseline"} <= used
    assert used <= set(re.findall(r"(--\w+):", text))


def test_a_run_without_history_still_has_a_report() -> None:
    text = render_run_report(
        full_evaluation(), sample_run(history=[]), validation_report(CHANNEL_CONFIG), CHANNEL_CONFIG
    )
    assert "no history" in text


def test_the_lineage_names_the_source_and_what_was_made_from_it() -> None:
    texts = Page(page(full_evaluation())).texts
    for value in (
        "s3://data/datasets/harbour/a.jsonl",
        "v7",
        "aaaabbbbcccc",
        sample_run().job_arn,
        sample_run().model_arn,
    ):
        assert value in texts
    assert "set after this report" in texts


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
def test_a_duration_is_shown_in_its_two_largest_units(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("usd", "shown"), [(None, "unknown"), (0.0008, "$0.0008"), (1.949, "$1.95"), (1234.5, "$1,234.50")]
)
def test_costs_below_a_dollar_have_four_decimals(usd: float | None, shown: str) -> None:
    assert dollars(usd) == shown


@pytest.mark.parametrize(
    ("reference", "changes", "words"),
    [
        ("labels", {}, "was not trained"),
        ("labels", {"finding_counts": {"holdout_in_training": 1}}, "too high"),
        ("teacher", {"labelled": 0}, "no labels"),
        ("teacher", {"labelled": 12}, "only 12 labels"),
    ],
)
def test_the_page_says_what_the_answers_are_compared_with(
    reference: str, changes: dict[str, object], words: str
) -> None:
    evaluation = evaluation_of(CHANNEL_CONFIG, {"distilled": accurate_answers(CHANNEL_CONFIG)}).model_copy(
        update={"reference": reference}
    )
    page = render_run_report(
        evaluation, sample_run(), validation_report(CHANNEL_CONFIG).model_copy(update=changes), CHANNEL_CONFIG
    )
    assert words in page
