"""Whether what the audit predicts comes true: findings and single traces, trained again.

A finding is proved by the fix that is worth most (`worth`). A trace says what removing one training row does
to the loss of one test row; for the strongest ones the row is removed and the model trained again to its
minimum, n and λ kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from dataaudit.audits.health import Check, verification_check
from dataaudit.audits.testset import Pair, Tested
from dataaudit.audits.validation import Refit
from dataaudit.findings.schemas import TRACE_REFITS
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.training.trained import Trained

# Predicted and measured change of a mean loss, in nats.
Proof = tuple[float | None, float | None]


def proof_checks(proofs: Sequence[Proof], refits: pl.DataFrame) -> list[Check]:
    """Compare what was predicted for findings and for traces with what the refits gave."""
    checks = []
    for name, what, changes in (
        ("proof", "findings", [(p, m) for p, m in proofs if p is not None and m is not None]),
        ("verification", "traces", list(refits.select("predicted", "measured").iter_rows())),
    ):
        if not changes:
            continue
        done = [Refit(at, "removed", *change) for at, change in enumerate(changes)]
        worst = max(done, key=lambda r: abs(r.predicted - r.measured))
        _, value, limit, ok, message = verification_check(done)
        far = f"furthest apart: {worst.predicted:+.3g} predicted, {worst.measured:+.3g} measured"
        checks.append((name, value, limit, ok, f"{message[:-1]} of {what}; {far} nats."))
    return checks


def refit_traces(
    trained: Trained, tested: Tested, pair: Pair, *, traces: pl.DataFrame, count: int
) -> pl.DataFrame:
    """Remove the training rows of the strongest traces one by one, and train again."""
    size = pl.col("delta_loss_if_removed").abs()
    top = traces.sort(size, "train_row_id", "test_row_id", descending=[True, False, False])
    top = top.unique("train_row_id", keep="first", maintain_order=True).head(count)
    places = [
        {name: place for place, name in enumerate(data.row_id.to_list())} for data in (pair.train, pair.test)
    ]
    dense = trained.prepared.method == "cholesky"
    warm = trained.prepared.solve if dense else None
    model, rows = trained.objective.model, []
    for trace in top.iter_rows(named=True):
        train, test = places[0][trace["train_row_id"]], places[1][trace["test_row_id"]]
        again = refit_without(trained.objective, trained.fit, train, precondition=warm)
        block = tested.take(np.array([test]))
        measured = float(model.values(again.theta, block)[0]) - float(tested.loss[test])
        rows.append(
            (trace["test_row_id"], trace["train_row_id"], "removed", trace["delta_loss_if_removed"], measured)
        )
    return pl.DataFrame(rows, schema=TRACE_REFITS, orient="row")
