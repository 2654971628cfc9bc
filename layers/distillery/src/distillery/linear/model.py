"""The linear model: a small linear router that any function can hold, in standard-library Python.

Method. A query becomes two sets of n-grams: one to three words (as written in lower case, and with names
and numbers blurred to their shape), and two to four characters within a word. Each set is scaled to length
one, and a linear model gives, for each of the teacher's own frequent weight vectors (at most
`MOST_CANDIDATES`, taken from its labels), the *expected weight score* of answering with that vector; the
best one is the answer. So the sum is 1, the weights lie on the teacher's grid, and what is maximised is what
is measured (with a slight pull towards the expected weights): regressing the weights and taking the nearest
vector costs 0.2 of weight score. The model also has one column per channel, the expected weight; those add up word
by word and give the explanation.

Coefficients are whole numbers of eight bits. Those of one n-gram sit side by side in one long integer, so
that adding a query's n-grams is one addition each, however many columns there are.

Fitting is in `student_training` (numpy and scipy, which no function carries); its choices and the figures
behind them are told there, and `benchmarks/bench_linear.py` measures them anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.errors import BadInput
from distillery.linear.features import features

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distillery.task.weights import Weights

MAGIC = b"distillery-linear 1 "
MOST_CANDIDATES = 96
"""Weight vectors the linear model can answer with; 64 are as good as all 98 that the real teacher used."""
MOST_BYTES = 2_400_000
"""Coefficients of a model, one byte each; with the n-grams the file stays under 3 MB, uncompressed."""
ZERO = 128
"""What the byte of a coefficient of 0 is: columns must not borrow from their neighbours in the sum."""
LANE = 4
"""Bytes of a column in the sum: room for the n-grams of the longest query."""
NAMED_WORDS = 2
"""Words named for a raised channel; for a lowered one, at whose cost others were raised, one is enough."""
MOVED = 0.03
"""A channel whose expected weight is within this of the average was not moved by the query."""


@dataclass(frozen=True, slots=True)
class Block:
    """One kind of n-gram and its coefficients.

    `coefficients` holds one byte per column for each of `grams` in turn (`ZERO` stands for 0); a column's
    bytes are multiplied by its entry in `scales`.
    """

    grams: tuple[str, ...]
    coefficients: bytes
    scales: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a linear model consists of, as it is stored.

    Columns are the candidates, then the channels. `candidates` are in steps of the grid (`steps` make 1);
    `intercepts` is every column's value for a query without a known n-gram; `blocks` are words and characters.
    """

    channels: tuple[str, ...]
    steps: int
    candidates: tuple[tuple[int, ...], ...]
    intercepts: tuple[float, ...]
    blocks: tuple[Block, Block]

    @property
    def columns(self) -> int:
        """Candidates and channels together."""
        return len(self.candidates) + len(self.channels)


class _Table(NamedTuple):
    """A block made ready: n-gram -> its coefficients side by side in one integer."""

    rows: dict[str, int]
    scales: tuple[float, ...]


