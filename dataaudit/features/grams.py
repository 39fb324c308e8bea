"""Runs of 2 to 4 characters, counted as terms: what texts are made of where spaces do not part the words.

As scikit-learn's ``analyzer="char_wb"``: each run of text is taken with a space at either end, so that a
single character leaves a trace, and no gram reaches over a space. Unlike it, none parts a character from the
marks on it: vowel signs, accents, skin colours. Characters are numbered as they are met, and a gram is one
64-bit number of up to four such numbers: made by numpy and counted by Polars, without a loop over characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

SIZES: Final = (2, 3, 4)
_BITS: Final = 16
_CODE_POINTS: Final = 0x110000
_SPACE: Final = ord(" ")

Keys = NDArray[np.uint64]


class Alphabet:
    """Characters numbered from 1 as they are met; after 65,535 of them, which no text has, the rest are 0."""

    def __init__(self, text: str = " ") -> None:
        self._number = np.zeros(_CODE_POINTS, dtype=np.uint16)
        self._met = np.zeros(1, dtype=np.uint32)
        self.marks = np.zeros(_CODE_POINTS, dtype=bool)  # which go with the character before them
        self.learn(_code_points(text))

    def learn(self, points: NDArray[np.uint32]) -> None:
        """Give numbers to the characters that are new."""
        seen = np.zeros(_CODE_POINTS, dtype=bool)
        seen[points] = True
        new = np.flatnonzero(seen & (self._number == 0))[: 2**_BITS - len(self._met)]
        self._number[new] = np.arange(len(self._met), len(self._met) + len(new))
        self._met = np.concatenate([self._met, new.astype(np.uint32)])
        self.marks[new] = [_is_mark(chr(point)) for point in new.tolist()]

    def numbers(self, points: NDArray[np.uint32]) -> NDArray[np.uint16]:
        """Return the number of each character, 0 for those that are not known."""
        return self._number[points]

    def keys(self, terms: pl.Series) -> pl.DataFrame:
        """Return the keys of those terms that may be grams: columns ``key`` and ``code``, their place."""
        lengths = terms.str.len_chars().to_numpy()
        found = []
        for size in SIZES:
            at = np.flatnonzero(lengths == size)
            numbers = self.numbers(_code_points("".join(terms.gather(at)))).reshape(-1, size)
            keys = _keys([numbers[:, j] for j in range(size)])
            found.append(pl.DataFrame({"key": keys, "code": at.astype(np.int32)}))
        return pl.concat(found)

    def terms(self, keys: Keys) -> pl.Series:
        """Return the grams of keys."""
        found = np.full(len(keys), "", dtype=object)
        sizes = sum((keys >> np.uint64(_BITS * (size - 1)) > 0).astype(np.int64) for size in range(1, 5))
        for size in SIZES:
            at = np.flatnonzero(sizes == size)
            shifts = np.arange(size - 1, -1, -1, dtype=np.uint64) * np.uint64(_BITS)
            numbers = (keys[at, None] >> shifts) & np.uint64(2**_BITS - 1)
            text = self._met[numbers.astype(np.int64)].astype("<u4").tobytes().decode("utf-32-le")
            found[at] = [text[start : start + size] for start in range(0, len(text), size)]
        return pl.Series("term", found.tolist(), dtype=pl.String)


def frequencies(blocks: Iterable[pl.Series], *, least: int = 1) -> pl.DataFrame:
    """Count the rows with each gram, among lists of runs: columns ``term`` and ``rows``, `least` or more."""
    alphabet, found = Alphabet(), [pl.DataFrame(schema={"key": pl.UInt64, "rows": pl.UInt32})]
    for runs in blocks:
        grams = _grams(runs, alphabet, learn=True).unique()
        found.append(grams.group_by("key").agg(pl.len().cast(pl.UInt32).alias("rows")))
    counts = pl.concat(found).group_by("key").agg(pl.col("rows").cast(pl.Int64).sum())
    kept = counts.filter(pl.col("rows") >= least)
    return kept.select(term=alphabet.terms(kept["key"].to_numpy()), rows=pl.col("rows"))


def count(runs: pl.Series, vocabulary: pl.Series) -> csr_array:
    """Count the grams of a vocabulary in each row's runs."""  # -> (n, dt)
    alphabet = Alphabet(" " + "".join(vocabulary.str.join("").to_list()))
    grams = _grams(runs, alphabet, learn=False)
    counts = grams.join(alphabet.keys(vocabulary), on="key").group_by("row", "code").len()
    row, code = counts["row"].to_numpy(), counts["code"].to_numpy()
    data = counts["len"].cast(pl.Float64).to_numpy()
    return csr_array((data, (row, code)), shape=(len(runs), len(vocabulary)))


def _grams(runs: pl.Series, alphabet: Alphabet, *, learn: bool) -> pl.DataFrame:
    """Return the grams of rows' runs: columns ``row`` and ``key``, one row an occurrence."""
    flat = runs.explode(empty_as_null=False)
    points = _code_points(f" {flat.str.join(' ').item()} " if len(flat) else "")
    if learn:
        alphabet.learn(points)
    numbers, inside = alphabet.numbers(points), points != _SPACE
    widths = flat.str.len_chars().to_numpy().astype(np.int64) + 1  # each run with the space after it
    owner = np.repeat(np.arange(len(runs), dtype=np.int32), runs.list.len().to_numpy())
    row = np.concatenate([owner[:1], np.repeat(owner, widths)])
    begins = np.append(~alphabet.marks[points], values=True)
    parts = []
    for size in SIZES:
        n = max(len(points) - size + 1, 0)
        windows = [numbers[j : j + n] for j in range(size)]
        whole = np.logical_and.reduce([w > 0 for w in windows])
        for j in range(1, size - 1):
            whole &= inside[j : j + n]
        whole &= begins[:n] & begins[size : size + n]
        at = np.flatnonzero(whole)
        mine = row[at + ~inside[at]]  # a gram that begins with a space is of the run after it
        parts.append(pl.DataFrame({"row": mine, "key": _keys([w[at] for w in windows])}))
    return pl.concat(parts)


def _keys(numbers: Sequence[NDArray[np.uint16]]) -> Keys:
    """Return the keys of grams by the numbers of their characters."""
    keys = np.zeros(len(numbers[0]), dtype=np.uint64)
    for mine in numbers:
        keys = (keys << np.uint64(_BITS)) | mine
    return keys


def _is_mark(character: str) -> bool:
    """Tell whether a character only changes the one before it: a vowel sign, a skin colour, a joiner."""
    joiner = character == "\N{ZERO WIDTH JOINER}"
    return (
        joiner or unicodedata.category(character).startswith("M") or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
