"""The price list: known and unknown prices, the cost of 1,000 queries, and a stack's own list."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.aws.bucket import Bucket
from distillery.aws.clients import Missing
from distillery.aws.stack_config import stack_prices
from distillery.cost.prices import Price, parse_prices, price_list
from distillery.errors import BadInput

TOKENS = st.integers(0, 10_000_000)


@pytest.mark.parametrize(
    ("model_id", "price"),
    [
        ("amazon.nova-micro-v1:0", (0.035, 0.14)),
        ("amazon.nova-micro-v1:0:128k", (0.035, 0.14)),
        ("us.amazon.nova-micro-v1:0", (0.035, 0.14)),
        ("amazon.nova-pro-v1:0", (0.8, 3.2)),
        ("us.amazon.nova-premier-v1:0", (2.5, 12.5)),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", (1.0, 5.0)),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", (1.1, 5.5)),
    ],
)
def test_model_is_found_by_foundation_id_customization_id_or_profile(
    model_id: str, price: tuple[float, float]
) -> None:
    found = price_list().find(model_id)
    assert found is not None
    assert (found.input, found.output) == price


@pytest.mark.parametrize(
    "model_id",
    [
        "amazon.nova-9-v1:0",
        "eu.amazon.nova-micro-v1:0",
        "",
        "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abc",
    ],
)
def test_model_that_is_not_listed_has_no_price(model_id: str) -> None:
    assert price_list().find(model_id) is None


def test_custom_model_has_its_own_price_or_none() -> None:
    micro = price_list().find("amazon.nova-micro-v1:0:128k", customised=True)
    assert micro is not None
    assert micro.customised
    assert price_list().find("amazon.nova-pro-v1:0:300k", customised=True) is None


def test_every_price_has_a_source_and_the_list_has_a_date() -> None:
    prices = price_list()
    assert all(price.source for price in prices.models)
    assert prices.as_of <= date(2100, 1, 1)
    named = [(model_id, price.customised) for price in prices.models for model_id in price.ids]
    assert len(named) == len(set(named)), "a model has one price"


def test_cost_of_1000_queries_follows_from_the_tokens() -> None:
    price = Price(ids=("m",), input=1.0, output=5.0, source="a test")
    # 100 calls of 500 tokens in and 100 out: $0.10 for the 100.
    assert price.cost_per_1000(50_000, 10_000, 100) == pytest.approx(1.0)


@given(first=st.tuples(TOKENS, TOKENS), second=st.tuples(TOKENS, TOKENS))
def test_cost_adds_up_and_is_never_negative(first: tuple[int, int], second: tuple[int, int]) -> None:
    price = Price(ids=("m",), input=0.035, output=0.14, source="a test")
    together = price.cost(first[0] + second[0], first[1] + second[1])
    assert together == pytest.approx(price.cost(*first) + price.cost(*second))
    assert together >= 0


# A stack's own list


def listed(**changes: str) -> str:
    """A price list of one model as text, with changes."""
    price = {"ids": "[m]", "input": "1", "output": "1", "source": "s"} | changes
    inner = ", ".join(f"{name}: {value}" for name, value in price.items())
    return f"as_of: 2026-01-01\ncurrency: USD\nmodels: [{{{inner}}}]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not YAML"),
        ("", "the file must be a mapping of names to values"),
        (listed().replace("2026-01-01", "soon"), "as_of must be a date such as 2026-11-23"),
        (listed(input="-1"), "models.0.input must be at least 0"),
        (listed(output=".nan"), "models.0.output must be a number"),
        (listed(source="''"), "models.0.source must have at least 1 character"),
        (listed(ids="[m, m]"), "two prices"),
        (listed() + "customising: [{ids: [m], source: s}]\n", "customising.0.training is missing"),
    ],
)
def test_invalid_price_list_is_refused_in_one_sentence_with_the_place(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_prices(text)
    assert message in caught.value.message
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("student", "training"), [("amazon.nova-micro-v1:0:128k", 1.0), ("amazon.nova-lite-v1:0:300k", None)]
)
def test_shipped_prices_of_training_and_storage(student: str, training: float | None) -> None:
    known = price_list().find_customising(student)
    assert known is not None
    assert (known.training, known.storage) == (training, 1.95)
    assert known.source


def test_model_without_a_price_of_customising_is_unknown() -> None:
    assert price_list().find_customising("amazon.nova-2-lite-v1:0") is None


class OneObjectBucket(Bucket):
    """A bucket with one object at most."""

    def __init__(self, content: bytes | None) -> None:
        self._content = content

    def read(self, key: str) -> bytes:
        if self._content is None or key != "config/prices.yaml":
            raise Missing(key)
        return self._content


def test_stack_without_its_own_list_uses_the_shipped_one() -> None:
    assert stack_prices(OneObjectBucket(None)) is price_list()


def test_stacks_own_list_replaces_the_shipped_one_as_a_whole() -> None:
    own = b"as_of: 2027-01-02\ncurrency: USD\nmodels: [{ids: [m], input: 1, output: 2, source: a bill}]\n"
    prices = stack_prices(OneObjectBucket(own))
    assert prices.as_of == date(2027, 1, 2)
    assert prices.find("m") is not None
    assert prices.find("amazon.nova-pro-v1:0") is None


@pytest.mark.parametrize("content", [b"\xff", b"as_of: soon"])
def test_invalid_list_of_a_stack_is_refused_naming_its_key(content: bytes) -> None:
    with pytest.raises(BadInput, match=r"config/prices\.yaml"):
        stack_prices(OneObjectBucket(content))
