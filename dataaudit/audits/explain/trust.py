"""Whether a prediction rests on the neighbours of its row, and how unusual that is (NNIF).

For an input as people meet it, the training rows that help its prediction most are among its nearest; for a
foreign or adversarial one the model decides by other rows than those next to it (Cohen, Sapiro & Giryes
2020). Three measures of `influence.neighbourhood`, in the encoded features, for the class that is predicted:

    helpful   geometric mean of the places, by distance, of the m most helpful training rows
    harmful   the same of the m most harmful ones
    nearest   mean distance of the m nearest rows

The same is measured of other test rows, drawn at random; with c of N at least as far, the chance of a row
like them to be so far is (c + 1) / (N + 1). A prediction is unusual where the least of the three chances,
times three, is at most 5 %: under 59 other rows none can be.

A number that is predicted has no loss of its own: there the rows are those that raise it and that lower it
most, and a fourth measure says how far it is from the mean value of the m nearest rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.audits.explain.tables import ExplainedRow
from dataaudit.audits.testset import Tested, predict
from dataaudit.errors import SettingError
from dataaudit.features import Encoding
from dataaudit.findings import sentences
from dataaudit.findings.schemas import TRUST
from dataaudit.influence.neighbourhood import ranked
from dataaudit.model.rows import Block, MemoryRows, times
from dataaudit.options import ExplainOptions
from dataaudit.training.trained import Trained

OTHERS: Final = 200  # test rows that are compared with
PAIRS: Final = 2**25  # of a test and a training row, at the most
LEAST: Final = 20  # other test rows, whatever the number of pairs
UNUSUAL: Final = 0.05


@dataclass(frozen=True)
class Trust:
    """How usual a row is: a table, and the facts of the provenance."""

    table: pl.DataFrame
    facts: dict[str, Any]


def trust(explained: ExplainedRow, encoding: Encoding, settings: ExplainOptions) -> Trust:
    """Compare the row that is explained with other test rows."""
    trained, new, own = explained.trained, explained.new, explained.tested
    others = np.delete(np.arange(new.n), explained.at)
    if not len(others):
        what = "trust compares the row with other test rows: there are none"
        raise SettingError(what, "give the test rows that belong with it")
    n = trained.objective.rows.n
    most = min(OTHERS, max(LEAST, PAIRS // n), len(others))
    drawn = np.random.default_rng(settings.seed).choice(others, most, replace=False)
    mask = np.zeros(new.n, dtype=bool)
    mask[drawn] = True
    some = new.keep(pl.Series(mask))
    tested = predict(trained, some, np.zeros(some.n, dtype=own.y.dtype), encoding=encoding)
    measures = [_measures(trained, one, settings.top) for one in (own, tested)]
    rows = []
    for name, mine in measures[0].items():
        theirs = measures[1][name]
        far = int((theirs >= mine[0]).sum())
        rows.append((name, float(mine[0]), float(theirs.median()), far, most, (far + 1) / (most + 1)))
    table = pl.DataFrame(rows, schema=TRUST, orient="row")
    p = min(1.0, len(rows) * float(table["p_value"].to_numpy().min()))
    facts = {
        "rows": min(settings.top, n),
        "n_train": n,
        "n_others": most,
        "helpful": rows[0][1],
        "usual": rows[0][2],
        "as_far": rows[0][3],
        "p_value": p,
        "unusual": p <= UNUSUAL,
        "farthest": int(table["p_value"].arg_min() or 0),
        "is_number": trained.quantity is not None,
    }
    return Trust(table, facts | {"sentence": sentences.trust(facts)})


def _measures(trained: Trained, tested: Tested, m: int) -> dict[str, Tensor]:
    """Return the measures of each row."""  # -> (t,) each
    influences, distances = _influences(trained, tested), _distances(trained.objective.rows, tested.block)
    found, quantity = ranked(influences, distances, rows=m), trained.quantity
    places = [ranks.double().log().mean(1).exp() for ranks in (found.helpful_ranks, found.harmful_ranks)]
    nearest = found.nearest.mean(1)
    if quantity is None:
        return {"helpful": places[0], "harmful": places[1], "nearest": nearest}
    near = distances.topk(found.nearest.shape[1], dim=1, largest=False).indices
    values = quantity.decoded(trained.objective.rows.y[near].mean(1).numpy())
    apart = torch.from_numpy(np.abs(quantity.of_scores(tested.scores[:, 0].numpy()) - values))
    return {"raising": places[0], "lowering": places[1], "nearest": nearest, "apart": apart}


def _influences(trained: Trained, tested: Tested) -> Tensor:
    """Return what training rows do to the loss of what is predicted; of a number, to minus its score."""
    objective, theta, rows, s = trained.objective, trained.fit.theta, tested.block.dense(), tested.scores
    if trained.quantity is None:
        slope = trained.loss_slope(s, torch.from_numpy(tested.predicted))
    else:
        slope = -torch.ones_like(s)
    gradients = torch.einsum("td,tk->dkt", rows, slope).reshape(objective.model.n_params, -1)
    solved = trained.prepared.solve(gradients)
    influences = [objective.model.pair_influences(theta, solved, block) for block in objective.rows.blocks()]
    return torch.cat(influences).T  # (t, n)


def _distances(known: MemoryRows, test: Block) -> Tensor:
    """Return how far test rows are from training rows in the encoded features."""  # -> (t, n)
    X, T = known.X, test.dense()[:, :-1]
    squares = torch.from_numpy(X.multiply(X).sum(1)) if isinstance(X, csr_array) else X.square().sum(1)
    distances = squares - 2 * times(X, T.T.contiguous()).T + T.square().sum(1, keepdim=True)
    return distances.clamp_min(0.0).sqrt()
