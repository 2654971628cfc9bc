"""The linear model: what it learns, what it refuses, and that no text makes it fail."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.bench_linear import TEACHER_LABELS, five_fold, made_up, read_examples
from distillery.errors import BadInput
from distillery.linear.features import LONGEST_QUERY, features
from distillery.linear.model import MAGIC, MOST_CANDIDATES, LinearModel, load
from distillery.linear.training import fit
from distillery.task.channels import Channel, ChannelConfig, default_channel_config
from distillery.task.weights import weight_score

if TYPE_CHECKING:
    from pathlib import Path

Example = tuple[str, dict[str, float]]


def channel_config_of(count: int, grid: float = 0.1) -> ChannelConfig:
    names = [f"channel_{place}" for place in range(count)]
    return ChannelConfig(
        subject="tests",
        channels=tuple(Channel(name=name, description=name) for name in names),
        fallback=dict.fromkeys(names, 1 / count),
        label_grid=grid,
    )


def examples_of(channel_config: ChannelConfig, count: int, seed: int = 1) -> list[Example]:
    """Queries of a few made-up words; the channel of the first word gets most, on the label grid."""
    rng = random.Random(seed)  # noqa: S311 -- made-up data
    steps = round(1 / channel_config.label_grid)
    filler = ["red", "old", "near", "the", "of", "quick", "late", "small"]
    examples: list[Example] = []
    for number in range(count):
        main, other = rng.sample(channel_config.names, 2)
        query = " ".join(
            ["lead" + main, *rng.choices(filler, k=rng.randint(1, 4)), "then" + other, str(number)]
        )
        most = (steps * 7 + 5) // 10
        label = dict.fromkeys(channel_config.names, 0.0)
        label[main], label[other] = most / steps, (steps - most) / steps
        examples.append((query, label))
    return examples


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return fit(examples_of(default_channel_config(), 300), default_channel_config())


# Only where the real labels lie beside the repository.
@pytest.mark.parametrize(
    "labels", [pytest.param(TEACHER_LABELS, id="teacher")] if TEACHER_LABELS.exists() else []
)
def test_five_fold_weight_score_on_real_teacher_labels_is_at_least_4_28(labels: Path) -> None:
    examples = read_examples(labels, default_channel_config().names)
    means = [five_fold(examples, division) for division in range(3)]
    assert min(means) >= 4.28, means


def test_learns_what_the_words_say() -> None:
    channel_config = default_channel_config()
    model = fit(examples_of(channel_config, 300), channel_config)
    unseen = examples_of(channel_config, 100, seed=2)
    scores = [weight_score(label, model.predict(query), channel_config.names) for query, label in unseen]
    assert sum(scores) / len(scores) > 4.8


@pytest.mark.parametrize("channels", [2, 4, 6, 12])
@pytest.mark.parametrize("grid", [0.1, 0.05, 0.25, 0.5, 0.01])
def test_any_channel_config_and_grid(channels: int, grid: float) -> None:
    channel_config = channel_config_of(channels, grid)
    model = fit(examples_of(channel_config, 120), channel_config)
    for query, _ in examples_of(channel_config, 20, seed=3):
        assert_on_grid(model.predict(query), channel_config)


def assert_on_grid(weights: dict[str, float], channel_config: ChannelConfig) -> None:
    steps = round(1 / channel_config.label_grid)
    assert tuple(weights) == channel_config.names
    assert abs(math.fsum(weights.values()) - 1) <= 1e-9
    assert all(value >= 0 and abs(value * steps - round(value * steps)) < 1e-9 for value in weights.values())


def test_grid_that_does_not_divide_one_still_sums_to_one() -> None:
    channel_config = channel_config_of(3, 0.3)
    model = fit([("a b", {"channel_0": 0.5, "channel_1": 0.3, "channel_2": 0.2})] * 5, channel_config)
    assert abs(sum(model.predict("a b").values()) - 1) <= 1e-9


def test_labels_off_the_grid_are_put_on_it() -> None:
    channel_config = default_channel_config()
    label = dict(zip(channel_config.names, (0.333, 0.333, 0.333, 0.0), strict=True))
    model = fit([("one", label), ("two", label)], channel_config)
    assert list(model.predict("one").values()) == [0.4, 0.3, 0.3, 0.0]


def test_more_label_vectors_than_candidates() -> None:
    channel_config = channel_config_of(4, 0.01)
    rng = random.Random(5)  # noqa: S311 -- made-up data
    examples: list[Example] = []
    for number in range(300):
        values = [rng.random() for _ in channel_config.names]
        weights = {
            name: value / sum(values) for name, value in zip(channel_config.names, values, strict=True)
        }
        examples.append((f"query {number}", weights))
    model = fit(examples, channel_config)
    assert len(model.parts.candidates) == MOST_CANDIDATES
    assert_on_grid(model.predict("query 7"), channel_config)


@pytest.mark.parametrize("count", [1, 2, 100])
def test_small_sets(count: int) -> None:
    channel_config = default_channel_config()
    assert_on_grid(
        fit(examples_of(channel_config, count), channel_config).predict("anything"), channel_config
    )


def test_constant_labels_give_that_label() -> None:
    channel_config = default_channel_config()
    label = dict(zip(channel_config.names, (0.2, 0.1, 0.5, 0.2), strict=True))
    model = fit([(f"query number {number}", label) for number in range(100)], channel_config)
    assert model.predict("something else") == label
    assert "close to its average" in model.explain("query number 3")


def test_copies_with_different_labels_count_as_often_as_they_occur() -> None:
    channel_config = channel_config_of(2)
    often, seldom = {"channel_0": 0.9, "channel_1": 0.1}, {"channel_0": 0.1, "channel_1": 0.9}
    model = fit(
        [("same query", often)] * 3 + [("Same  query", often), ("same query", seldom)], channel_config
    )
    assert model.predict("same query") == often


def test_no_example_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing to learn from"):
        fit([], default_channel_config())


@pytest.mark.parametrize(
    "values", [(0.5, 0.5), (0, 0, 0, 0), (-0.1, 0.5, 0.5, 0.1), (math.nan, 0, 0, 1), (math.inf, 0, 0, 0)]
)
def test_label_that_is_not_weights_is_refused(values: tuple[float, ...]) -> None:
    channel_config = default_channel_config()
    with pytest.raises(BadInput, match="label"):
        fit([("query", dict(zip(channel_config.names, values, strict=False)))], channel_config)


def test_same_examples_in_any_order_give_the_same_file(tmp_path: Path) -> None:
    channel_config = default_channel_config()
    examples = [*examples_of(channel_config, 200), *examples_of(channel_config, 50), *made_up(200)]
    fit(examples, channel_config).save(tmp_path / "first")
    for seed in range(3):
        random.Random(seed).shuffle(examples)  # noqa: S311 -- an order
        fit(iter(examples), channel_config).save(tmp_path / "other")
        assert (tmp_path / "other").read_bytes() == (tmp_path / "first").read_bytes()


def test_saved_and_loaded_is_the_same_student(model: LinearModel, tmp_path: Path) -> None:
    path = tmp_path / "model"
    model.save(path)
    again = load(path)
    for query, _ in examples_of(default_channel_config(), 50, seed=4):
        assert again.predict(query) == model.predict(query)
        assert again.explain(query) == model.explain(query)
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@settings(max_examples=300, deadline=None)
@given(query=st.text(alphabet=st.characters(), max_size=60))
def test_any_text_is_answered_and_explained(model: LinearModel, query: str) -> None:
    assert_on_grid(model.predict(query), default_channel_config())
    assert model.explain(query).endswith(".")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   \t\n",
        "\x00",
        "夜の東京タワーの映像",
        "صوت المطر",
        "ночной город",
        "नमस्ते",
        "🎬🎬",
        "\ud800",
        "﷽" * 3000,
        "a" * 10**6,
    ],
    ids=[
        "empty",
        "blank",
        "nul",
        "japanese",
        "arabic",
        "cyrillic",
        "hindi",
        "emoji",
        "surrogate",
        "ligatures",
        "long",
    ],
)
def test_unusual_queries(model: LinearModel, query: str) -> None:
    assert_on_grid(model.predict(query), default_channel_config())
    assert model.explain(query)


@pytest.mark.parametrize(
    ("one", "other"),
    [("夜景{}東京", "対談{}先生"), ("город {} ночью", "песня {} громко"), ("صورة {}", "صوت {}")],
)
def test_learns_other_scripts(one: str, other: str) -> None:
    channel_config = channel_config_of(2)
    label, opposite = {"channel_0": 0.9, "channel_1": 0.1}, {"channel_0": 0.1, "channel_1": 0.9}
    texts = [chr(0x3041 + number) for number in range(60)]
    model = fit(
        [(one.format(text), label) for text in texts] + [(other.format(text), opposite) for text in texts],
        channel_config,
    )
    assert model.predict(one.format("新")) == label
    assert model.predict(other.format("新")) == opposite


def test_unusual_training_queries_survive_the_file(tmp_path: Path) -> None:
    channel_config = channel_config_of(2)
    label = {"channel_0": 0.9, "channel_1": 0.1}
    queries = [
        "",
        "\ud800 lone",
        "\ud800 lone half",
        "夜の東京",
        "夜の東京タワー",
        "\x02 \x03name x",
        "\x02 \x03name y",
    ]
    model = fit([(query, label) for query in queries], channel_config)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").predict("\ud800 lone") == label


def test_only_the_start_of_a_very_long_query_is_read() -> None:
    words, characters = features("x1 " * LONGEST_QUERY + "marker")
    assert "marker" not in words
    assert sum(map(len, characters)) < LONGEST_QUERY


def test_explanation_names_the_words_that_moved_each_channel() -> None:
    channel_config = channel_config_of(3)
    leads = {"drums": (0.8, 0.1, 0.1), "sunset": (0.1, 0.8, 0.1), "speech": (0.1, 0.1, 0.8)}
    examples = [
        (f"{word} {other}", dict(zip(channel_config.names, label, strict=True)))
        for word, label in leads.items()
        for other in ("old", "near", "late", "small", "quick")
    ]
    assert fit(examples, channel_config).explain("the late Drums") == (
        "channel_0 0.8 (raised by 'drums'), channel_1 0.1 (lowered by 'drums'), "
        "channel_2 0.1 (lowered by 'drums')."
    )


def _flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


@pytest.mark.parametrize(
    "spoil",
    [
        _flip,
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda _: b"PK\x03\x04 an archive",
        lambda _: json.dumps({"channels": []}).encode(),
        lambda content: content.replace(b"linear 1", b"linear 9", 1),
        lambda _: MAGIC + b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
    ],
    ids=["bit", "cut", "longer", "half", "empty", "archive", "json", "version", "hollow"],
)
def test_damaged_or_foreign_file_is_bad_input(model: LinearModel, tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "model.model"
    model.save(path)
    assert callable(spoil)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadInput, match=r"model\.model"):
        load(path)


def test_missing_file_or_folder_is_bad_input(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            load(path)


def test_inference_needs_only_the_standard_library(model: LinearModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    script = (
        "import sys; from distillery.linear.model import load; "
        f"load({str(tmp_path / 'model')!r}).explain('red then'); "
        "print(sorted({'numpy', 'scipy', 'sklearn', 'boto3', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_query_takes_under_half_a_millisecond_and_the_file_is_under_three_megabytes(
    tmp_path: Path,
) -> None:
    model = fit(made_up(2_000), default_channel_config())
    model.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 3_000_000
    taken: list[float] = []
    for query, _ in made_up(500):
        start = time.perf_counter()
        model.predict(query)
        taken.append(time.perf_counter() - start)
    assert sorted(taken)[len(taken) // 2] < 0.0005
