"""Translates the SAM template to plain CloudFormation, as a deployment does, and lints what comes out.

What SAM generates (rules, permissions, mappings) is seen by nothing else: a circular dependency among the
generated resources, for instance, passes `sam validate --lint`.
Run `python -m tools.translate`; exit code 1 when cfn-lint finds anything.
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
"""Stands for the code that `sam deploy` uploads before it translates."""
LOCAL_CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


def source(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as it is written, short forms (`!Ref`) read as long ones."""
    return dict(yaml_parse(path.read_text("utf-8")))


def translated(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as CloudFormation is given it, parameters unresolved."""
    template = source(path)
    for resource in template["Resources"].values():
        if resource["Type"] in LOCAL_CODE:
            resource["Properties"][LOCAL_CODE[resource["Type"]]] = UPLOADED
            resource.pop("Metadata", None)
    session = boto3.Session(region_name=REGION)
    # No managed policy is named in the template, so their names need not be asked for.
    translator = Translator({}, Parser(), boto_session=session)
    parameters = {name: value.get("Default") for name, value in template["Parameters"].items()}
    return dict(translator.translate(template, parameters))


def main() -> int:
    """Translate and lint; cfn-lint says what it finds."""
    linter = Path(sys.executable).with_name("cfn-lint")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "translated.json"
        file.write_text(json.dumps(translated(), indent=2), "utf-8")
        return subprocess.run([linter, "--regions", REGION, "--", file], check=False).returncode  # noqa: S603 (the linter)


if __name__ == "__main__":
    sys.exit(main())
