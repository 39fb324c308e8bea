"""Texts: written in another way, with words added, taken out or renamed."""

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.mismatch.causes.texts import TextSides, text_guesses
from dataaudit.features.text import fit_text
from dataaudit.options import EncoderOptions

WORDS = ["rose", "soil", "spade", "café", "tulip", "anchor", "sail", "tide", "vessel", "dock"]


def texts(n, seed):
    random = np.random.default_rng(seed)
    return pl.Series([" ".join(["subject", *random.choice(WORDS, 8)]) for _ in range(n)])


def guesses(change):
    known, new = texts(300, 0), texts(200, 1)
    changed = pl.Series([change(text) for text in new])
    encoder = fit_text("note", known, settings=EncoderOptions())
    return text_guesses(TextSides("note", encoder, known, changed))


@pytest.mark.parametrize(
    ("change", "cause", "words"),
    [
        (lambda t: t.replace(" ", "_"), "written", "underscores"),
        (
            lambda t: " ".join(f"&lt;{w}&gt;" if len(w) > 3 else w for w in t.split()).replace(" ", "<br>"),
            "added",
            "“br”",
        ),
        (lambda t: "".join(c + "\u200b" for c in t), "written", "invisible"),
        (
            lambda t: "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in t),
            "written",
            "full-width",
        ),
        (lambda t: t[::-1], "written", "backwards"),
        (lambda t: t.replace(" ", "+"), "moved", "note"),
        (lambda t: t + " unsubscribe here", "added", "“here”, “unsubscribe”"),
        (lambda t: t.replace("subject ", ""), "added", "“subject” in nearly every training row"),
        (lambda t: t.replace("anchor", "hook"), "renamed", "“hook”"),
        (lambda t: t[:25], "cut", "at most 25 characters"),
        (lambda t: t if hash(t) % 2 else "", "missing", "empty in"),
    ],
)
def test_what_happened_is_named(change, cause, words):
    found = guesses(change)
    assert any(guess.cause == cause and words in guess.title for guess in found)


def test_alike_texts_have_no_guess_but_that_they_moved():
    assert [guess.cause for guess in guesses(lambda t: t)] == ["moved"]
