"""The paper's hospital case: which training rows mislead the model about children.

    python examples/paper/hospital.py --data diabetes130.parquet

Koh & Liang (2017), section 5.3: 20,000 balanced training rows of the UCI data on 130 hospitals, 127 features
without scaling, λ = 1e-4, no intercept. All but one of the 21 children that were not readmitted within 30
days leave the training rows, so 3 of its 4 children were, and the model goes wrong on children of the test.

Part 1 repeats the paper's recipe in NumPy, formula by formula, to the true minimum: its own fit stopped
early.
Part 2 gives the same rows to `audit_mismatch`, which is told neither of children nor of a test row.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from paper import table

from dataaudit.api.audits import audit_mismatch

NUMBERS = [
    "time_in_hospital",
    "num_lab_procedures",
    "num_procedures",
    "num_medications",
    "number_outpatient",
    "number_emergency",
    "number_inpatient",
    "number_diagnoses",
]
CATEGORIES = [
    "gender",
    "race",
    "age",
    "discharge_disposition_id",
    "max_glu_serum",
    "A1Cresult",
    "metformin",
    "repaglinide",
    "nateglinide",
    "chlorpropamide",
    "glimepiride",
    "acetohexamide",
    "glipizide",
    "glyburide",
    "tolbutamide",
    "pioglitazone",
    "rosiglitazone",
    "acarbose",
    "miglitol",
    "troglitazone",
    "tolazamide",
    "examide",
    "citoglipton",
    "insulin",
    "glyburide-metformin",
    "glipizide-metformin",
    "glimepiride-pioglitazone",
    "metformin-rosiglitazone",
    "metformin-pioglitazone",
    "change",
    "diabetesMed",
]
CHILD, EARLY, LATER = "[0-10)", "early", "not early"
PER_CLASS, L2, TEST_ROW = 10_000, 1e-4, 1742

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def main() -> None:
    """Split as the paper did, then both parts."""
    parser = argparse.ArgumentParser(description="The paper's hospital case.")
    parser.add_argument("--data", type=Path, required=True, help="the UCI table as Parquet")
    frame = table(parser.parse_args().data, "readmitted", "age")
    early = frame["readmitted"] == "<30"
    frame = frame.with_columns(readmitted=pl.Series(np.where(early, EARLY, LATER)))
    train, test = split(frame)
    recipe(frame, train, test)
    unprompted(frame[train], frame[test])


def split(frame: pl.DataFrame) -> tuple[Rows, Rows]:
    """Return the rows of training, with one child left that was not readmitted, and those of test."""
    y = (frame["readmitted"] == EARLY).to_numpy()
    child = (frame["age"] == CHILD).to_numpy()
    random = np.random.RandomState(2)  # the paper's generator and seed
    positive, negative = np.flatnonzero(y), np.flatnonzero(~y)
    random.shuffle(positive)
    random.shuffle(negative)
    train = np.concatenate([positive[:PER_CLASS], negative[:PER_CLASS]])
    test = np.concatenate([positive[PER_CLASS:], negative[PER_CLASS:]])
    random.shuffle(train)
    random.shuffle(test)
    left = np.delete(train, np.flatnonzero(~y[train] & child[train])[:-1])
    print(f"children readmitted: {_count(y, child, train)} of training, then {_count(y, child, left)}")
    return left, test


def _count(y: NDArray[np.bool_], child: NDArray[np.bool_], rows: Rows) -> str:
    return f"{(y & child)[rows].sum()} of {child[rows].sum()}"


def design(frame: pl.DataFrame) -> tuple[Floats, list[str]]:
    """Return the paper's 127 features and the column of each: one indicator for two levels, else all."""
    features = [frame[name].cast(pl.Float64).to_numpy() for name in NUMBERS]
    source = list(NUMBERS)
    for name in CATEGORIES:
        levels = frame[name].unique().sort().to_list()
        for level in levels[1:] if len(levels) == 2 else levels:  # noqa: PLR2004 - a boolean
            features.append((frame[name] == level).cast(pl.Float64).to_numpy())
            source.append(name)
    return np.column_stack(features), source


