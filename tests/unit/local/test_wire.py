"""Parsing of requests and serialisation of responses in the Bedrock emulator, without a socket."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from botocore.loaders import Loader

from local.bedrock.dataset import read_dataset
from local.bedrock.errors import AwsError, JobFailed
from local.bedrock.faults import CallFault, Faults
from local.bedrock.settings import Settings
from local.bedrock.wire import Request, Wire

JOB = (
    "arn:aws:bedrock:us-east-1:123456789012:model-customization-job/amazon.nova-micro-v1:0:128k/abcdefghijkl"
)


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


def request(method: str, path: str, body: Any = None, *, query: str = "") -> Request:
    """Return a request as the server passes it on."""
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path, query, {}, raw)


def read(wire: Wire, incoming: Request) -> tuple[str, dict[str, Any]]:
    """Return the name and parameters of a request's operation."""
    operation, labels = wire.route(incoming)
    return operation.name, wire.read(operation, labels, incoming)


def problem(wire: Wire, incoming: Request) -> str:
    """Return the message with which a request is refused."""
    with pytest.raises(AwsError) as caught:
        read(wire, incoming)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_every_operation_is_routed_to_itself(wire: Wire) -> None:
    for service in ("bedrock", "bedrock-runtime"):
        for name, spec in Loader().load_service_model(service, "service-2")["operations"].items():
            path = spec["http"]["requestUri"].split("?")[0]
            filled = "/".join("some-id" if part.startswith("{") else part for part in path.split("/"))
            assert wire.route(request(spec["http"]["method"], filled))[0].name == name


def test_encoded_arn_is_one_label(wire: Wire) -> None:
    name, params = read(wire, request("GET", f"/model-customization-jobs/{quote(JOB, safe='')}"))
    assert (name, params) == ("GetModelCustomizationJob", {"jobIdentifier": JOB})


def test_unknown_address_is_an_unknown_operation(wire: Wire) -> None:
    with pytest.raises(AwsError) as caught:
        wire.route(request("GET", "/nothing"))
    assert caught.value.code == "UnknownOperationException"
    assert wire.error(caught.value).status == 404


def test_query_parameters_are_converted_to_their_types(wire: Wire) -> None:
    query = "maxResults=7&creationTimeAfter=2026-01-02T03%3A04%3A05Z&sortOrder=Ascending"
    _, params = read(wire, request("GET", "/model-customization-jobs", query=query))
    assert params["maxResults"] == 7
    assert params["creationTimeAfter"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("maxResults=seven", "'maxResults' failed to satisfy constraint: Member must be of type Integer"),
        ("maxResults=1001", "less than or equal to 1000"),
        ("maxResults=0", "greater than or equal to 1"),
        ("statusEquals=Done", "enum value set"),
        ("creationTimeAfter=soon", "type Timestamp"),
        ("colour=red", "'colour' failed to satisfy constraint: Member is not known"),
    ],
)
def test_invalid_query_parameters_are_refused(wire: Wire, query: str, part: str) -> None:
    assert part in problem(wire, request("GET", "/model-customization-jobs", query=query))


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"{", "not JSON"),
        ([], "not a JSON object"),
        ({}, "2 validation errors detected: Value null at"),
        ({"modelDeploymentName": 5, "modelArn": "x"}, "type String"),
        ({"modelDeploymentName": "a", "modelArn": "x", "colour": "red"}, "'colour'"),
        ({"modelDeploymentName": "a", "modelArn": "x", "tags": {}}, "type List"),
        ({"modelDeploymentName": "a", "modelArn": "x", "tags": [{"key": "k"}]}, "'tags.1.member.value'"),
        ({"modelDeploymentName": "a", "modelArn": "x", "tags": ["k"]}, "type Structure"),
        ({"modelDeploymentName": "a--b", "modelArn": "x"}, "regular expression pattern"),
    ],
)
def test_invalid_bodies_are_refused(wire: Wire, body: Any, part: str) -> None:
    incoming = request("POST", "/model-customization/custom-model-deployments", body)
    assert part in problem(wire, incoming)


def test_unions_take_exactly_one_member(wire: Wire) -> None:
    content = {"messages": [], "system": [{"text": "a", "cachePoint": {"type": "default"}}]}
    assert "Exactly one" in problem(wire, request("POST", "/model/some-model/converse", content))


def test_body_of_invoke_model_is_not_parsed(wire: Wire) -> None:
    _, params = read(wire, request("POST", "/model/some-model/invoke", b"\x00anything"))
    assert params["body"] == b"\x00anything"


def test_names_with_many_hyphens_are_matched_quickly(wire: Wire) -> None:
    began = time.monotonic()
    with pytest.raises(AwsError):
        read(wire, request("GET", "/model-customization-jobs/a" + "-" * 900 + "_"))
    assert time.monotonic() - began < 1


def test_response_has_timestamps_and_status(wire: Wire) -> None:
    operation, _ = wire.route(request("GET", "/custom-models/x"))
    model = "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-micro-v1:0:128k/abcdefghijkl"
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    response = wire.response(operation, {"modelArn": model, "modelName": "m", "creationTime": at})
    assert response.status == 200
    assert json.loads(response.body)["creationTime"] == "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"jobArn": "not-an-arn"},
        {"jobArn": JOB, "colour": "red"},
        {"jobArn": 5},
    ],
)
def test_response_that_does_not_fit_its_shape_is_a_bug(wire: Wire, answer: dict[str, Any]) -> None:
    operation, _ = wire.route(request("POST", "/model-customization-jobs"))
    assert wire.response(operation, {"jobArn": JOB}).status == 201
    with pytest.raises(ValueError, match="does not fit its shape"):
        wire.response(operation, answer)


def test_errors_have_code_message_and_status(wire: Wire) -> None:
    for code, status in (
        ("ValidationException", 400),
        ("AccessDeniedException", 403),
        ("ThrottlingException", 429),
        ("ModelErrorException", 424),
        ("ModelTimeoutException", 408),
        ("ServiceUnavailableException", 503),
    ):
        response = wire.error(AwsError(code, "why"))
        assert (response.status, response.headers["x-amzn-errortype"]) == (status, code)
        assert json.loads(response.body) == {"message": "why"}


def test_fault_affects_each_nth_call_and_ends() -> None:
    fault = CallFault(error="ThrottlingException", every=2, times=2, model="nova")
    affected = [fault.applies("Converse", "amazon.nova-pro-v1:0") for _ in range(6)]
    assert affected == [False, True, False, True, False, False]
    assert not fault.applies("InvokeModel", "amazon.nova-pro-v1:0")
    assert Faults(calls=[fault]).for_call("Converse", "anthropic.claude") is None


def test_settings_come_from_the_environment() -> None:
    assert Settings.from_environment({"DISTILLERY_JOB_SECONDS": "0.5"}).job_seconds == 0.5
    with pytest.raises(ValueError, match="latency_scale"):
        Settings.from_environment({"DISTILLERY_LATENCY_SCALE": "2"})


def test_last_user_turn_and_its_answer_are_the_example() -> None:
    turns = [
        {"role": role, "content": [{"text": text}]}
        for role, text in (("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four"))
    ]
    raw = json.dumps({"schemaVersion": "bedrock-conversation-2024", "messages": turns}).encode()
    (example, *_) = read_dataset([raw] * 100)
    assert (example.query, example.label) == ("three", "four")
    with pytest.raises(JobFailed, match="more than 15000"):
        read_dataset([raw] * 15_001)
