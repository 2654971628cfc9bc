"""Converts between HTTP and operations with botocore's service models `bedrock` and `bedrock-runtime`."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from botocore.loaders import Loader

from local.bedrock.errors import AwsError, invalid
from local.bedrock.shapes import Mistyped, Shapes, from_text

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICES = ("bedrock", "bedrock-runtime")
UNMODELLED_STATUS = {
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "InvalidClientTokenId": 403,
    "MissingAuthenticationTokenException": 403,
    "InvalidSignatureException": 403,
    "SignatureDoesNotMatch": 403,
    "IncompleteSignature": 403,
    "ExpiredTokenException": 403,
    "ExpiredToken": 403,
}


@dataclass(frozen=True)
class Operation:
    """One operation of a service model."""

    service: str
    name: str
    method: str
    path: re.Pattern[str]
    success: int
    input: str | None
    output: str | None
    literals: int


@dataclass(frozen=True)
class Request:
    """An HTTP request. `raw_path` and `query` are percent-encoded."""

    method: str
    raw_path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """Parses requests and serialises responses. Refuses what the service model does not describe."""

    def __init__(self) -> None:
        loader = Loader()
        self._shapes: dict[str, Shapes] = {}
        self._operations: list[Operation] = []
        self._statuses = dict(UNMODELLED_STATUS)
        for service in SERVICES:
            model = loader.load_service_model(service, "service-2")
            self._shapes[service] = Shapes(model["shapes"])
            for shape_name, shape in model["shapes"].items():
                if shape.get("exception"):
                    self._statuses[shape_name] = shape["error"]["httpStatusCode"]
            self._operations += [_operation(service, spec) for spec in model["operations"].values()]

    def route(self, request: Request) -> tuple[Operation, dict[str, str]]:
        """Return the operation of a request and its path labels. Raises UnknownOperationException."""
        found = [
            (operation, match)
            for operation in self._operations
            if operation.method == request.method and (match := operation.path.fullmatch(request.raw_path))
        ]
        if not found:
            raise AwsError(
                "UnknownOperationException",
                f"Bedrock has no operation for {request.method} {request.raw_path}.",
            )
        operation, match = max(found, key=lambda pair: pair[0].literals)
        return operation, {name: unquote(text) for name, text in match.groupdict().items()}

    def read(self, operation: Operation, labels: Mapping[str, str], request: Request) -> dict[str, Any]:
        """Return the operation's parameters. Raises one ValidationException that names all violations."""
        shapes = self._shapes[operation.service]
        if operation.input is None:
            return {}
        shape = shapes[operation.input]
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        problems: list[str] = []
        params: dict[str, Any] = {}
        for name, spec in shape["members"].items():
            text = _located(spec, name, labels, query, request.headers)
            if text is not None:
                params[name] = _read_text(shapes, spec["shape"], text, name, problems)
        problems += [f"Value at '{name}' failed to satisfy constraint: Member is not known" for name in query]
        params |= self._read_body(shapes, shape, operation, request, problems)
        located = {name for name, spec in shape["members"].items() if "location" in spec}
        problems += [
            f"Value null at '{name}' failed to satisfy constraint: Member must not be null"
            for name in shape.get("required", [])
            if name in located and name not in params
        ]
        if problems:
            plural = "s" if len(problems) > 1 else ""
            raise invalid(f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}")
        return params

    def _read_body(
        self, shapes: Shapes, shape: Any, operation: Operation, request: Request, problems: list[str]
    ) -> dict[str, Any]:
        payload = shape.get("payload")
        if payload:
            shapes.constrain(shape["members"][payload]["shape"], request.body, payload, problems)
            return {payload: request.body}
        in_body = {name: spec for name, spec in shape["members"].items() if "location" not in spec}
        try:
            content = json.loads(request.body) if request.body else {}
        except ValueError as error:
            raise invalid("The request body is not JSON.") from error
        if not isinstance(content, dict):
            raise invalid("The request body is not a JSON object.")
        if not in_body and not content:
            return {}
        result: dict[str, Any] = shapes.read(operation.input or "", content, "", problems)
        stray = sorted(set(result) - set(in_body))
        problems += [f"Value at '{name}' failed to satisfy constraint: Member is not known" for name in stray]
        return result

    def response(self, operation: Operation, result: Mapping[str, Any]) -> Response:
        """Serialise a result. Raises ValueError for a result that does not fit its shape, which is a bug."""
        shapes = self._shapes[operation.service]
        headers = {"content-type": "application/json", "x-amzn-requestid": str(uuid.uuid4())}
        if operation.output is None:
            return Response(operation.success, headers, b"")
        shape = shapes[operation.output]
        payload = shape.get("payload")
        in_headers = {
            name: spec["locationName"]
            for name, spec in shape["members"].items()
            if spec.get("location") == "header" and name in result
        }
        headers |= {header.lower(): str(result[name]) for name, header in in_headers.items()}
        if payload:
            return Response(operation.success, headers, bytes(result[payload]))
        problems: list[str] = []
        body = {name: value for name, value in result.items() if name not in in_headers}
        written = shapes.write(operation.output, body, "", problems)
        if problems:
            raise ValueError(
                f"The response of {operation.name} does not fit its shape: {'; '.join(problems)}"
            )
        return Response(operation.success, headers, json.dumps(written, ensure_ascii=False).encode())

    def error(self, error: AwsError) -> Response:
        """Serialise an error as AWS's JSON services do."""
        headers = {
            "content-type": "application/json",
            "x-amzn-requestid": str(uuid.uuid4()),
            "x-amzn-errortype": error.code,
        }
        status = self._statuses.get(error.code, 400)
        return Response(status, headers, json.dumps({"message": error.message}).encode())


def _operation(service: str, spec: Any) -> Operation:
    template = spec["http"]["requestUri"].split("?")[0]
    parts = re.split(r"\{(\w+)(\+?)\}", template)
    pattern = re.escape(parts[0])
    for name, greedy, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if greedy else '[^/]+'})" + re.escape(literal)
    return Operation(
        service=service,
        name=spec["name"],
        method=spec["http"]["method"],
        path=re.compile(pattern),
        success=spec["http"].get("responseCode", 200),
        input=spec.get("input", {}).get("shape"),
        output=spec.get("output", {}).get("shape"),
        literals=sum(map(len, parts[::3])),
    )


def _located(
    spec: Any, name: str, labels: Mapping[str, str], query: dict[str, str], headers: Mapping[str, str]
) -> str | None:
    """Return the text of a member outside the body; removes a query parameter that is read."""
    place = spec.get("location")
    key = spec.get("locationName", name)
    if place == "uri":
        return labels.get(key)
    if place == "querystring":
        return query.pop(key, None)
    if place == "header":
        return headers.get(key.lower())
    return None


def _read_text(shapes: Shapes, shape_name: str, text: str, name: str, problems: list[str]) -> Any:
    kind = shapes[shape_name]["type"]
    try:
        value = from_text(kind, text)
    except Mistyped:
        problems.append(
            f"Value '{text}' at '{name}' failed to satisfy constraint: Member must be of type {kind.title()}"
        )
        return text
    shapes.constrain(shape_name, value, name, problems)
    return value
