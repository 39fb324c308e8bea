"""What may have happened to a column of texts: empty, cut short, written in another way, other words.

A way of writing is guessed where undoing it brings back words that the model knows: `GAIN` times as many a
text. A word of test that training never has may be another name for one that test lost.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import unquote_plus

import numpy as np
import polars as pl

from dataaudit.audits.mismatch.causes.fixes import NAME, Guess, Rewrite, draw, quoted
from dataaudit.audits.mismatch.causes.levels import repaired
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.shift.comparison import percent
from dataaudit.features.text import TextEncoder, count_terms, document_frequencies

Change = Callable[[str], str]
TextChange = Callable[[pl.Series], pl.Series]
READ: Final = 400  # texts that ways of writing are tried on
GAIN: Final = 1.2  # times as many known words a text, from which another way of writing is guessed
OFTEN: Final = 0.05  # share of rows from which a word is looked at
EVERYWHERE: Final = 0.9
SELDOM: Final = 0.1
NAMED: Final = 2  # new words, and lost ones for each, that are tried
CAPPED: Final = 0.2  # share of the test texts that are as long as the longest where they were cut

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def _plain(text: str) -> str:
    """Return a text without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


WRITTEN: Final[tuple[tuple[str, Change], ...]] = (
    ("UTF-8 read in another encoding", repaired),
    ("accented UTF-8 read in another encoding", lambda t: _plain(repaired(t))),
    ("HTML", lambda t: html.unescape(re.sub(r"<[^<>]*>", " ", t))),
    ("escaped for a URL", unquote_plus),
    ("with backslash escapes", lambda t: re.sub(r"\\[nrt]", " ", t)),
    ("with underscores for spaces", lambda t: t.replace("_", " ")),
    ("with invisible characters", lambda t: _INVISIBLE.sub("", t)),
    ("in full-width or styled letters", lambda t: unicodedata.normalize("NFKC", t)),
    ("with accents", _plain),
    ("with a space after every letter", lambda t: re.sub(r"(?<=\b\w) (?=\w\b)", "", t)),
    ("backwards", lambda t: t[::-1]),
)


