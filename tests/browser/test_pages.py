"""Both pages in headless Chromium: without errors, without overflow, readable and accessible.

Playwright drives a Chromium of this machine; nothing is downloaded. Without one, the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from distillery.cost.estimate import make_estimate
from distillery.cost.prices import price_list
from distillery.dataset.validation import Rules, validate_dataset
from distillery.evaluation.judging import JudgeGrades
from distillery.reports.run_report import render_run_report
from distillery.reports.validation_report import render_validation
from distillery.task.channels import default_channel_config
from tests.unit.sample_evaluations import (
    HAIKU,
    MICRO,
    NOVA_PRO,
    accurate_answers,
    answer,
    evaluation_of,
    sample_run,
    validation_report,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason=f"no browser on PATH ({', '.join(NAMES)}); CHROMIUM=... names one"
)

CONFIG = default_channel_config()
SMALLEST_TEXT = 11
"""Pixels."""
LONG = "where does the harbour master say that " + "x" * 200
CHART_TEXT_PIXELS = """() => Math.min(...[...document.querySelectorAll('svg text')].map(
    text => text.getScreenCTM().a * parseFloat(getComputedStyle(text).fontSize)))"""
OUTSIDE = """() => [...document.querySelectorAll('svg text, figure *, .tile *')]
    .filter(one => one.textContent.trim() && one.getBoundingClientRect().width)
    .filter(one => {
        const box = one.getBoundingClientRect(), frame = one.closest('figure, .tile').getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1;
    })
    .map(one => one.textContent.trim())"""


def report_page() -> str:
    """A report with everything in it: warnings, a worse figure, long texts, unreadable answers, a cost."""
    good = accurate_answers(CONFIG)
    bad = [answer(CONFIG, number, text=LONG).model_copy(update={"query": LONG}) for number in range(2)]
    distilled = [one.model_copy(update={"latency_ms": one.latency_ms / 40}) for one in [*good, *bad]]
    grades = {name: JudgeGrades((4.0,) * 60) for name in ("distilled", "baseline")}
    perfect = [answer(CONFIG, number) for number in range(60)]
    evaluation = evaluation_of(
        CONFIG, {"distilled": distilled, "untuned": bad * 30, "baseline": perfect}, grades
    )
    validation = validation_report(CONFIG)
    models = {"teacher": NOVA_PRO, "student": MICRO, "baseline": HAIKU, "judge": NOVA_PRO}
    estimate = make_estimate(validation, CONFIG, models, price_list())
    measured = evaluation.measured_cost()
    assert measured is not None
    run = sample_run(
        estimate=estimate.short(50).model_dump(),
        measured_cost=measured.model_dump(),
        warnings=evaluation.caveats(trained_on_holdout=True),
    )
    return render_run_report(evaluation, run, validation, CONFIG, estimate)


def validation_page() -> str:
    """The findings of a dataset with 200 good lines and some with errors."""
    records = [
        b'{"schemaVersion":"bedrock-conversation-2024","system":[{"text":"Weigh the channels."}],'
        b'"messages":[{"role":"user","content":[{"text":"harbour %d in the rain"}]},{"role":"assistant",'
        b'"content":[{"text":"{\\"visual\\":0.%d,\\"audio\\":0.%d,\\"transcription\\":0,\\"metadata\\":0}"}]}]}'
        % (number, number % 9 + 1, 9 - number % 9)
        for number in range(200)
    ]
    lines = [*records, b'{"unreadable": "%s"}' % (b"x" * 300), records[0], b"[" * 50]
    report = validate_dataset(
        BytesIO(b"\n".join(lines)),
        channel_config=CONFIG,
        rules=Rules(),
        train=BytesIO(),
        holdout=BytesIO(),
    )
    return render_validation(report, CONFIG)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both pages as files."""
    folder = tmp_path_factory.mktemp("pages")
    files = {name: folder / name for name in ("report.html", "validation.html")}
    files["report.html"].write_text(report_page(), "utf-8")
    files["validation.html"].write_text(validation_page(), "utf-8")
    return files


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report.html", "validation.html"])
def test_page_has_no_error_and_no_overflow_and_can_be_read(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: Any
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    try:
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("requestfailed", lambda request: messages.append(request.url))
        page.goto(pages[name].as_uri())
        assert messages == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(CHART_TEXT_PIXELS) >= SMALLEST_TEXT
        assert violations(page) == []
    finally:
        page.close()


def violations(page: Page) -> list[str]:
    """What the accessibility checker finds, with the first element of each."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']} ({one['impact']}): {one['nodes'][0]['html']}" for one in found]
