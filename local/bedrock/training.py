"""Trains a linear model in a subprocess, so that the local cloud keeps answering requests.

Run as `python -m local.bedrock.training EXAMPLES MODEL`: reads JSON lines `[query, {channel: weight}]`,
writes the linear model, and prints its mean absolute error on the examples as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from distillery.linear.training import fit
from local.bedrock.errors import JobFailed
from local.models.prompt_reader import channel_config_of_examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from distillery.task.channels import ChannelConfig
    from distillery.task.weights import Weights

ROOT = Path(__file__).resolve().parents[2]


def main(examples_file: str, model_file: str) -> None:
    """Fit and save a model. Prints the loss."""
    with Path(examples_file).open(encoding="utf-8") as lines:
        examples: list[tuple[str, Weights]] = [(query, weights) for query, weights in map(json.loads, lines)]
    channel_config = channel_config_of_examples(examples)
    fitted = fit(examples, channel_config)
    fitted.save(Path(model_file))
    sys.stdout.write(json.dumps({"loss": _loss(fitted.predict, examples, channel_config)}))


def _loss(
    predict: Callable[[str], Weights], examples: list[tuple[str, Weights]], channel_config: ChannelConfig
) -> float:
    """Return the mean absolute error over channels, on about 1,000 of the examples."""
    sample = examples[:: max(1, len(examples) // 1_000)]
    errors = [
        abs(weights.get(channel, 0.0) - guess[channel])
        for query, weights in sample
        for guess in [predict(query)]
        for channel in channel_config.names
    ]
    return round(sum(errors) / len(errors), 6)


async def train(examples: list[tuple[str, Weights]], model_file: Path) -> float:
    """Fit a linear model in a subprocess, killed if the job is cancelled. Returns the training loss."""
    examples_file = model_file.with_suffix(".jsonl")
    examples_file.write_text(
        "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in examples), encoding="utf-8"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local.bedrock.training",
        str(examples_file),
        str(model_file),
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        examples_file.unlink(missing_ok=True)
    if process.returncode:
        reason = err.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise JobFailed(f"Training failed: {reason[0]}")
    return float(json.loads(out)["loss"])


if __name__ == "__main__":
    main(*sys.argv[1:])
