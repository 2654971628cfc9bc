"""The built layer is reproducible, small and complete, and the build checks it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import lock_layer, runtime_sdk
from tools.translate import ROOT

LAYER = ROOT / "layers/distillery"
MAX_BYTES = 10_000_000
RUNTIMES = ["3.11", "3.12", "3.13", "3.14"]
"""Lambda's Python runtimes that the package can run in."""
TRACED = """
import sys
sys.path[:0] = sys.argv[1:]
import botocore
from aws_lambda_powertools import Tracer

assert botocore.__file__.startswith(sys.argv[2]), botocore.__file__
tracer = Tracer(service="check")
@tracer.capture_lambda_handler(capture_response=False)
def handler(event, context):
    tracer.put_annotation("run_id", "r")
    return tracer.provider.current_subsegment().name

print(handler({}, None))
"""


def build(layer: Path, artifact: Path, **variables: str) -> Path:
    """Build as SAM does: run make in a copy of the folder with ARTIFACTS_DIR set."""
    copy = artifact.with_name(f"{artifact.name}-source")
    shutil.copytree(layer, copy, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAYER_")}
    subprocess.run(
        ["make", "--silent", "--makefile", str(layer / "Makefile"), "build-DistilleryLayer"],
        cwd=copy,
        env=environment | {"ARTIFACTS_DIR": str(artifact), "PYTHON": sys.executable} | variables,
        check=True,
        capture_output=True,
        text=True,
    )
    return artifact


def contents(artifact: Path) -> dict[str, str]:
    """Path -> hash and modification time."""
    return {
        str(
            file.relative_to(artifact)
        ): f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_mtime}"
        for file in sorted(artifact.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer built for this interpreter."""
    return build(LAYER, tmp_path_factory.mktemp("here") / "layer", LAYER_PLATFORM="here")


@pytest.fixture(scope="module")
def for_lambda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer built for the template's default runtime, without that runtime's interpreter."""
    return build(LAYER, tmp_path_factory.mktemp("lambda") / "layer")


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only the SDK and its dependencies, as in the Lambda runtime."""
    folder = tmp_path_factory.mktemp("sdk")
    for name in ("boto3", "botocore", "s3transfer", "dateutil", "urllib3"):
        (folder / name).symlink_to(Path(__import__(name).__file__ or "").parent)
    (folder / "six.py").symlink_to(__import__("six").__file__ or "")
    return folder


@pytest.mark.parametrize("variables", [{}, {"UV": "false"}], ids=["again", "by pip because uv fails"])
def test_two_builds_are_identical(artifact: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    assert contents(artifact) == contents(
        build(LAYER, tmp_path / "layer", LAYER_PLATFORM="here", **variables)
    )


def test_the_layer_is_small_and_has_neither_the_sdk_nor_training_libraries(
    for_lambda: Path, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "layer"), "zip", for_lambda)
    assert Path(archive).stat().st_size < MAX_BYTES
    present = {path.name for path in (for_lambda / "python").iterdir()}
    assert not {"boto3", "botocore", "numpy", "scipy", "sklearn"} & present
    assert not list(for_lambda.rglob("*.dist-info"))
    assert not list(for_lambda.rglob("__pycache__"))
    assert (for_lambda / "python/distillery/task/channels.yaml").exists()


def test_binaries_are_built_for_the_runtime_and_not_for_this_machine(for_lambda: Path) -> None:
    binaries = [path.name for path in for_lambda.rglob("*.so")]
    assert binaries
    assert all("cpython-313-aarch64-linux-gnu" in name or "abi3" in name for name in binaries)


def test_no_path_of_this_machine_is_in_the_layer(artifact: Path) -> None:
    here = str(ROOT).encode()
    assert not [file for file in artifact.rglob("*.py") if here in file.read_bytes()]


def test_a_traced_handler_runs_with_only_the_layer_and_the_runtimes_sdk(artifact: Path, sdk: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", TRACED, str(artifact / "python"), str(sdk)],
        env={
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_DEFAULT_REGION": "us-east-1",
            "_X_AMZN_TRACE_ID": "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == "## handler"


def test_the_layer_has_everything_that_the_handlers_import(artifact: Path, sdk: Path) -> None:
    handlers = sorted((ROOT / "functions").glob("*/handler.py"))
    assert len(handlers) == 10
    imported = set()
    for handler in handlers:
        for node in ast.walk(ast.parse(handler.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    code = (
        "import importlib, sys; sys.path[:0] = sys.argv[1:3]; [*map(importlib.import_module, sys.argv[3:])]"
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code, str(artifact / "python"), str(sdk), *sorted(imported)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_the_layer_has_the_versions_that_the_tests_run_with() -> None:
    requirements = (LAYER / "requirements.in").read_text("utf-8")
    lock = (ROOT / "requirements/dev.txt").read_text("utf-8")
    assert (LAYER / "requirements.txt").read_text("utf-8") == lock_layer.layer_requirements(
        requirements, lock
    )


def selected(
    version: str, requirements: Path = LAYER / "requirements.txt"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "target_requirements.py", str(requirements), version],
        cwd=LAYER,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("version", RUNTIMES)
def test_a_layer_gets_the_packages_of_its_runtime_whatever_python_builds_it(version: str) -> None:
    lock = lock_layer.pins((LAYER / "requirements.txt").read_text("utf-8"))
    expected = {}
    for pin in lock.values():
        first, _, hashes = pin.partition(" \\\n")
        requirement = Requirement(first)
        if requirement.marker is None or requirement.marker.evaluate({"python_full_version": f"{version}.1"}):
            expected[requirement.name] = f"{requirement.name}{requirement.specifier} \\\n{hashes}"
    assert lock_layer.pins(selected(version).stdout) == expected
    detector = {name for name in expected if name.startswith("fasttext-predict")}
    assert detector == {"fasttext-predict-v2" if version == "3.14" else "fasttext-predict"}


@pytest.mark.parametrize(
    "marker",
    [
        "sys_platform == 'linux'",
        "python_full_version < '3.14' and os_name == 'nt'",
        "python_version > '3.12'",
    ],
)
def test_the_build_fails_when_a_marker_cannot_be_evaluated_for_another_version(
    tmp_path: Path, marker: str
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"zipp==4.1.2 ; {marker} \\\n    --hash=sha256:00\n", "utf-8")
    finished = selected("3.13", requirements)
    assert finished.returncode == 1
    assert f"cannot be evaluated: zipp==4.1.2 ; {marker}" in finished.stderr


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
@pytest.mark.parametrize("version", RUNTIMES)
def test_wheels_are_chosen_for_the_glibc_of_the_runtime(version: str, architecture: str) -> None:
    # Lambda's Python 3.11 runs on Amazon Linux 2 with glibc 2.26. Wheels for glibc 2.28 fail there.
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
    variables = {"LAYER_PYTHON": version, "LAYER_ARCHITECTURE": architecture, "ARTIFACTS_DIR": "artifact"}
    commands = {
        tool: subprocess.run(
            ["make", "--dry-run", "build-DistilleryLayer", f"UV={tool.removeprefix('pip')}"],
            cwd=LAYER,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for tool in ("pip", "uv")
    }
    newest = "" if version == "3.11" else f"--platform manylinux_2_28_{machine} "
    assert f"{newest}--platform manylinux2014_{machine} --python-version {version} " in commands["pip"]
    newest = "manylinux2014" if version == "3.11" else "manylinux_2_28"
    assert f"--python-platform {machine}-{newest} --python-version {version}" in commands["uv"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package that a test may change."""
    copy = tmp_path / "distillery"
    shutil.copytree(LAYER / "src/distillery", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def lacking(package: Path) -> list[str]:
    found: list[str] = runtime_sdk.layer_module().lacking(package)
    return found


def test_the_oldest_sdk_of_a_runtime_has_every_operation_that_is_called(package: Path) -> None:
    assert lacking(package) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            "get_custom_model_deployment(",
            "update_custom_model_deployment is not known to be in botocore 1.39.7",
        ),
        ("modelDeploymentName=", "CreateCustomModelDeployment has no parameter deploymentLabel"),
    ],
)
def test_the_build_fails_when_the_sdk_could_lack_an_operation(
    package: Path, changed: str, sentence: str
) -> None:
    replacement = {
        "get_custom_model_deployment(": "update_custom_model_deployment(",
        "modelDeploymentName=": "deploymentLabel=",
    }[changed]
    file = package / "aws/bedrock/deployments.py"
    text = file.read_text("utf-8")
    assert changed in text
    file.write_text(text.replace(changed, replacement), "utf-8")
    assert [problem for problem in lacking(package) if sentence in problem]