def recipe(frame: pl.DataFrame, train: Rows, test: Rows) -> None:
    """Print what the paper's section says of test row 1742, at the minimum of its objective."""
    X, source = design(frame)
    y = (frame["readmitted"] == EARLY).to_numpy().astype(np.float64)
    child = (frame["age"] == CHILD).to_numpy()[test]
    theta, H = fit(X[train], y[train])
    n, d = X[train].shape
    print(f"\n1. The paper's recipe: {n:,} rows, {d} features, λ = {L2:g}")
    wrong = (probability(X[test], theta) > 0.5) != (y[test] > 0.5)  # noqa: PLR2004 - an even chance
    print(f"wrong: {wrong.sum():,} of {len(test):,} rows, {(wrong & child).sum()} of {child.sum()} children")
    x, label = X[test[TEST_ROW]], y[test[TEST_ROW]]
    solved = np.linalg.solve(H, x * (probability(x, theta) - label))  # H⁻¹ g_t
    slope = probability(X[train], theta) - y[train]
    harm = -(X[train] @ solved) * slope / n  # I_up,loss / n: what the test loss falls by without a row
    order = np.argsort(-np.abs(harm))
    print(f"test row {TEST_ROW}: {1 - probability(x, theta):.4f} for its label; strongest training rows:")
    for place, row in enumerate(order[:4]):
        swapped = finite_effects(X[train], source, int(row), solved=solved, slope=(theta, y[train], n))
        column = min(swapped, key=lambda name: swapped[name] * np.sign(harm[row]))
        print(f"  {place + 1}. row {row:5d}  {harm[row]:+.4f}  led by {column} ({swapped[column]:+.4f})")
    times = abs(harm[order[0]] / harm[order[4]])
    print(f"  the next has {abs(harm[order[4]]):.4f}, {times:.0f} times less than the first")
    prove(X, y, (train, test), gone=order[:4], counted=(wrong & child, child), fitted=(theta, H))


def probability(X: Floats, theta: Floats) -> Floats:
    """Return σ(Xθ)."""
    return np.asarray(1.0 / (1.0 + np.exp(-(X @ theta))))


def fit(X: Floats, y: Floats, start: Floats | None = None, n: int | None = None) -> tuple[Floats, Floats]:
    """Return the minimum of the mean loss plus ``λ/2 ‖θ‖²``, by Newton's method, and the Hessian there."""
    n, d = n or len(X), X.shape[1]
    theta = np.zeros(d) if start is None else start
    while True:
        p = probability(X, theta)
        gradient = X.T @ (p - y) / n + L2 * theta
        H = (X.T * (p * (1 - p))) @ X / n + L2 * np.eye(d)
        if np.abs(gradient).max() < 1e-10:  # noqa: PLR2004 - rounding, on unscaled features
            return theta, H
        theta = theta - np.linalg.solve(H, gradient)


def finite_effects(
    X: Floats, source: list[str], row: int, *, solved: Floats, slope: tuple[Floats, Floats, int]
) -> dict[str, float]:
    """Return the mean change of the test loss when a row's column gets the cells of all training rows."""
    theta, y, n = slope
    changes = {}
    for name in dict.fromkeys(source):
        mine = np.array([column == name for column in source])
        cells, counts = np.unique(X[:, mine], axis=0, return_counts=True)
        Z = np.repeat(X[row][None], len(cells), axis=0)
        before = (probability(Z, theta) - y[row]) * (Z @ solved)
        Z[:, mine] = cells
        after = (probability(Z, theta) - y[row]) * (Z @ solved)
        changes[name] = float(counts @ (before - after)) / len(X) / n
    return changes


def prove(
    X: Floats,
    y: Floats,
    rows: tuple[Rows, Rows],
    *,
    gone: Rows,
    counted: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    fitted: tuple[Floats, Floats],
) -> None:
    """Take the four rows away: the sum of their influences, one Newton step for the group, and the refit."""
    (train, test), (theta, H), n = rows, fitted, len(rows[0])
    Z, mistaken, child = X[train][gone], test[counted[0]], test[counted[1]]
    p = probability(Z, theta)
    pull = Z.T @ (p - y[train][gone]) / n
    held = (Z.T * (p * (1 - p))) @ Z / n
    kept = np.delete(train, gone)
    refit, _ = fit(X[kept], y[kept], theta, n)
    first = theta + np.linalg.solve(H, pull)
    # The plain sum is first order in the loss as well as in θ.
    slope = (X[mistaken].T @ (probability(X[mistaken], theta) - y[mistaken])) / len(mistaken)
    total, newton, truth = (
        float(slope @ (first - theta)),
        *(loss(X[mistaken], y[mistaken], t) - loss(X[mistaken], y[mistaken], theta)
          for t in (theta + np.linalg.solve(H - held, pull), refit)),
    )  # fmt: skip
    left = int((((X[child] @ refit) > 0) != (y[child] > 0)).sum())
    print(f"without the four, the loss of the {len(mistaken)} wrong children changes by")
    print(f"  {total:.5f} (sum of influences), {newton:.5f} (group step), {truth:.5f} (retrained)")
    print(f"  and {left} of {len(child)} children are wrong")


def loss(X: Floats, y: Floats, theta: Floats) -> float:
    """Return the mean loss, in nats."""
    return float(np.logaddexp(0.0, np.where(y > 0, -1.0, 1.0) * (X @ theta)).mean())


def unprompted(train: pl.DataFrame, test: pl.DataFrame) -> None:
    """Print what the audit finds by itself."""
    audit = audit_mismatch(train, test, label="readmitted", features=(*NUMBERS, *CATEGORIES), l2=L2)
    print(f"\n2. Unprompted: {audit.tables.provenance.n_errors:,} wrong test rows")
    for one in audit.findings.head(3).iter_rows(named=True):
        print(f"  {one['severity']}: {one['title']}")
        print(f"    rows {', '.join(row.partition('#')[2] for row in one['train_row_ids'][:6])}")


if __name__ == "__main__":
    main()
