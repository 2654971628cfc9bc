"""Make the sample data: `python -m samples.make_samples [--out DIRECTORY]`.

Writes `dataset.jsonl` (labelled records to distil) and `queries.jsonl` (queries to route afterwards, none of
them in the dataset). Everything is drawn with a fixed seed and labelled by the local teacher, so that the
same script always writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from distillery.prompts import student_prompt
from distillery.taxonomy import default_taxonomy
from local.models import Teacher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from distillery.taxonomy import Taxonomy

VOCABULARY = Path(__file__).with_name("vocabulary.yaml")
SEED = 20260301
RECORDS = 1500
QUERIES = 60
_TYPOS = 0.04
_LOWER_CASE = 0.08
_LONG_WORD = re.compile(r"\b[a-z]{6,}\b")
_A_BEFORE_VOWEL = re.compile(r"\ba (?!uni)(?=[aeiou])")
_SLOT = re.compile(r"\{(\w+)\}")


def make_queries(count: int, rng: random.Random) -> list[str]:
    """So many queries, all different after folding case and spaces."""
    vocabulary = yaml.safe_load(VOCABULARY.read_text("utf-8"))
    families = list(vocabulary["families"].values())
    shares = [family["share"] for family in families]
    queries: dict[str, str] = {}
    while len(queries) < count:
        family = rng.choices(families, shares)[0]
        query = _worn(_filled(rng.choice(family["templates"]), vocabulary["words"], rng), rng)
        queries.setdefault(normal_form(query), query)
    return list(queries.values())


def normal_form(query: str) -> str:
    """What two spellings of the same query have in common."""
    return " ".join(query.casefold().split())


def record(query: str, teacher: Teacher, taxonomy: Taxonomy) -> dict[str, object]:
    """One labelled line of a distillation dataset (bedrock-conversation-2024)."""
    weights, reasoning = teacher.label(query)
    label = json.dumps({**weights, "reasoning": reasoning}, ensure_ascii=False)
    return {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": student_prompt(taxonomy)}],
        "messages": [
            {"role": "user", "content": [{"text": query}]},
            {"role": "assistant", "content": [{"text": label}]},
        ],
    }


def write_samples(out: Path) -> tuple[Path, Path]:
    """Write both files and return their paths."""
    taxonomy = default_taxonomy()
    teacher = Teacher(taxonomy)
    drawn = make_queries(RECORDS + QUERIES, random.Random(SEED))
    dataset, queries = out / "dataset.jsonl", out / "queries.jsonl"
    _write_lines(dataset, (record(query, teacher, taxonomy) for query in drawn[:RECORDS]))
    _write_lines(
        queries,
        (
            {"query_id": f"sample-{number:03}", "query": query}
            for number, query in enumerate(drawn[RECORDS:], start=1)
        ),
    )
    return dataset, queries


def _filled(template: str, words: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    """The template with every slot drawn; a list's entry may hold slots of its own."""
    while _SLOT.search(template):
        template = _SLOT.sub(lambda slot: rng.choice(words[slot[1]]), template)
    return _A_BEFORE_VOWEL.sub("an ", template)


def _worn(query: str, rng: random.Random) -> str:
    """As people type: now and then in lower case throughout, now and then with two letters swapped."""
    if rng.random() < _LOWER_CASE:
        query = query.lower()
    long_words = list(_LONG_WORD.finditer(query))
    if long_words and rng.random() < _TYPOS:
        at = rng.choice(long_words).start() + rng.randrange(1, 4)
        query = query[:at] + query[at + 1] + query[at] + query[at + 2 :]
    return query


def _write_lines(path: Path, lines: Iterator[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


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
