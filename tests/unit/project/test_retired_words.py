"""The gate finds retired words in text, identifiers and file names, and leaves ordinary English alone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tools import retired_words
from tools.retired_words import findings, problems, retired_in, tracked_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "word", "term"),
    [
        ("Every facet has a weight.", "facet", "channel"),
        ("the Facets", "facets", "channel"),
        ("unknown_facet", "facet", "channel"),
        ("thinFacetOf(x)", "facet", "channel"),
        ("TAXONOMY_KEY = 1", "taxonomy", "channel configuration"),
        ("TaxonomyUnusable", "taxonomy", "channel configuration"),
        ("DISTTaxonomies", "taxonomies", "channel configuration"),
        ("scores.rubric", "rubric", "weight score"),
        ("mends.diff", "mends", "fix"),
        ("It was mended.", "mended", "fix"),
        ("near-copies of it", "near-copies", "near-duplicate"),
        ("near_copies: 0", "near copies", "near-duplicate"),
        ("the model in charge", "in charge", "active"),
        ("rings the doorbell", "doorbell", "wake-up event"),
        ("def _bury(message):", "bury", "move to the dead-letter queue"),
        ("a message is buried", "buried", "move to the dead-letter queue"),
        ("RunLedger", "ledger", "run table"),
        ("look before the spend", "before the spend", "preflight checks"),
        ("the spend of a run", "the spend", "cost"),
        ("bad lines are set apart", "set apart", "quarantine"),
        ("self._set_apart(line)", "set apart", "quarantine"),
        ("spare: 0.2", "spare:", "oversample"),
        ("spare records", "spare records", "oversample"),
        ("families:", "families:", "template group"),
        ("a family of templates", "family of templates", "template group"),
        ("distillery quote FILE", "distillery quote", "cost estimate"),
        ("quote.json", "quote.json", "cost estimate"),
        ("the cost quote", "cost quote", "cost estimate"),
        ("a quote of 3 dollars", "a quote of", "cost estimate"),
        ("thin_length", "thin length", "under-represented"),
        ("a channel is thin below 5 %", "is thin", "under-represented"),
        ("covered thinly", "thinly", "under-represented"),
    ],
)
def test_retired_word_is_found_with_the_term_to_use(text: str, word: str, term: str) -> None:
    assert retired_in(text) == [(word, term)]


@pytest.mark.parametrize(
    "text",
    [
        "we recommend, amend and comment",
        "in charges, income",
        "doorbell camera footage at night",
        "font-family: monospace",
        'font_family="sans-serif"',
        "the family of one who has time to spare",
        "urllib.parse.quote(text)",
        'close the quote with "',
        "thin air and ice",
        "a setting that is apart from others",
        "two sets; apart from these",
        "spending limits",
        "multifaceted",
    ],
)
def test_ordinary_english_is_left_alone(text: str) -> None:
    assert retired_in(text) == []


def test_words_of_a_line_come_in_its_order() -> None:
    assert [word for word, _ in retired_in("the rubric of a facet, mended")] == ["rubric", "facet", "mended"]


def test_term_that_is_broken_between_lines_is_found_where_it_begins() -> None:
    content = "# the model that is in\n# charge\nand a facet\n"
    assert list(findings("a.py", content)) == [
        'a.py:1: in charge -> use "active"',
        'a.py:3: facet -> use "channel"',
    ]


def test_name_of_a_file_is_read_too() -> None:
    assert list(findings("docs/taxonomy.md", "")) == [
        'docs/taxonomy.md: taxonomy in the name -> use "channel configuration"'
    ]


def test_data_history_and_the_reading_of_earlier_names_are_left_out(tmp_path: Path) -> None:
    names = [*retired_words.EXCLUDED, "samples/facets.jsonl"]
    for name in [*names, "code.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("facet\n")
    assert problems(tmp_path, [*names, "code.py"]) == ['code.py:1: facet -> use "channel"']


def test_only_the_name_of_a_binary_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG facet \xff")
    assert problems(tmp_path, ["picture.png"]) == []


def test_files_are_those_that_git_tracks_or_would_add(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    for name in ("tracked.py", "new.py", "ignored.py", "deleted.py"):
        (tmp_path / name).touch()
    subprocess.run(["git", "add", "tracked.py", "deleted.py"], cwd=tmp_path, check=True)
    (tmp_path / "deleted.py").unlink()
    assert tracked_files(tmp_path) == [".gitignore", "new.py", "tracked.py"]


def test_exit_code_says_whether_there_are_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retired_words, "ROOT", tmp_path)
    (tmp_path / "good.md").write_text("A channel.\n")
    (tmp_path / "bad.md").write_text("A facet.\n")
    assert retired_words.main(["good.md"]) == 0
    assert capsys.readouterr().out == ""
    assert retired_words.main(["good.md", "bad.md"]) == 1
    assert capsys.readouterr().out == 'bad.md:1: facet -> use "channel"\n'
