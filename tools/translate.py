"""Translates the SAM template to plain CloudFormation, as a deployment does, and lints the result.

    python -m tools.translate

Exit code 1 when cfn-lint finds anything. No other check sees the resources that SAM generates (rules,
permissions, mappings): a circular dependency among them, for example, passes `sam validate --lint`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"
REGION = "us-east-1"
UPLOADED = "s3://deployment-bucket/object"
"""A placeholder for the code that `sam deploy` uploads before it translates."""
LOCAL_CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


def source(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as it is written, with short forms (`!Ref`) expanded."""
    return dict(yaml_parse(path.read_text("utf-8")))


def translated(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as CloudFormation receives it, with parameters unresolved."""
    template = source(path)
    for resource in template["Resources"].values():
        if resource["Type"] in LOCAL_CODE:
            resource["Properties"][LOCAL_CODE[resource["Type"]]] = UPLOADED
            resource.pop("Metadata", None)
    session = boto3.Session(region_name=REGION)
    # The template names no managed policy, so the translator needs no list of them.
    translator = Translator({}, Parser(), boto_session=session)
    parameters = {name: value.get("Default") for name, value in template["Parameters"].items()}
    return dict(translator.translate(template, parameters))


def main() -> int:
    """Translate and lint; cfn-lint prints its findings."""
    linter = Path(sys.executable).with_name("cfn-lint")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "translated.json"
        file.write_text(json.dumps(translated(), indent=2), "utf-8")
        return subprocess.run([linter, "--regions", REGION, "--", file], check=False).returncode  # noqa: S603 (the linter)


if __name__ == "__main__":
    sys.exit(main())