def test_the_build_fails_when_the_sdk_could_lack_a_nested_parameter(package: Path) -> None:
    file = package / "aws/bedrock/evaluations.py"
    file.write_text(file.read_text("utf-8").replace('"customMetricConfig"', '"newMetricConfig"'), "utf-8")
    assert [problem for problem in lacking(package) if "newMetricConfig" in problem]


def test_the_oldest_sdk_has_on_demand_deployments() -> None:
    oldest = json.loads((LAYER / "runtime_sdk.json").read_text("utf-8"))
    assert oldest["botocore"] == runtime_sdk.FLOOR
    assert "CreateCustomModelDeployment" in oldest["operations"]["bedrock"]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("import numpy\n", "The layer alone cannot be imported"),
        ("raise ImportError('no such thing')\n", "no such thing"),
    ],
)
def test_the_build_fails_when_the_layer_cannot_be_imported(
    artifact: Path, tmp_path: Path, broken: str, sentence: str
) -> None:
    copy = tmp_path / "python"
    shutil.copytree(artifact / "python", copy)
    (copy / "distillery/broken.py").write_text(broken, "utf-8")
    checked = subprocess.run(
        [sys.executable, str(LAYER / "check_artifact.py"), str(copy), "--runs-here"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1
    assert sentence in checked.stderr
    assert "Traceback" not in checked.stderr


def test_the_build_fails_when_the_sdk_is_in_the_layer(artifact: Path, tmp_path: Path) -> None:
    copy = tmp_path / "python"
    shutil.copytree(artifact / "python", copy)
    (copy / "botocore").mkdir()
    checked = subprocess.run(
        [sys.executable, str(LAYER / "check_artifact.py"), str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1
    assert "The layer holds botocore" in checked.stderr
