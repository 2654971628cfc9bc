"""Fails on a word that the project no longer uses, and names the term that replaces it.

    python -m tools.retired_words [file ...]

Without arguments, every text file that git tracks is read. Identifiers are split at underscores and capital
letters, and the names of files are read too. A finding is printed as `file:line: word -> use "term"`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
EXCLUDED = frozenset(
    {
        "CHANGELOG.md",
        "docs/decisions.md",
        "layers/distillery/src/distillery/earlier_names.py",
        "tests/unit/test_earlier_names.py",
        "tools/retired_words.py",
        "tests/unit/project/test_retired_words.py",
        "samples/spec.yaml",
    }
)
"""History, the reading of data with earlier names, this check, and words that queries are made of."""
DATA = frozenset({".jsonl"})
"""Queries may hold any word."""
COST = r"(?:cost|price|training|run)"
RETIRED = {
    r"facets?": "channel",
    # `taxonomy.yaml` is the name of an object that is still read.
    r"taxonom(?:y|ies)(?!\.yaml)": "channel configuration",
    r"rubrics?": "weight score",
    r"mend(?:s|ed|ing)?": "fix",
    r"near[ -]?cop(?:y|ies)": "near-duplicate",
    r"in charge": "active",
    # A doorbell is also a thing that queries ask for.
    r"doorbells?(?! (?:camera|ringing))": "wake-up event",
    r"bur(?:y|ied|ies|ying)": "move to the dead-letter queue",
    r"ledgers?": "run table",
    r"before the spend": "preflight checks",
    r"(?<!before )the spend": "cost",
    r"sets? apart|setting apart": "quarantine",
    # Words of ordinary English, so only as the project used them.
    r"spare ?:|spare (?:records?|queries|labels?)": "oversample",
    r"(?<!font[ -])famil(?:y|ies) ?[:=]|(?:families|family) of templates?|template famil(?:y|ies)": (
        "template group"
    ),
    rf"distillery quotes?|quote ?\.?json|{COST} quotes?|quotes? of (?:the )?{COST}|a quote of|offline quotes?"
    rf"|quotes? (?:the|its) {COST}|(?:keeps|has) its quote|{COST} (?:is|was) quoted": "cost estimate",
    r"thin (?:channels?|lengths?|languages?|data)|(?:is|are) thin|thinly": "under-represented",
}
"""Pattern of a word, as it reads in lower case with identifiers split -> the term to use."""
PATTERNS = [(re.compile(rf"(?<![a-z]){pattern}(?![a-z])"), term) for pattern, term in RETIRED.items()]
BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words_of(text: str) -> str:
    """The text in lower case with identifiers as separate words: `thinFacet_of` -> `thin facet of`."""
    return " ".join(BOUNDARY.sub(" ", text).replace("_", " ").lower().split())


def retired_in(text: str, following: str = "") -> list[tuple[str, str]]:
    """The retired words that begin in a line, each with the term to use, in the order of the line.

    `following` is the next line, because a term of two words may be broken between lines.
    """
    words = words_of(text)
    joined = f"{words} {words_of(following).lstrip(' #*>-')}"
    found = [
        (match.start(), match[0], term)
        for pattern, term in PATTERNS
        for match in pattern.finditer(joined)
        if match.start() < len(words)
    ]
    return [(word, term) for _, word, term in sorted(found)]


def findings(name: str, content: str) -> Iterator[str]:
    """One line of output for each retired word in a file's name and in its content."""
    for word, term in retired_in(name):
        yield f'{name}: {word} in the name -> use "{term}"'
    lines = content.splitlines()
    for number, (line, following) in enumerate(zip_longest(lines, lines[1:], fillvalue=""), start=1):
        for word, term in retired_in(line, following):
            yield f'{name}:{number}: {word} -> use "{term}"'


def tracked_files(root: Path) -> list[str]:
    """Names of the files that git tracks or would add, relative to `root`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 (git as found on PATH)
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (root / name).is_file())


def problems(root: Path, names: Iterable[str]) -> list[str]:
    """All findings in the named files, without the excluded files and without binary files."""
    found: list[str] = []
    for name in names:
        if name in EXCLUDED or Path(name).suffix in DATA:
            continue
        try:
            content = (root / name).read_text("utf-8")
        except UnicodeDecodeError:
            content = ""  # a binary file: only its name is read
        found += findings(name, content)
    return found


def main(arguments: list[str]) -> int:
    """Print the findings; exit code 1 when there is one."""
    found = problems(ROOT, arguments or tracked_files(ROOT))
    for line in found:
        sys.stdout.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
