"""Words removed from a text, or added to it: what each does to the loss of a test row.

For a row with counts c and weights a_j (`encode.text`), a text column's share of the scores is
``Σ a_j C_j / √N`` with N = Σ a_j² for tf-idf, and C the rows of [Θ, V]. One more or one fewer of word j makes
it

    (Σ a_j C_j + (a'_j - a_j) C_j) / √(N + a'_j² - a_j²)

A new word can make a row decide for itself, which first order in 1/n does not see: a text of no known word
would always come first. So the slope of the row's loss is taken where its scores come to rest once it is
trained on, ``s' = s - q r(s')/n``, with q = Σ x̃_j²/H_jj, the diagonal in the place of H.

Every occurrence in a text may go. Of the vocabulary those words may come whose weights in Θ and in V are the
largest: they have the steepest slopes whatever the row, as a slope is a mixture of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.audits.attack.change import Edit, Ground
from dataaudit.audits.attack.domain import Reals, Whole, Words
from dataaudit.audits.attack.reach import Batch, Probe
from dataaudit.encode.text import count_terms

EMPTY: Final = 1e-12  # squared length of a text without words, up to rounding
OFFERED: Final = 100  # words of the vocabulary that may come, by each column of Θ and V


@dataclass(frozen=True)
class Wordings:
    """All edits of one text column that are looked at, as entries of a list.

    Attributes
    ----------
    rows, terms : ndarray (e,) int64
        Of each edit, the place of its row in the batch, and of its word in the vocabulary.
    added : ndarray (e,) bool
    gains : ndarray (e,)
        Changes of the test loss, in nats, with the row trained on.
    """

    rows: Whole
    terms: Whole
    added: NDArray[np.bool_]
    gains: Reals

    def best(self, count: int, n_rows: int) -> tuple[Whole, Reals]:
        """Return each row's largest gains above 0, and where they are.

        Parameters
        ----------
        count : int
            How many a row.
        n_rows : int
            Rows of the batch.

        Returns
        -------
        at : ndarray (n_rows, count) int64
            Entries; -1 where there are no more.
        gains : ndarray (n_rows, count)
            0 there.
        """
        order = np.lexsort((-self.gains, self.rows))
        order = order[self.gains[order] > 0]
        owner = self.rows[order]
        place = np.arange(len(order)) - np.searchsorted(owner, owner)
        kept = place < count
        at = np.full((n_rows, count), -1, dtype=np.int64)
        at[owner[kept], place[kept]] = order[kept]
        return at, np.where(at >= 0, self.gains[np.maximum(at, 0)] if len(order) else 0.0, 0.0)

    def edit(self, words: Words, entry: int) -> Edit:
        """Return one of them."""
        return Edit(
            words.column, str(words.encoder.vocabulary[int(self.terms[entry])]), bool(self.added[entry])
        )


def term_counts(ground: Ground, words: Words) -> csr_array:
    """Return how often every training row has every term."""  # -> (n, V)
    return count_terms(ground.dataset.frame.get_column(words.column).alias(""), words.encoder.vocabulary)


def wordings(probe: Probe, batch: Batch, words: Words, *, counts: csr_array) -> Wordings:
    """Return what removing or adding one word does, for all rows of a batch.

    Parameters
    ----------
    probe : Probe
    batch : Batch
        b rows.
    words : Words
        The text column.
    counts : csr_array (b, V)
        How often each row has each term.

    Returns
    -------
    Wordings
    """
    size = len(words.encoder.vocabulary)
    first = len(batch.columns.features) - len(batch.columns.term_features) + words.first
    C = probe.coefficients[first : first + size]
    shortlist = _offered(C, words.idf)
    here = np.repeat(np.arange(len(batch.rows)), np.diff(counts.indptr))
    rows = np.concatenate([here, np.repeat(np.arange(len(batch.rows)), len(shortlist))])
    terms = np.concatenate([counts.indices, np.tile(shortlist, len(batch.rows))]).astype(np.int64)
    have = np.concatenate([counts.data, counts[:, shortlist].toarray().ravel()])
    added = np.arange(len(rows)) >= len(here)
    before = words.weigh(have) * words.idf[terms]
    after = words.weigh(have + np.where(added, 1.0, -1.0)) * words.idf[terms]
    weights = counts.copy()
    weights.data = words.weigh(counts.data) * words.idf[counts.indices]
    at, longer = torch.from_numpy(rows), torch.from_numpy(after**2 - before**2)
    squared = torch.from_numpy(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    text = _Text(weights, squared, (squared[at] + longer)[:, None], at, words.encoder.weighting == "tfidf")
    base, block = probe.scored(batch.block.X), batch.block
    j = torch.from_numpy(terms)
    scored = base[at] + text.moved(C, torch.from_numpy(after - before)[:, None] * C[j], power=1)
    rest = squares(batch.block.X) @ probe.loose[:-1].numpy() + probe.loose[-1].numpy()
    loose = probe.loose[first : first + size]
    own = torch.from_numpy(rest)[at] + text.moved(loose, longer[:, None] * loose[j], power=2)
    own = own * block.weight[at][:, None] / probe.n
    k = own.shape[1]
    rested = torch.cat([probe.rest(scored[:, :k], own, block.y[at]), scored[:, k:]], dim=1)
    gains = probe.gain(rested, block.y[at], block.weight[at]) - probe.gain(base, block.y, block.weight)[at]
    return Wordings(rows, terms, added, gains.numpy())


def squares(X: Tensor | csr_array) -> csr_array | Reals:
    """Return the squares of a matrix."""
    return X.square().numpy() if isinstance(X, Tensor) else csr_array(X.multiply(X))


@dataclass(frozen=True)
class _Text:
    """Weights of the terms of rows, and the lengths before and after an edit.

    Attributes
    ----------
    weights : csr_array (b, V)
        Before rows are brought to length 1.
    squared : Tensor (b,)
        Their squared lengths.
    new : Tensor (e, 1)
        Those after each edit.
    at : Tensor (e,)
        The row of each edit.
    unit : bool
        Whether rows are brought to length 1.
    """

    weights: csr_array
    squared: Tensor
    new: Tensor
    at: Tensor
    unit: bool

    def moved(self, C: Tensor, step: Tensor, *, power: int) -> Tensor:
        """Return the change of ``Σ x_j^power C_j``, to which the edit itself adds `step`."""  # -> (e, m)
        if not self.unit:
            return step
        whole = self.weights if power == 1 else squares(self.weights)
        share = torch.from_numpy(whole @ C.numpy())
        # A text of one word is empty without it.
        then = torch.where(
            self.new <= EMPTY, 0.0, (share[self.at] + step) / self.new.clamp_min(EMPTY) ** (power / 2)
        )
        return then - (share / self.squared.clamp_min(EMPTY)[:, None] ** (power / 2))[self.at]


def _offered(C: Tensor, idf: Reals) -> Whole:
    """Return the terms with the largest weights, by each column of C."""
    steep = C.abs() * torch.from_numpy(idf)[:, None]
    few = min(OFFERED, len(steep))
    return np.unique(steep.topk(few, dim=0).indices.numpy().ravel())
