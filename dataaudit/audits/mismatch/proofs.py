"""Whether what the audit predicts comes true: findings and single traces, trained again.

A finding is proved by the fix that is worth most (`worth`). A trace says what removing one training row does
to the loss of one test row; for the strongest ones the row is removed and the model trained again to its
minimum, n and λ kept.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import polars as pl
import torch
from torch import Tensor

from dataaudit.audits.health import Check, verification_check
from dataaudit.audits.testset import Pair, Tested
from dataaudit.audits.validation import Refit, minima, retrained_loss
from dataaudit.features.columns import counted
from dataaudit.findings.schemas import TRACE_REFITS
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.model.objective import Change
from dataaudit.model.rows import ShardedRows
from dataaudit.options import NOT_KEPT, Checkpoint
from dataaudit.options.progress import ticking
from dataaudit.training.trained import Trained

# Share of a predicted fall of the loss that a refit must show.
CONFIRMED = 0.5


def proof_checks(fixes: pl.DataFrame, refits: pl.DataFrame) -> list[Check]:
    """Compare what was predicted of fixes and of traces with what the refits gave."""
    checks = [_fix_check(fixes)] if len(fixes) else []
    changes = list(refits.select("predicted", "measured").iter_rows())
    if changes:
        done = [Refit(at, "removed", *change) for at, change in enumerate(changes)]
        worst = max(done, key=lambda r: abs(r.predicted - r.measured))
        name, value, limit, ok, message = verification_check(done)
        far = f"furthest apart: {worst.predicted:+.3g} predicted, {worst.measured:+.3g} measured"
        checks.append((name, value, limit, ok, f"{message[:-1]} of traces; {far} nats."))
    return checks


def _fix_check(fixes: pl.DataFrame) -> Check:
    """Tell whether each refit lowers the loss by at least half of what was predicted."""
    shares = [measured / predicted for predicted, measured in fixes.iter_rows()]
    least = int(np.argmin(shares))
    predicted, measured = fixes.row(least)
    kept = "each" if shares[least] >= CONFIRMED else "not each"
    message = (
        f"Of {counted(len(shares), 'refit')} of findings {kept} lowers the mean loss by half of what was "
        f"predicted, or more; the one that falls shortest: {predicted:+.3g} predicted, {measured:+.3g} "
        "measured nats."
    )
    return ("proof", shares[least], CONFIRMED, bool(shares[least] >= CONFIRMED), message)


def refit_traces(
    trained: Trained,
    tested: Tested,
    pair: Pair,
    *,
    traces: pl.DataFrame,
    count: int,
    kept: Checkpoint = NOT_KEPT,
) -> pl.DataFrame:
    """Remove the training rows of the strongest traces one by one, and train again."""
    size = pl.col("delta_loss_if_removed").abs()
    top = traces.sort(size, "train_row_id", "test_row_id", descending=[True, False, False])
    top = top.unique("train_row_id", keep="first", maintain_order=True).head(count)
    places = [
        {data.row_id[at]: at for at in np.flatnonzero(data.row_id.is_in(top[name].implode())).tolist()}
        for data, name in ((pair.train, "train_row_id"), (pair.test, "test_row_id"))
    ]
    dense = trained.prepared.method == "cholesky"
    warm = trained.prepared.solve if dense else None
    model, rows = trained.objective.model, []
    gone = [places[0][name] for name in top["train_row_id"]]
    together = kept.once("all", partial(_together, trained, gone)) if is_sharded(trained) else {}
    for trace, train in ticking(list(zip(top.iter_rows(named=True), gone, strict=True))):
        test = places[1][trace["test_row_id"]]
        if trained.network is not None:
            change, frame = Change(torch.tensor([train])), tested.dataset.frame
            measured = retrained_loss(trained, change, row=test, label=int(tested.y[test]), frame=frame)
        else:
            refit = partial(refit_without, trained.objective, trained.fit, train, precondition=warm)
            theta = together[train] if train in together else kept.once(f"{train}", refit).theta
            block = tested.take(np.array([test]))
            measured = float(model.values(theta, block)[0]) - float(tested.loss[test])
        rows.append(
            (trace["test_row_id"], trace["train_row_id"], "removed", trace["delta_loss_if_removed"], measured)
        )
    return pl.DataFrame(rows, schema=TRACE_REFITS, orient="row")


def is_sharded(trained: Trained) -> bool:
    """Whether the training rows are not in memory."""
    return isinstance(trained.objective.rows, ShardedRows)


def _together(trained: Trained, rows: list[int]) -> dict[int, Tensor]:
    """Return the minima without each of some rows that are not in memory, by shared passes."""
    if not rows:
        return {}
    changes = [Change(torch.tensor([row])) for row in rows]
    return dict(zip(rows, minima(trained, changes, [trained.fit.theta] * len(rows)), strict=True))
