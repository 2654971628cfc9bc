"""Checks a built layer: its content, its size, its imports, and its calls to the runtime's SDK.

    python check_artifact.py <artifact>/python [--runs-here]

Standard library only, because the interpreter that runs the layer's build runs this too.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from runtime_sdk import lacking

MOST_BYTES = 10_000_000
"""Greatest size of the zipped layer."""
BROUGHT_BY_RUNTIME = ("boto3", "botocore", "s3transfer")
TRAINING_ONLY = ("numpy", "scipy", "sklearn")
SDK = ("boto3", "botocore", "s3transfer", "dateutil", "six", "urllib3", "awscrt")
"""The packages that Lambda's runtime has; jmespath is missing here because the layer holds it."""
IMPORTS = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
import distillery
from aws_lambda_powertools import Logger, Metrics, Tracer
import pygal, jinja2, yaml
for module in pkgutil.walk_packages(distillery.__path__, "distillery."):
    if module.name != "distillery.linear.training":
        importlib.import_module(module.name)
Tracer(service="check")
heavy = {"numpy", "scipy", "sklearn"} & set(sys.modules)
sys.exit(f"the package imports {', '.join(sorted(heavy))}, which the layer does not hold" if heavy else 0)
"""


def zipped_bytes(site: Path) -> int:
    """Size of the layer as it is uploaded, zipped."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(site.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(site.parent))
    return len(buffer.getvalue())


def content_problems(site: Path) -> list[str]:
    """One sentence for each thing that the layer must not hold, and for its size if it is too large."""
    problems = [
        f"The layer holds {name}; it belongs to {owner}."
        for names, owner in ((BROUGHT_BY_RUNTIME, "the runtime"), (TRAINING_ONLY, "training"))
        for name in names
        if (site / name).exists()
    ]
    size = zipped_bytes(site)
    if size >= MOST_BYTES:
        problems.append(f"The layer is {size:,} bytes zipped; it must stay under {MOST_BYTES:,}.")
    return problems


def import_problems(site: Path) -> list[str]:
    """Import all modules in a clean interpreter that sees only the layer and the SDK; returns what failed."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SDK:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.origin is not None:
                origin = Path(spec.origin)
                source = origin.parent if spec.submodule_search_locations else origin
                (Path(folder) / source.name).symlink_to(source)
        if not (Path(folder) / "boto3").exists():
            return ["boto3 is not installed for this interpreter, so the imports cannot be checked."]
        # -I -S: no user site, no site-packages, no environment variables.
        result = subprocess.run(  # noqa: S603 (this interpreter, fixed code)
            [sys.executable, "-I", "-S", "-B", "-c", IMPORTS, str(site.resolve()), folder],
            capture_output=True,
            text=True,
            check=False,
            env={"AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_TRACE_DISABLED": "1"},
        )
    if result.returncode == 0:
        return []
    return [f"The layer alone cannot be imported: {result.stderr.strip().splitlines()[-1]}"]


def main() -> int:
    """Print the problems, one a line; exit code 1 when there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--runs-here", action="store_true", help="built for this interpreter: import it too")
    arguments = parser.parse_args()
    problems = content_problems(arguments.site)
    problems += import_problems(arguments.site) if arguments.runs_here else []
    problems += lacking(arguments.site / "distillery")
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201 (a command's output)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
