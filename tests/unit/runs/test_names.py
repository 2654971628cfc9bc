"""Names of datasets: which keys are data, and which files share a name."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.runs.names import dataset_name, distinct_name, is_ignored, object_version, slug

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
names = st.text(max_size=200) | st.text("a\u00e9\u0301\u0416\u52d5 ._-()+", max_size=60)


@given(names)
def test_name_is_never_empty_and_holds_single_hyphens(text: str) -> None:
    for name in (slug(text), distinct_name(text)):
        assert SLUG.fullmatch(name)
        assert len(name) <= 40


@given(names)
def test_name_that_was_taken_stays_as_it_is(text: str) -> None:
    assert distinct_name(distinct_name(text)) == distinct_name(text)


@given(names)
def test_name_is_the_same_however_accents_are_written(text: str) -> None:
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, text)
        assert distinct_name(written) == distinct_name(text)
        assert slug(written) == slug(text)


@given(names, names)
def test_texts_share_a_name_only_if_capitals_and_separators_make_the_difference(one: str, other: str) -> None:
    def folded(text: str) -> str:
        return re.sub(r"[ ._/-]+", "-", unicodedata.normalize("NFC", text).lower()).strip("-")

    if distinct_name(one) == distinct_name(other):
        assert folded(one) == folded(other)


def test_names_without_latin_letters_and_long_names_stay_apart() -> None:
    files = [
        "\u52d5\u753b\u691c\u7d22",
        "\u0437\u0430\u043f\u0440\u043e\u0441\u044b",
        "gr\u00f6\u00dfe",
        "gr\u00f6sse",
        "grosse",
        "a+b",
        "a b",
    ]
    files += [
        "\u0645\u064a\u0646\u0627\u0621",
        "c++",
        "c",
        "\U0001f3ac",
        f"{'x' * 50}1",
        f"{'x' * 50}2",
        "()",
        "[]",
    ]
    taken = [distinct_name(file) for file in files]
    assert len(set(taken)) == len(files)
    assert taken[1].startswith("zaprosy-")
    assert distinct_name("My Set_v1.2") == "my-set-v1-2"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("datasets/films/a.jsonl", "films"),
        ("datasets/a/b/c", "a"),
        ("datasets/a//c", "a"),
        ("datasets/january.jsonl", "january"),
        ("datasets//january.jsonl", "january"),
        ("datasets/gro\u0308sse/a.jsonl", "gr\u00f6sse"),
    ],
)
def test_dataset_is_the_folder_of_the_object_or_without_one_the_file(key: str, name: str) -> None:
    assert dataset_name(key) == name


@pytest.mark.parametrize(
    "name",
    [
        "harbour/", "_SUCCESS", "harbour/_SUCCESS", "harbour/.DS_Store", ".tmp/a.jsonl", "harbour_$folder$",
        "harbour/._a.jsonl", "harbour/_temporary/0/part-00000.jsonl", "harbour/.part-00000.jsonl.crc",
    ],
)  # fmt: skip
def test_marker_and_hidden_file_are_ignored(name: str) -> None:
    assert is_ignored(f"datasets/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "harbour/JANUARY.JSONL", "harbour/a.json", "harbour/a.jsonl.gz", "harbour/a.csv", "harbour/a",
        "a.jsonl", "harbour/2026/11/a.jsonl", "/a.jsonl", "harbour/..jsonl", "harbour/../a.jsonl",
        "harbour/a_b.jsonl",
    ],
)  # fmt: skip
def test_no_other_object_goes_unnoticed(name: str) -> None:
    assert not is_ignored(f"datasets/{name}")


def test_version_null_is_no_version() -> None:
    assert object_version("null", "e") == "e"
    assert object_version("v", "e") == "v"
    assert object_version("null", "") == "null"
