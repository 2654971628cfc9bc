"""Reads a CloudFormation template: resources by type, statements of roles, intrinsic functions resolved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "distillery",
}


def listed(value: Any) -> list[Any]:
    """A list as it is; any other value as a list of one."""
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Statement:
    """One statement of a role, from its own policy or from a managed one."""

    holder: str
    content: Mapping[str, Any]

    @property
    def actions(self) -> list[str]:
        return [str(action) for action in listed(self.content["Action"])]

    @property
    def conditions(self) -> dict[str, Any]:
        """Condition keys with their values, for all operators."""
        found: dict[str, Any] = {}
        for keys in self.content.get("Condition", {}).values():
            found |= keys
        return found


class Template:
    """A parsed template with the queries that the tests need."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.resources: dict[str, Any] = content["Resources"]

    def of_type(self, kind: str) -> dict[str, Any]:
        """Properties by logical ID."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def properties(self, name: str) -> dict[str, Any]:
        """One resource's properties."""
        found: dict[str, Any] = self.resources[name]["Properties"]
        return found

    def statements(self, role: str) -> list[Statement]:
        """The statements of a role's inline and managed policies."""
        properties = self.properties(role)
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [
            self.properties(policy["Ref"])["PolicyDocument"]
            for policy in properties.get("ManagedPolicyArns", [])
        ]
        return [
            Statement(role, statement)
            for document in documents
            for statement in listed(document["Statement"])
        ]

    def role_of(self, function: str) -> str:
        """Logical ID of a function's role."""
        name: str = self.properties(function)["Role"]["Fn::GetAtt"][0]
        return name

    def resolve(self, value: Any, parameters: Mapping[str, str]) -> Any:
        """Resolve intrinsic functions; a resource becomes its logical ID, an attribute `<ID>.<attribute>`."""
        if isinstance(value, list):
            return [self.resolve(one, parameters) for one in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref":
                return self._named(argument, parameters)
            if name.startswith("Fn::"):
                return self._call(name, argument, parameters)
        return {key: self.resolve(inner, parameters) for key, inner in value.items()}

    def _named(self, name: str, parameters: Mapping[str, str]) -> Any:
        if name in parameters:
            return parameters[name]
        if name in self.content["Parameters"]:
            return str(self.content["Parameters"][name]["Default"])
        return PSEUDO.get(name, name)

    def _call(self, function: str, argument: Any, parameters: Mapping[str, str]) -> Any:
        match function:
            case "Fn::GetAtt":
                return ".".join(listed(argument))
            case "Fn::Join":
                return argument[0].join(self.resolve(argument[1], parameters))
            case "Fn::Split":
                return self.resolve(argument[1], parameters).split(argument[0])
            case "Fn::Select":
                return self.resolve(argument[1], parameters)[int(argument[0])]
            case "Fn::Sub":
                text, given = argument if isinstance(argument, list) else (argument, {})
                known = {key: self.resolve(inner, parameters) for key, inner in given.items()}
                return re.sub(
                    r"\$\{([\w:.]+)\}",
                    lambda found: str(known.get(found[1], self._named(found[1], parameters))),
                    text,
                )
        raise AssertionError(f"the template uses {function}, which the tests cannot resolve")


def walk(value: Any) -> Iterator[Any]:
    """Every node of a nested structure."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from walk(one)
