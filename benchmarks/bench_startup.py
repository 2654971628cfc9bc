"""Import and initialisation time of each function: `python -m benchmarks.bench_startup [--quick]`.

The SAM CLI builds the functions for this interpreter. Each run is a new process that sees only the
function, its layer and the SDK of the Lambda runtime, with the template's environment. It times `import
handler`: Lambda's init phase without the start of the container and the interpreter.

There are two figures per function. As deployed: the layer holds no bytecode and Lambda's file system is
read-only, so each process compiles the layer. With bytecode: compiled files are kept between processes.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Measured, answer
from local.cloud import build
from local.function_runtime import make_runtime
from tools.translate import source

RUNS = 7
CHILD = """
import sys, time
started = time.perf_counter()
import handler
taken = time.perf_counter() - started
assert callable(handler.handler)
sys.stdout.write(f"{taken * 1000}\\n")
"""
RUNTIME_ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
}
"""The variables that Lambda sets and the functions read at import."""


def functions(template: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the environment of each function by logical id. Resource names are placeholders."""
    defaults = {name: str(entry.get("Default", "")) for name, entry in template["Parameters"].items()}

    def value(of: Any) -> str:
        match of:
            case {"Ref": name}:
                return defaults.get(name) or name
            case {"Fn::GetAtt": [name, *_]}:
                return f"arn:aws:iam::123456789012:role/{name}"
            case _:
                return str(of)

    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    return {
        name: {
            key: value(of) for key, of in (shared | entry["Properties"]["Environment"]["Variables"]).items()
        }
        for name, entry in template["Resources"].items()
        if entry["Type"] == "AWS::Serverless::Function"
    }


def start(python: Path, function: Path, environment: dict[str, str]) -> float:
    """Return the milliseconds of one import in a new process."""
    done = subprocess.run(
        [str(python), "-c", CHILD],
        cwd=function,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(done.stdout.splitlines()[-1])


def measure(quick: bool) -> Measured:
    """Measure every function several times, each time in a new process."""
    runs = 3 if quick else RUNS
    built = build()
    detail: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        python = make_runtime(Path(folder) / "runtime")
        for name, variables in functions(source(built)).items():
            function = built.parent / name
            environment = {
                **RUNTIME_ENVIRONMENT,
                **variables,
                "AWS_LAMBDA_FUNCTION_NAME": name,
                "LAMBDA_TASK_ROOT": str(function),
                "PYTHONPATH": str(built.parent / "DistilleryLayer" / "python"),
            }
            as_deployed = environment | {"PYTHONDONTWRITEBYTECODE": "1"}
            with_bytecode = environment | {"PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
            start(python, function, with_bytecode)
            detail[name] = {
                "as_deployed_ms": [round(start(python, function, as_deployed), 1) for _ in range(runs)],
                "with_bytecode_ms": [round(start(python, function, with_bytecode), 1) for _ in range(runs)],
            }
    figures = [
        Figure(f"{name}, import and initialisation, {label}", statistics.median(taken[key]), "ms")
        for key, label in (("as_deployed_ms", "as deployed"), ("with_bytecode_ms", "with bytecode"))
        for name, taken in detail.items()
    ]
    return Measured(figures, {"runs": runs, "functions": detail})


if __name__ == "__main__":
    answer(measure, __doc__)
