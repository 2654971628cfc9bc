"""Reads YAML files that people write; an unusable file raises BadInput with one sentence and the place.

Scalars are read as they are written: YAML 1.1 would make `no` false, `12:30` 750 and `1.50` 1.5. The model of
the file says what is a number. Anchors and aliases are refused: a short file can expand to gigabytes with
them.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from distillery.errors import BadInput
from distillery.validation_messages import first_problem

ModelT = TypeVar("ModelT", bound=BaseModel)

LARGEST_FILE = 1_000_000
"""Bytes; two hundred times the size of the sample spec."""
LONGEST_KEY = 60
"""Characters of a key that are shown."""


class _Loader(yaml.SafeLoader):
    """Reads every scalar as a text, but nothing and `null`."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 (as the library has it)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it open
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not supported", problem_mark=event.start_mark
            )
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags are not supported", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                problem = f"the key {key.value[:LONGEST_KEY]!r} is used twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)


def parse_yaml(model: type[ModelT], content: str | bytes, *, what: str, fix: str) -> ModelT:
    """Validate a file's content; `what` names the file in the sentence of the BadInput that is raised."""
    try:
        return model.model_validate(_load(content, what, fix))
    except ValidationError as error:
        raise BadInput(f"The {what} cannot be used: {first_problem(error, 'the file')}.", fix=fix) from error


def _load(content: str | bytes, what: str, fix: str) -> object:
    if len(content) > LARGEST_FILE:
        raise BadInput(f"The {what} is larger than {LARGEST_FILE:,} bytes.", fix="Shorten it.")
    try:
        return yaml.load(content.decode() if isinstance(content, bytes) else content, _Loader)  # noqa: S506 (a safe one)
    except UnicodeDecodeError as error:
        raise BadInput(f"The {what} is not UTF-8 text.", fix="Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise BadInput(f"The {what} is not YAML: {_one_line(error)}.", fix=fix) from error
    except RecursionError as error:
        raise BadInput(f"The {what} is not YAML: it is nested too deeply.", fix=fix) from error


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or next(iter(str(error).splitlines()), "it cannot be read")
    return f"{problem} in line {mark.line + 1}" if mark else str(problem).rstrip(".")