class LinearModel:
    """A fitted linear model. It answers any string, is not changed by answering, and may be shared by threads."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._tables = tuple(_table(block, parts.columns) for block in parts.blocks)
        self._unpack = struct.Struct(f"<{parts.columns}I").unpack
        self._answers = [
            dict(zip(parts.channels, (step / parts.steps for step in candidate), strict=True))
            for candidate in parts.candidates
        ]

    def predict(self, query: str) -> Weights:
        """The weights expected to score best against the teacher: on its grid, sum 1."""
        columns = list(self.parts.intercepts)[: len(self._answers)]
        for table, grams in zip(self._tables, features(query), strict=True):
            found = [table.rows[gram] for gram in grams if gram in table.rows]
            if found:
                zero, length = ZERO * len(found), 1 / math.sqrt(len(found))
                columns = [
                    column + (total - zero) * scale * length
                    for column, total, scale in zip(columns, self._sum(found), table.scales, strict=False)
                ]
        return dict(self._answers[columns.index(max(columns))])

    def explain(self, query: str) -> str:
        """One sentence: the words that raised or lowered each channel's expected weight most."""
        weights = self.predict(query)
        moves = self._moves(query)
        said = [
            f"{channel} {weight:.2g} ({_cause([(word, by[place]) for word, by in moves.items()])})"
            for place, (channel, weight) in enumerate(weights.items())
        ]
        return f"{', '.join(said)}."

    def save(self, path: str | Path) -> None:
        """Write the model file: equal linear models give equal bytes."""
        parts = self.parts
        head = {
            "channels": parts.channels,
            "steps": parts.steps,
            "candidates": parts.candidates,
            "intercepts": parts.intercepts,
            "grams": [block.grams for block in parts.blocks],
            "scales": [block.scales for block in parts.blocks],
        }
        text = json.dumps(head, separators=(",", ":")).encode()
        content = b"".join(
            (struct.pack("<I", len(text)), text, *(block.coefficients for block in parts.blocks))
        )
        packed = zlib.compress(content, 9)
        digest = hashlib.sha256(packed).hexdigest().encode()
        Path(path).write_bytes(MAGIC + digest + b"\n" + packed)

    def _sum(self, rows: Iterable[int]) -> tuple[int, ...]:
        columns: tuple[int, ...] = self._unpack(sum(rows).to_bytes(LANE * self.parts.columns, "little"))
        return columns

    def _moves(self, query: str) -> dict[str, list[float]]:
        """Word -> how far it moved each channel's expected weight; an n-gram counts for its words alike."""
        first = len(self.parts.candidates)
        moves: dict[str, list[float]] = {}
        for table, grams in zip(self._tables, features(query), strict=True):
            found = {gram: words for gram, words in grams.items() if gram in table.rows}
            for gram, words in found.items():
                share = 1 / (math.sqrt(len(found)) * len(words))
                bytes_ = self._sum((table.rows[gram],))[first:]
                for word in words:
                    by = moves.setdefault(word, [0.0] * len(bytes_))
                    for place, (byte, scale) in enumerate(zip(bytes_, table.scales[first:], strict=True)):
                        by[place] += (byte - ZERO) * scale * share
        return moves


def _table(block: Block, columns: int) -> _Table:
    rows: dict[str, int] = {}
    for place, gram in enumerate(block.grams):
        lanes = bytearray(LANE * columns)
        lanes[::LANE] = block.coefficients[place * columns : (place + 1) * columns]
        rows[gram] = int.from_bytes(lanes, "little")
    return _Table(rows, block.scales)


def _cause(moves: Sequence[tuple[str, float]]) -> str:
    """'raised by "storm"', or why there is nothing to name; `moves` are words and what each did."""
    total = math.fsum(by for _, by in moves)
    if abs(total) < MOVED:
        return "as usual"
    helped = sorted(
        (move for move in moves if move[1] * total > 0), key=lambda move: (-abs(move[1]), move[0])
    )
    # A word that did less than a third of what the first one did would only blur the reason.
    named = [f"'{word[:24]}'" for word, by in helped[:NAMED_WORDS] if abs(by) * 3 >= abs(helped[0][1])]
    return f"raised by {' and '.join(named)}" if total > 0 else f"lowered by {named[0]}"


def load(path: str | Path) -> LinearModel:
    """Read a model file; raises BadInput with one sentence when it is missing, foreign or damaged."""
    name = Path(path).name
    try:
        stored = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"The linear model {name} cannot be read: {error.strerror or error}.") from error
    head, _, packed = stored.partition(b"\n")
    if not head.startswith(MAGIC):
        raise BadInput(f"{name} is not a linear model of this version.", fix="Fit it again and save it.")
    if hashlib.sha256(packed).hexdigest().encode() != head.removeprefix(MAGIC):
        raise BadInput(f"The linear model {name} is damaged: its content does not match its digest.")
    try:
        return LinearModel(_parts(zlib.decompress(packed)))
    except (zlib.error, struct.error, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"The linear model {name} is damaged: its content cannot be read.") from error


def _parts(content: bytes) -> Parts:
    (length,) = struct.unpack_from("<I", content)
    head: dict[str, Any] = json.loads(content[4 : 4 + length])
    columns = len(head["candidates"]) + len(head["channels"])
    blocks: list[Block] = []
    start = 4 + length
    for grams, scales in zip(head["grams"], head["scales"], strict=True):
        end = start + len(grams) * columns
        blocks.append(Block(tuple(grams), content[start:end], tuple(scales)))
        start = end
    words, characters = blocks
    if start != len(content) or not head["candidates"] or len(head["intercepts"]) != columns:
        raise ValueError("sizes do not agree")
    return Parts(
        tuple(head["channels"]),
        head["steps"],
        tuple(tuple(candidate) for candidate in head["candidates"]),
        tuple(head["intercepts"]),
        (words, characters),
    )
