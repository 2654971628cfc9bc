"""The linear model: predicts a query's channel weights and explains them, with the standard library alone.

`features` turns a query into two sets of n-grams: one to three words (in lower case, and again with
names and numbers replaced by a placeholder), and two to four characters within a word. Each set is
scaled to length one. For each candidate (a weight vector that is frequent among the teacher's labels; at
most `MOST_CANDIDATES`) the model computes the *expected weight score* of answering with it, and answers
with the best candidate. The weights therefore sum to 1 and lie on the teacher's grid, and the model
maximises the score that the evaluation measures (with a slight pull towards the expected weights).
Predicting the weights and taking the nearest candidate scores 0.2 lower. One more column per channel
holds the expected weight of the channel; these columns add up word by word and give the explanation.

Coefficients are eight-bit whole numbers. The coefficients of one n-gram sit side by side in one long
integer, so that adding an n-gram takes one addition, however many columns there are.

`training` fits the model. It needs numpy and scipy, which inference does not. Its docstring has the
choices made and their figures; `benchmarks/bench_linear.py` measures them.
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
from distillery.linear.function_words import can_be_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from distillery.task.weights import Weights

MAGIC = b"distillery-linear 1 "
MOST_CANDIDATES = 96
"""Weight vectors that the model can answer with; 64 score as well as all 98 that the real teacher used."""
MOST_BYTES = 2_400_000
"""Bytes of coefficients, one for each n-gram and column; with the n-grams the file stays under 3 MB."""
ZERO = 128
"""The byte of the coefficient 0: bytes are not negative, so no column of the sum borrows from the next."""
LANE = 4
"""Bytes of a column in the sum: enough for the n-grams of the longest query."""
NAMED_WORDS = 2
"""Words named for a channel whose weight was raised; one word is named where it was lowered."""
MOVED = 0.03
"""Change of an expected weight that an explanation mentions, for all words together and for a word alone."""


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
    `intercepts` holds each column's value for a query without a known n-gram. `blocks` are the word n-grams,
    then the character n-grams.
    """

    channels: tuple[str, ...]
    steps: int
    candidates: tuple[tuple[int, ...], ...]
    intercepts: tuple[float, ...]
    blocks: tuple[Block, Block]

    @property
    def columns(self) -> int:
        """The number of candidates and channels."""
        return len(self.candidates) + len(self.channels)


class _Table(NamedTuple):
    """A block prepared for prediction: n-gram -> its coefficients side by side in one integer."""

    rows: dict[str, int]
    scales: tuple[float, ...]


class LinearModel:
    """A fitted linear model. It answers any string, never changes, and can be shared by threads."""

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
        """One sentence: each channel's weight, largest first, and the words that raised or lowered it most.

        Function words (see `function_words`) are never named.
        """
        weights = self.predict(query)
        moves = self._moves(query)
        causes = {
            channel: _cause({word: by[place] for word, by in moves.items()})
            for place, channel in enumerate(self.parts.channels)
        }
        ranked = sorted(weights, key=lambda channel: -weights[channel])
        return f"{', '.join(f'{channel} {weights[channel]:.2g} ({causes[channel]})' for channel in ranked)}."

    def save(self, path: str | Path) -> None:
        """Write the model file; equal models give equal bytes."""
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
        """Word -> how far it moved each channel's expected weight; an n-gram counts equally for its words."""
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


def _cause(moves: Mapping[str, float]) -> str:
    """What moved a channel's expected weight, for example "raised by 'storm'".

    `moves` is word -> change. All words count towards the change; only those that can be a reason are named.
    """
    total = math.fsum(moves.values())
    if abs(total) < MOVED:
        return "close to its average"
    same_direction = {word: abs(by) for word, by in moves.items() if by * total > 0 and can_be_reason(word)}
    ranked = sorted(same_direction, key=lambda word: (-same_direction[word], word))
    # A word with less than a third of the first word's effect is left out: the main reason stays clear.
    named = [
        f"'{word[:24]}'"
        for word in ranked[:NAMED_WORDS]
        if same_direction[word] >= max(MOVED, same_direction[ranked[0]] / 3)
    ]
    if not named:
        return f"{'raised' if total > 0 else 'lowered'}, but no single word stands out"
    return f"raised by {' and '.join(named)}" if total > 0 else f"lowered by {named[0]}"


def load(path: str | Path) -> LinearModel:
    """Read a model file; raise BadInput when it is missing, is not a model file, or is damaged."""
    name = Path(path).name
    try:
        stored = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"The linear model {name} cannot be read: {error.strerror or error}.") from error
    head, _, packed = stored.partition(b"\n")
    if not head.startswith(MAGIC):
        raise BadInput(
            f"{name} is not a linear model of this version.", fix="Fit the model again and save it."
        )
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
