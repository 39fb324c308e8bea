r"""Free text as sublinear tf-idf or as counts.

For term t in row i with count c_it and document frequency df_t among n rows, as scikit-learn's
``TfidfVectorizer`` with ``sublinear_tf=True``, smoothed idf and l2 norm::

    x_it ∝ (1 + log c_it) · (1 + log((1 + n) / (1 + df_t))),        ‖x_i‖ = 1

Terms are lower-cased runs of two or more word characters (``\w{2,}``), which is scikit-learn's default
pattern. Polars cuts and hashes them in compiled code: faster than scikit-learn on 5,172 e-mails, and without
its import (1.1 s), which would be most of the start of a small audit. A test keeps both equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from dataaudit.errors import EncodeError
from dataaudit.features.columns import ColumnBlocks, Feature, cast_series
from dataaudit.options import EncoderOptions

TOKEN = r"\w{2,}"  # noqa: S105 - a pattern, no password
_BLOCK_BYTES = 64 * 2**20  # of text cut at a time: the tokens of a block take about three times that


@dataclass(frozen=True)
class TextEncoder:
    """Terms of one text column."""

    column: str
    weighting: Literal["tfidf", "counts"]  # what stands for a term in a row
    vocabulary: pl.Series  # (dt,) terms, sorted; a tuple of 100,000 strings is slow to compare and to pickle
    idf: NDArray[np.float64]  # (dt,) inverse document frequencies; ones for counts
    notes: tuple[str, ...] = ()  # decisions to state to the user

    @property
    def features(self) -> tuple[Feature, ...]:
        """One per term."""
        return tuple(Feature(f"{self.column}: {term}", self.column, term, "term") for term in self.vocabulary)

    def transform(self, series: pl.Series) -> ColumnBlocks:
        """Encode n texts; null is the empty text, terms that training did not have are passed over."""
        counts = count_terms(series, self.vocabulary)
        return ColumnBlocks(terms=counts if self.weighting == "counts" else weigh(counts, self.idf))

    def unseen(self, series: pl.Series) -> tuple[str, ...]:
        """Unseen words are the rule, not worth a list."""
        return ()


def fit_text(column: str, series: pl.Series, *, settings: EncoderOptions) -> TextEncoder:
    """Learn vocabulary and document frequencies; no term is left if no text has a word of two characters."""
    tfidf = settings.text_features == "tfidf"
    min_df = settings.min_df if tfidf else settings.counts_min_df
    terms = document_frequencies(series)
    kept = terms.filter(pl.col("rows") >= min_df)
    notes: tuple[str, ...] = ()
    if kept.is_empty() and not terms.is_empty():
        few = f"no word occurs in {min_df} of {len(series):,} rows, so all words are used"
        notes = (f"Column {column!r}: {few}.",)
        kept = terms
    rows = kept["rows"].to_numpy()
    idf = np.log((1.0 + len(series)) / (1.0 + rows)) + 1.0 if tfidf else np.ones(len(kept))
    return TextEncoder(column, settings.text_features, kept["term"], idf, notes)


def document_frequencies(series: pl.Series) -> pl.DataFrame:
    """Count the rows in which each term occurs: columns ``term`` (sorted) and ``rows``."""
    found = []
    for tokens in _blocks(series):
        terms = tokens.explode().drop_nulls().unique().sort()
        counts = _count_block(tokens, terms)
        rows = np.bincount(counts.indices, minlength=len(terms))
        found.append(pl.DataFrame({"term": terms, "rows": rows.astype(np.int64)}))
    return pl.concat(found).group_by("term").agg(pl.col("rows").sum()).sort("term")


def count_terms(series: pl.Series, vocabulary: pl.Series) -> csr_array:
    """Count the terms of a vocabulary in each text."""  # -> (n, dt)
    blocks = [_count_block(tokens, vocabulary) for tokens in _blocks(series)]
    return blocks[0] if len(blocks) == 1 else csr_array(vstack(blocks, format="csr"))


def weigh(counts: csr_array, idf: NDArray[np.float64]) -> csr_array:
    """Turn counts into sublinear tf-idf with rows of length 1; rows without terms stay zero."""
    data = (1.0 + np.log(counts.data)) * idf[counts.indices]
    lengths = np.diff(counts.indptr)
    row = np.repeat(np.arange(counts.shape[0]), lengths)
    norms = np.sqrt(np.bincount(row, weights=data * data, minlength=counts.shape[0]))
    return csr_array((data / norms[row], counts.indices, counts.indptr), shape=counts.shape)


def _blocks(series: pl.Series) -> Iterator[pl.Series]:
    """Yield the tokens (List of String) of consecutive blocks of rows; at least one block."""
    if series.dtype.is_nested():
        raise EncodeError(f"text in training and {series.dtype} now", "join it to one text a row")
    text = cast_series(series, pl.String()).fill_null("")
    size = int(text.str.len_bytes().sum())
    n_blocks = max(1, -(-size // _BLOCK_BYTES))
    rows = max(1, -(-len(text) // n_blocks))
    for start in range(0, max(len(text), 1), rows):
        yield text.slice(start, rows).str.to_lowercase().str.extract_all(TOKEN)


def _count_block(tokens: pl.Series, vocabulary: pl.Series) -> csr_array:
    lengths = tokens.list.len().to_numpy().astype(np.int64)
    flat = tokens.explode().drop_nulls()
    # The enum hashes every token once in compiled code; tokens beyond the vocabulary become null.
    codes = flat.cast(pl.Enum(vocabulary), strict=False).to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
    known = codes >= 0
    row = np.repeat(np.arange(len(tokens)), lengths)[known]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(tokens)))])
    counts = csr_array((np.ones(len(row)), codes[known], indptr), shape=(len(tokens), len(vocabulary)))
    counts.sum_duplicates()
    return counts
