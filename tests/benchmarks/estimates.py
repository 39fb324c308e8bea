"""Estimated against exact values where a factor still fits: which rows are first, and how far values are off.

    python tests/benchmarks/estimates.py [--data FOLDER] [--rows 10000]

Mails of several collections with 10 % of the labels flipped are audited twice with the same ridge: by a
factor, and by random projections with solves for the rows that are shown. Printed are the average precision
of the flips by either, how many of the first 100 rows are the same, the largest relative error of what is
said of rows whose values are not marked as estimates, and the share of the others whose leverage is within
the 95 % interval that is claimed.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dataaudit.api.audits import audit_labels
from dataaudit.audits.estimates.solves import intervals
from dataaudit.findings.schemas import Findings
from dataaudit.model import costs

EXACT = ("self_influence", "leverage", "loo_loss", "delta_loss_if_removed", "delta_loss_if_relabelled")
FIRST, FLIPPED = 100, 0.1
LEAST = 0.01  # nats, below which the size of a difference of losses says nothing


@dataclass(frozen=True)
class Compared:
    """What estimates change."""

    precision: tuple[float, float]  # of the flips, exact and estimated
    same: int  # of the first rows
    off: float  # largest relative error of values that are not marked
    marked: int
    covered: float  # share of the marked whose leverage is within the interval
    wrong: tuple[float, float]  # expected wrong labels
    seconds: tuple[float, float]  # of the processor


def flipped_mails(folder: Path, rows: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Draw mails and flip a tenth of their labels."""
    mails = pl.read_parquet(folder / "enron_all.parquet").sample(rows, seed=seed, shuffle=True)
    flip = np.random.default_rng(seed).random(rows) < FLIPPED
    other = pl.when(pl.col("label") == "spam").then(pl.lit("ham")).otherwise(pl.lit("spam"))
    label = pl.when(pl.Series(flip)).then(other).otherwise(pl.col("label"))
    return mails.select("text", label.alias("label")), flip


def average_precision(labels: pl.DataFrame, flip: np.ndarray) -> float:
    """Return that of the flips by rank."""
    hits = flip[labels["row"].to_numpy()]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def compare(mails: pl.DataFrame, flip: np.ndarray) -> Compared:
    """Audit mails by a factor and by estimates."""
    exact, first = _audited(mails, work=np.inf)
    estimated, second = _audited(mails, work=0.0, l2=exact.provenance.l2)
    both = exact.labels.join(estimated.labels, on="row", suffix="_by_estimates")
    known, marked = both.filter(~pl.col("estimated")), both.filter("estimated")
    off = max(
        float(((known[f"{name}_by_estimates"] - known[name]).abs() / known[name].abs().clip(LEAST)).max())
        for name in EXACT
    )
    h, probes = marked["leverage"].to_numpy(), costs.PROBES
    within = np.abs(marked["leverage_by_estimates"].to_numpy() / h - 1) <= intervals(h, probes)
    return Compared(
        precision=(average_precision(exact.labels, flip), average_precision(estimated.labels, flip)),
        same=len(set(exact.labels["row"][:FIRST]) & set(estimated.labels["row"][:FIRST])),
        off=off,
        marked=marked.height,
        covered=float(within.mean()),
        wrong=(exact.provenance.expected_wrong, estimated.provenance.expected_wrong),
        seconds=(first, second),
    )


def _audited(mails: pl.DataFrame, *, work: float, l2: float | None = None) -> tuple[Findings, float]:
    """Audit with a factor up to so much work, and say how long it took."""
    before, costs.WORK = costs.WORK, work  # type: ignore[misc]
    start = time.process_time()
    try:
        audit = audit_labels(mails, label="label", text="text", l2=l2)
    finally:
        costs.WORK = before  # type: ignore[misc]
    return audit.findings, time.process_time() - start


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=10_000)
    given = parser.parse_args()
    found = compare(*flipped_mails(given.data, given.rows))
    print(f"average precision   exact {found.precision[0]:.5f}   estimated {found.precision[1]:.5f}")
    print(f"expected wrong      exact {found.wrong[0]:.1f}   estimated {found.wrong[1]:.1f}")
    print(f"seconds of the processor  exact {found.seconds[0]:.0f}   estimated {found.seconds[1]:.0f}")
    print(
        f"first {FIRST} rows: {found.same} the same; values not marked are off by {found.off:.1e} at the most"
    )
    print(f"{found.marked:,} rows are marked; {found.covered:.1%} of them within the 95% interval")
    return 0


if __name__ == "__main__":
    sys.exit(main())
