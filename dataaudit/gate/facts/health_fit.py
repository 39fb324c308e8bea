"""Facts about the audit itself: whether what it says can be trusted."""

from __future__ import annotations

import polars as pl

from dataaudit.audits.health import check_health
from dataaudit.audits.tables import choose_ranking, review_order
from dataaudit.audits.verify import verify
from dataaudit.gate.facts.fitted import fitted
from dataaudit.gate.material import Material

# Rows that are taken out and relabelled for good: two refits each.
CHECKED = 3


def health(material: Material) -> pl.DataFrame:
    """Return an audit's own table of health, one row a check."""
    model, step = fitted(material), material.on_step
    ranking, _ = choose_ranking("auto", model.noise)
    order = review_order(model.dataset, model.scores, model.noise, ranking=ranking)[:CHECKED]
    total = 2 * len(order)
    refits = verify(
        model.trained, model.scores, order, on_refit=lambda done: step("verify by refits", done, total)
    )
    return check_health(model.trained, model.scores, refits, noise=model.noise)
