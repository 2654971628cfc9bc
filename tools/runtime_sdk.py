"""Writes layers/distillery/runtime_sdk.json: the operations of the oldest SDK that a Lambda runtime may have.

    python -m tools.runtime_sdk [botocore version]

Downloads that botocore release with pip. From its service models, keeps the operations that the package
calls, with every name that their parameters may have. Fails when the release lacks one of them.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

LAYER = Path(__file__).parents[1] / "layers/distillery"
FLOOR = "1.39.7"
"""The first release with CreateCustomModelDeployment (1.39.6 has none of the four deployment operations)."""


def layer_module() -> Any:
    """The module layers/distillery/runtime_sdk.py; in no package, as the layer's build runs it alone."""
    spec = importlib.util.spec_from_file_location("layer_runtime_sdk", LAYER / "runtime_sdk.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(LAYER / "runtime_sdk.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def model(wheel: Path, service: str) -> dict[str, Any]:
    """The newest service model in a botocore wheel; raises KeyError when it has none."""
    with zipfile.ZipFile(wheel) as archive:
        versions = sorted(
            name
            for name in archive.namelist()
            if name.startswith(f"botocore/data/{service}/") and "/service-2.json" in name
        )
        if not versions:
            raise KeyError(service)
        return dict(json.loads(gzip.decompress(archive.read(versions[-1]))))


def names_within(shapes: dict[str, Any], shape: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """Every member name within a shape, including nested ones."""
    if shape in seen:
        return set()
    details, seen = shapes[shape], seen | {shape}
    found = set(details.get("members", {}))
    inner = [member["shape"] for member in details.get("members", {}).values()]
    inner += [details[part]["shape"] for part in ("member", "key", "value") if part in details]
    return found.union(*(names_within(shapes, one, seen) for one in inner))


def floor_of(wheel: Path, version: str) -> dict[str, Any]:
    """The content of runtime_sdk.json; SystemExit naming the first operation that the release lacks."""
    operations: dict[str, dict[str, list[str]]] = {}
    for service, calls in sorted(layer_module().calls_of(LAYER / "src/distillery").items()):
        details = model(wheel, service)
        available = {name.lower(): name for name in details["operations"]}
        operations[service] = {}
        for called in calls.operations:
            name = available.get(called.replace("_", "").lower())
            if name is None:
                sys.exit(f"botocore {version} has no {service}.{called}.")
            given = details["operations"][name].get("input")
            names = names_within(details["shapes"], given["shape"]) if given else set()
            operations[service][name] = sorted(names)
        operations[service] = dict(sorted(operations[service].items()))
    return {"botocore": version, "operations": operations}


def main() -> None:
    """Download the release, read its models, write the file."""
    version = sys.argv[1] if len(sys.argv) > 1 else FLOOR
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder, f"botocore=={version}"]
        subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True)  # noqa: S603 (fixed program)
        content = floor_of(next(Path(folder).glob("botocore-*.whl")), version)
    (LAYER / "runtime_sdk.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