@dataclass(frozen=True)
class TextSides:
    """A column of texts in training and in the judged test rows."""

    column: str
    encoder: TextEncoder
    known: pl.Series  # (n,) empty where missing
    new: pl.Series  # (t,) likewise

    @property
    def name(self) -> str:
        """The column in quotation marks."""
        return quoted(self.column, NAME)

    @cached_property
    def words(self) -> tuple[dict[str, float], dict[str, float]]:
        """The share of rows of each word, in training and in test."""
        found = []
        for texts in (self.known, self.new):
            some = texts.gather_every(max(1, len(texts) // (5 * READ)))
            counts = document_frequencies(some, self.encoder.units)
            found.append(dict(zip(counts["term"], (counts["rows"] / len(some)).to_list(), strict=True)))
        return found[0], found[1]

    def guess(self, cause: str, title: str, change: TextChange, *, fix: str, done: str) -> Guess:
        """Return a guess whose fix changes the texts: `done` is what to do, in the imperative."""
        column = self.column

        def cells(world: World) -> tuple[pl.Series, ...]:
            return (change(texts_of(world.new, column)).alias(column),)

        advice = f"{done[0].upper()}{done[1:]} in {self.name} of the test rows."
        return Guess(cause, title, Rewrite(fix, f"{done} in {self.name} of the test rows", advice, cells))


def texts_of(frame: pl.DataFrame, column: str) -> pl.Series:
    """Return a column as texts, empty where missing."""  # -> (n,)
    return frame.get_column(column).alias("").cast(pl.String).fill_null("")


def text_guesses(sides: TextSides) -> list[Guess]:
    """Return what may have happened, the most telling guess first."""
    found = [*_written(sides), *_emptied(sides), *_cut(sides), *_added(sides), *_lost(sides)]
    known, new = (_known_words(sides, texts) for texts in (sides.known, sides.new))
    title = f"{sides.name} has {new:.3g} known words a text in test and {known:.3g} in training"
    title += ": is it another kind of text?" if new < known / GAIN else ", and uses others."
    return [*found, Guess("moved", title, draw(sides.column))]


def _known_words(sides: TextSides, texts: pl.Series) -> float:
    """Return how many different words a text has that the model knows, on average."""
    some = texts.gather_every(max(1, len(texts) // READ))
    return float(count_terms(some, sides.encoder.vocabulary, sides.encoder.units).nnz) / max(len(some), 1)


def _each(change: Change) -> Callable[[pl.Series], pl.Series]:
    return lambda texts: pl.Series([change(text) for text in texts], dtype=pl.String)


def _written(sides: TextSides) -> Iterator[Guess]:
    """Guess that texts are written in another way."""
    some = sides.new.gather_every(max(1, len(sides.new) // READ))
    now = _known_words(sides, some)
    found = [(_known_words(sides, _each(change)(some)), how, change) for how, change in WRITTEN]
    most, how, change = max(found, key=lambda one: one[0])
    if most >= GAIN * max(now, 1 / READ):
        title = (
            f"{sides.name} has {most:.3g} known words a text in test if it is taken as {how}, and {now:.3g} "
        )
        title += "as it is: is it written so?"
        yield sides.guess("written", title, _each(change), fix="rewrite", done=f"undo that the text is {how}")


def _emptied(sides: TextSides) -> Iterator[Guess]:
    """Guess that texts got lost."""
    before, after = (
        float((~texts.str.contains(r"\S")).to_numpy().mean()) for texts in (sides.known, sides.new)
    )
    if after < before + SELDOM:
        return
    present = sides.known.filter(sides.known.str.contains(r"\S"))

    def change(texts: pl.Series) -> pl.Series:
        drawn = present[np.random.default_rng(0).integers(0, len(present), len(texts))]
        return texts.zip_with(texts.str.contains(r"\S"), drawn)

    shares = f"{percent(after)} of the test rows and {percent(before)} of the training rows"
    title = f"{sides.name} is empty in {shares}"
    done = "draw a text of training for an empty one"
    yield sides.guess("missing", f"{title}: did texts get lost?", change, fix="draw", done=done)


def _cut(sides: TextSides) -> Iterator[Guess]:
    """Guess that texts were cut short: those of training can be cut so, too."""
    before, after = (texts.str.len_chars().to_numpy() for texts in (sides.known, sides.new))
    length = int(after.max(initial=0))
    longer = float((before > length).mean())
    if length and longer >= SELDOM and (after >= EVERYWHERE * length).mean() >= CAPPED:
        title = (
            f"{sides.name} has at most {length:,} characters in test, more in {percent(longer)} of training"
        )
        yield Guess("cut", f"{title}: are texts cut short?", CutBoth(sides.column, length))


@dataclass(frozen=True)
class CutBoth:
    """Texts of training are cut as short as those of test, with a refit."""

    column: str
    length: int

    @property
    def name(self) -> str:
        """One of `FIXES`."""
        return "cut"

    @property
    def detail(self) -> str:
        """What was done."""
        return f"{quoted(self.column, NAME)} of the training rows cut to {self.length:,} characters"

    @property
    def advice(self) -> str:
        """What to do."""
        return (
            f"Cut {quoted(self.column, NAME)} of training to {self.length:,} characters too and train again."
        )

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world with the texts cut."""
        cut = texts_of(world.known, self.column).str.slice(0, self.length)
        return world.with_known(cut.alias(self.column), exact=exact)


def _added(sides: TextSides) -> Iterator[Guess]:
    """Guess that something was added to every text, or took the place of a word."""
    before, after = sides.words
    every = [
        w for w, share in after.items() if share >= EVERYWHERE and before.get(w, 0.0) < share - EVERYWHERE / 2
    ]
    if every:
        some = _some(every)
        pattern = rf"(?i)\b(?:{'|'.join(map(re.escape, every))})\b"
        title = f"{sides.name} has {some} in nearly every test row, and not in training: was it added?"
        yield sides.guess(
            "added",
            title,
            lambda texts: texts.str.replace_all(pattern, " "),
            fix="rewrite",
            done=f"take out {some}",
        )
    new = [w for w, share in after.items() if share >= OFTEN and w not in before and w not in every]
    lost = [w for w, share in before.items() if share >= OFTEN and after.get(w, 0.0) < SELDOM * share]
    for word in sorted(new, key=lambda w: -after[w])[:NAMED]:
        for old in sorted(lost, key=lambda w: abs(before[w] - after[word]))[:NAMED]:
            shares = f"in {percent(after[word])} of test, training {quoted(old)} in {percent(before[old])}"
            title = f"{sides.name} has the new word {quoted(word)} {shares}: is it the same?"
            yield sides.guess(
                "renamed",
                title,
                _replaced(word, old),
                fix="rename",
                done=f"write {quoted(old)} for {quoted(word)}",
            )


def _some(words: list[str]) -> str:
    first, more = words[:NAMED], len(words) - NAMED
    return ", ".join(map(quoted, first)) + (f" and {more:,} more" if more > 0 else "")


def _replaced(word: str, old: str) -> Callable[[pl.Series], pl.Series]:
    return lambda texts: texts.str.replace_all(rf"(?i)\b{re.escape(word)}\b", old.replace("$", "$$"))


def _lost(sides: TextSides) -> Iterator[Guess]:
    """Guess that words were taken out of every text."""
    before, after = sides.words
    lost = [w for w, share in before.items() if share >= EVERYWHERE and after.get(w, 0.0) < SELDOM]
    if lost:
        some = _some(lost)
        title = f"{sides.name} has {some} in nearly every training row, and not in test: was it taken out?"
        words = " ".join(lost)
        yield sides.guess(
            "added", title, lambda texts: texts + f" {words}", fix="rewrite", done=f"add {some}"
        )
