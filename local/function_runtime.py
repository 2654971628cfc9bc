"""The Python environment of local functions: this interpreter with only the SDK of the Lambda runtime.

MiniStack starts functions with its own interpreter, whose environment holds every development package. A
function that imports a package missing from its layer would work locally and fail on AWS. This module makes
an environment that links to the SDK only and configures MiniStack to use it. The function it replaces is
private (pinned version, covered by tests/local/test_server.py).
"""

from __future__ import annotations

import importlib.util
import shutil
import venv
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""The packages that AWS's Python runtimes include."""


def use_function_runtime(folder: Path) -> None:
    """Make the environment under `folder` and make MiniStack run Python functions in it."""
    python = make_runtime(folder)
    original = lambda_runtime._detect_runtime_binary

    def detect(runtime: str) -> Any:
        binary, script = original(runtime)
        return (str(python), script) if runtime.startswith("python") else (binary, script)

    lambda_runtime._detect_runtime_binary = detect


def make_runtime(folder: Path) -> Path:
    """Make a virtual environment that links to the SDK. Returns its interpreter."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"The SDK of the Lambda runtime is incomplete: {name} is not installed.")
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (packages / source.name).symlink_to(source)
    return folder / "bin" / "python"
