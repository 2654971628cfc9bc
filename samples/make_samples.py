"""Make the sample data: `python -m samples.make_samples [--out DIRECTORY]`.

Writes `dataset.jsonl` (labelled records to distil) and `queries.jsonl` (queries to route afterwards, none of
them in the dataset). The dataset is what the generator makes of `samples/spec.yaml` on a stack whose teacher
is the local one, byte for byte; the queries are those that were planned and not chosen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from distillery.generation.assembly import Labelled, choose, dataset_bytes
from distillery.generation.planner import plan
from distillery.generation.spec import parse_spec
from distillery.task.channels import default_channel_config
from local.models.teacher import Teacher

SPEC = Path(__file__).with_name("spec.yaml")
QUERIES = 60


def write_samples(out: Path) -> tuple[Path, Path]:
    """Write both files and return their paths."""
    channel_config, spec = default_channel_config(), parse_spec(SPEC.read_bytes())
    teacher = Teacher(channel_config)
    planned = plan(spec, channel_config)
    chosen = choose(
        [Labelled(one, *teacher.label(one.query)) for one in planned], spec, channel_config
    ).chosen
    in_dataset = {one.planned.number for one in chosen}
    left = [one.query for one in planned if one.number not in in_dataset][:QUERIES]
    dataset, queries = out / "dataset.jsonl", out / "queries.jsonl"
    dataset.write_bytes(dataset_bytes(chosen, channel_config))
    lines = [{"query_id": f"sample-{at:03}", "query": query} for at, query in enumerate(left, start=1)]
    queries.write_text(
        "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), "utf-8", newline="\n"
    )
    return dataset, queries


def main() -> None:
    """Write the samples where the command line says."""
    parser = argparse.ArgumentParser(description="Make the sample dataset and queries.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="directory to write to")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for path in write_samples(out):
        print(path)


if __name__ == "__main__":
    main()
