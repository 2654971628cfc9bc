"""The sentences for values that a model refuses: for YAML files, messages and environment variables."""

from __future__ import annotations

import re
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from distillery.cost.prices import parse_prices
from distillery.errors import BadInput, Permanent
from distillery.generation.spec import Spec, parse_spec
from distillery.serving.messages import parse_message
from distillery.settings import LabelSettings, RunSettings
from distillery.task.channels import parse_channel_config
from distillery.validation_messages import LONGEST_PART, first_problem, problems
from distillery.yaml_loader import LARGEST_FILE, parse_yaml
from tests.specs import small_spec


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=2, max_length=4)] = "ab"


Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


class Everything(BaseModel):
    """One field for each kind of value that a model of this product has."""

    model_config = ConfigDict(extra="forbid")

    whole: int = Field(default=5, ge=1, le=15_000)
    number: float = Field(default=0.5, gt=0, lt=1)
    finite: float = Field(default=1.0, allow_inf_nan=False)
    step: float = Field(default=1.0, multiple_of=0.5)
    text: str = ""
    code: Annotated[str, StringConstraints(pattern="^[a-z]+$")] = "a"
    flag: bool = False
    day: date = date(2026, 1, 1)
    moment: AwareDatetime | None = None
    colour: Colour = Colour.RED
    verdict: Literal["yes", "no"] = "yes"
    names: Texts = ("a",)
    few: Annotated[list[int], Field(max_length=2)] = Field(default_factory=list)
    shares: dict[str, float] = Field(default_factory=dict)
    by_colour: dict[Colour, int] = Field(default_factory=dict)
    inner: Inner = Inner()
    either: Texts | dict[str, Texts] = ("a",)
    prime: int = 2

    @field_validator("prime")
    @classmethod
    def _check_prime(cls, value: int) -> int:
        if value not in {2, 3, 5}:
            raise ValueError("the number is not a small prime")
        return value


class Required(BaseModel):
    needed: int


def problem(content: Any, model: type[BaseModel] = Everything) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(content)
    return first_problem(caught.value, "the file")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"whole": "x"}, "whole must be a whole number"),
        ({"whole": 1.5}, "whole must be a whole number"),
        ({"whole": [1]}, "whole must be a whole number"),
        ({"whole": 0}, "whole must be at least 1"),
        ({"whole": 15_001}, "whole must be at most 15,000"),
        ({"number": "x"}, "number must be a number"),
        ({"number": {}}, "number must be a number"),
        ({"number": 0}, "number must be greater than 0"),
        ({"number": 1}, "number must be less than 1"),
        ({"finite": float("inf")}, "finite must be a finite number"),
        ({"step": 0.3}, "step must be a multiple of 0.5"),
        ({"text": 5}, "text must be a text"),
        ({"code": "\ud800"}, "code must be a text of valid Unicode characters"),
        ({"code": "A"}, "code must match the pattern ^[a-z]+$"),
        ({"flag": "perhaps"}, "flag must be true or false"),
        ({"flag": []}, "flag must be true or false"),
        ({"day": "soon"}, "day must be a date such as 2026-11-23"),
        ({"day": datetime.fromisoformat("2026-01-01T05:00")}, "day must be a date such as 2026-11-23"),
        ({"day": []}, "day must be a date such as 2026-11-23"),
        (
            {"moment": datetime.fromisoformat("2026-01-01T00:00")},
            "moment must be a date and time with its time zone, such as 2026-11-23T08:00:00Z",
        ),
        ({"colour": "green"}, "colour must be 'red' or 'blue'"),
        ({"verdict": "maybe"}, "verdict must be 'yes' or 'no'"),
        ({"names": "a"}, "names must be a list"),
        ({"names": []}, "names must have at least 1 entry"),
        ({"names": ["a", ""]}, "names.1 must have at least 1 character"),
        ({"few": [1, 2, 3]}, "few must have at most 2 entries"),
        ({"shares": [1]}, "shares must be a mapping of names to values"),
        ({"shares": {"a": "x"}}, "shares.a must be a number"),
        ({"shares": {5: 0.5}}, "every key of shares must be a text"),
        ({"shares": {date(2026, 1, 1): 0.5}}, "every key of shares must be a text"),
        ({"by_colour": {"green": 1}}, "by_colour.green: the key must be 'red' or 'blue'"),
        ({"by_colour": {None: 1}}, "every key of by_colour must be 'red' or 'blue'"),
        ({"inner": "x"}, "inner must be a mapping of names to values"),
        ({"inner": {"name": "a"}}, "inner.name must have at least 2 characters"),
        ({"inner": {"name": "abcde"}}, "inner.name must have at most 4 characters"),
        ({"inner": {"colour": 1}}, "inner.colour is not a known key"),
        ({"either": 5}, "either must be a list or a mapping of names to values"),
        ({"either": [""]}, "either.0 must have at least 1 character"),
        ({"either": []}, "either must have at least 1 entry"),
        ({"either": {"a": "x"}}, "either.a must be a list"),
        ({"prime": 4}, "prime: the number is not a small prime"),
        ({5: 1}, "every key of the file must be a text"),
        ([], "the file must be a mapping of names to values"),
        (None, "the file must be a mapping of names to values"),
    ],
)
def test_every_kind_of_error_has_a_plain_sentence(content: Any, sentence: str) -> None:
    assert problem(content) == sentence


def test_missing_value_is_named() -> None:
    assert problem({}, Required) == "needed is missing"


def test_error_type_that_is_not_known_gets_a_general_sentence() -> None:
    class Odd(BaseModel):
        value: complex

    assert problem({"value": "x"}, Odd) == "value has a value that cannot be used here"


