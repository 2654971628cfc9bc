"""Checks that the AWS SDK of Lambda's runtime has every operation and parameter that the package uses.

The layer holds no SDK. The runtime has one, whose version depends on region and time and is not published.
So the package uses only what an old release, the floor, offers. `runtime_sdk.json` lists the operations that
the package calls, and every name that their parameters may have, from that release's service models. The
build fails when the package uses anything else. `python -m tools.runtime_sdk` writes the file again.

The floor is the first release with on-demand deployments of custom models, which the package needs.
Standard library only, because the layer's build runs it.
"""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

FLOOR = Path(__file__).with_name("runtime_sdk.json")
BY_LIBRARIES = {
    # Powertools: the idempotency table, and cached reads of parameters.
    "dynamodb": ("put_item", "get_item", "update_item", "delete_item"),
    "ssm": ("get_parameter",),
    # The calls that upload_fileobj and copy make.
    "s3": (
        "put_object",
        "head_object",
        "copy_object",
        "upload_part_copy",
        "create_multipart_upload",
        "upload_part",
        "complete_multipart_upload",
        "abort_multipart_upload",
    ),
}
HELPERS = frozenset({"copy", "upload_fileobj", "get_paginator", "exceptions", "meta"})
"""Attributes of a client that are not operations."""
NESTED_NAMES_IN = "bedrock"
"""Folder whose dictionaries are requests; the names in them are checked too."""


@dataclass
class Calls:
    """The calls to one service: operation (snake case) -> parameter names, and the names nested in them."""

    operations: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    nested: set[str] = field(default_factory=set)


def _key(operation: str) -> str:
    return operation.replace("_", "").lower()


def calls_of(package: Path) -> dict[str, Calls]:
    """Service -> every operation that the package's code, or a library that it uses, calls."""
    found: dict[str, Calls] = defaultdict(Calls)
    for service, operations in BY_LIBRARIES.items():
        for operation in operations:
            found[service].operations[operation] = set()
    for file in sorted(package.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        services = {text for call in _calls(tree, "client") if (text := _first_text(call))}
        for service in services:
            _add(found[service], tree)
            if file.parent.name == NESTED_NAMES_IN:
                found[service].nested |= _dictionary_keys(tree)
    return found


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
    ]


def _first_text(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _add(calls: Calls, tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        if not (isinstance(owner, ast.Attribute) and owner.attr == "_client"):
            continue
        if node.func.attr == "get_paginator":
            calls.operations[_first_text(node)] |= set()
        elif node.func.attr not in HELPERS:
            calls.operations[node.func.attr] |= {word.arg for word in node.keywords if word.arg}


def _dictionary_keys(tree: ast.AST) -> set[str]:
    return {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def lacking(package: Path, floor: Path = FLOOR) -> list[str]:
    """One sentence for each operation, parameter or name that the package uses and the floor lacks."""
    known = json.loads(floor.read_text("utf-8"))
    release = f"botocore {known['botocore']}"
    fix = "Do not use it, or raise the floor (tools/runtime_sdk.py) once every runtime has a newer SDK."
    problems = []
    for service, calls in sorted(calls_of(package).items()):
        offered = {
            _key(name): (name, set(names)) for name, names in known["operations"].get(service, {}).items()
        }
        names_offered: set[str] = set()
        for operation, parameters in sorted(calls.operations.items()):
            if _key(operation) not in offered:
                problems.append(f"{service}.{operation} is not known to be in {release}. {fix}")
                continue
            name, names = offered[_key(operation)]
            names_offered |= names
            problems += [
                f"{service}.{name} has no parameter {parameter} in {release}. {fix}"
                for parameter in sorted(parameters - names)
            ]
        problems += [
            f"No operation of {service} that is called knows the name {name} in {release}. {fix}"
            for name in sorted(calls.nested - names_offered)
        ]
    return problems