def test_long_or_unprintable_part_of_a_place_is_shortened_and_escaped() -> None:
    sentence = problem({"shares": {"a\nb" + "x" * 200: "y"}})
    assert sentence.startswith("shares.a\\nbxxx")
    assert sentence.endswith("... must be a number")
    assert len(sentence) < LONGEST_PART + 40


def test_all_problems_are_listed_in_the_given_spelling() -> None:
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate({"whole": 0, "either": 5, "text": 5})
    assert list(problems(caught.value, "the file", str.upper)) == [
        "WHOLE must be at least 1",
        "TEXT must be a text",
        "EITHER must be a list or a mapping of names to values",
    ]


# Where the sentences are used

PARSERS = {"spec": parse_spec, "price list": parse_prices, "channel configuration": parse_channel_config}
PYTHON_WORD = re.compile(
    r"pydantic|Input should|\b(Spec|TemplateGroup|HardShares|PriceList|Price|Customising|ChannelConfig|"
    r"Channel|dict|tuple|Dictionary|Tuple|str|int|float|bool|NoneType|None|datetime|validation|instance|Error|Python)\b"
)
KEYS = [
    *Spec.model_fields,
    "as_of",
    "currency",
    "models",
    "customising",
    "ids",
    "input",
    "subject",
    "channels",
]
KEYS += ["fallback", "label_grid", "name", "description", "typos", "one_word", "query", "zz"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("xyz {}\n", max_size=6)
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=3)
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.integers(0, 3) | st.none() | st.dates(), inner, max_size=5
        )
    ),
    max_leaves=12,
)


def refusals(content: str) -> dict[str, BadInput]:
    """The errors with which the parsers refuse a document, by the name of the file."""
    found = {}
    for name, parse in PARSERS.items():
        try:
            parse(content)
        except BadInput as error:
            found[name] = error
    return found


def check_refusals(content: str) -> None:
    """Every parser reads the document or refuses it in one plain sentence with a fix."""
    for name, error in refusals(content).items():
        assert error.message.startswith(f"The {name} ")
        assert error.message.endswith(".")
        assert not PYTHON_WORD.search(error.message), error.message
        assert len(error.message.splitlines()) == 1
        assert error.fix


@given(documents)
def test_any_document_is_read_or_refused_without_a_word_of_python(document: Any) -> None:
    check_refusals(yaml.safe_dump(document))


@given(st.sampled_from(sorted(small_spec())), documents)
def test_spec_with_any_value_in_one_place_is_read_or_refused_without_a_word_of_python(
    key: str, value: Any
) -> None:
    check_refusals(yaml.safe_dump(small_spec() | {key: value}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "The thing is not UTF-8 text. Save it as UTF-8."),
        ("a: [", "The thing is not YAML: "),
        ("a: !colour red", "The thing is not YAML: tags are not supported in line 1. See the form."),
        ("a: &x [1]\nb: *x", "anchors and aliases are not supported in line 1. See the form."),
        ("needed: 1\nneeded: 2", "the key 'needed' is used twice in line 2. See the form."),
        ("#" * (LARGEST_FILE + 1), "The thing is larger than 1,000,000 bytes. Shorten it."),
        ("[" * 5_000, "The thing is not YAML: it is nested too deeply. See the form."),
        ("needed: 2001-99-99", "needed must be a whole number"),
        ("needed: " + "9" * 5_000, "needed must be a whole number"),
        ("needed: !!int '1'", "tags are not supported in line 1"),
        ("needed: x", "The thing cannot be used: needed must be a whole number. See the form."),
    ],
)
def test_file_that_cannot_be_read_is_refused_in_one_sentence(content: str | bytes, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_yaml(Required, content, what="thing", fix="See the form.")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "query is missing"),
        ('{"query": 5}', "query must be a text"),
        ('{"query": " "}', "query must have at least 1 character"),
        ('{"queries": []}', "queries must have at least 1 entry"),
        ('{"queries": 5}', "queries must be a list"),
    ],
)
def test_query_message_that_is_refused_names_the_place(body: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_message(body, "m")
    assert caught.value.message == f"The message cannot be answered: {message}."


@pytest.mark.parametrize("body", ["5", "null", "true", '"text"'])
def test_query_message_that_is_not_an_object_is_refused(body: str) -> None:
    with pytest.raises(BadInput, match="not a JSON object"):
        parse_message(body, "m")


def test_queries_of_one_message_may_all_lack_an_id() -> None:
    queries = parse_message('{"queries": [{"query": "a"}, {"query": "b"}]}', "m").queries
    assert [query.query_id for query in queries] == ["m.1", "m.2"]
    assert len(parse_message('{"queries": [{"query": "a"}]}', "m").queries) == 1


def test_every_wrong_environment_variable_is_named() -> None:
    given = {"RUNS_TABLE": "t", "EVENT_BUS": "b", "WATCH_QUEUE_URL": "u", "POLL_INTERVAL_SECONDS": "0"}
    with pytest.raises(Permanent) as caught:
        RunSettings.load(given | {"APPROVAL_DEADLINE_SECONDS": "soon"})
    assert caught.value.message == (
        "The function's environment variables cannot be used: DEAD_LETTER_QUEUE_URL is missing; "
        "POLL_INTERVAL_SECONDS must be at least 1; APPROVAL_DEADLINE_SECONDS must be a whole number."
    )
    assert caught.value.fix


def test_settings_are_read_from_variables_in_capitals_and_others_are_ignored() -> None:
    names = [name for name, field in LabelSettings.model_fields.items() if field.is_required()]
    loaded = LabelSettings.load({name.upper(): name for name in names} | {"GIVE_UP_AFTER": "3", "HOME": "/"})
    assert loaded.give_up_after == 3
    assert all(getattr(loaded, name) == name for name in names)
