"""Figure 3: influence for a model whose loss has a kink, by a loss that is rounded there.

    python examples/paper/figure3_smooth_hinge.py --data ../shared/data

Koh & Liang (2017), section 4.3: a linear support vector machine on MNIST, 1 against 7, trained with the
hinge, λ = 0.01. The hinge has no curvature, so its own H is λI and misses that rows at the margin hold the
model in place: predicted effects are an order of magnitude too large. With the smooth hinge
``t log(1 + exp((1 - s)/t))`` in H and in the gradients, at the parameters that the hinge gave, they are right
over a wide range of t. Each panel has the rows of the largest influence by its own t, held against true
refits with the hinge.

The refits are scikit-learn's `LinearSVC`, which penalises the intercept like a coefficient; the paper's model
has no intercept. Test digit: the first that the model gets wrong.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from paper import Floats, arguments, block, digits, keep, pearson, scatters
from sklearn.svm import LinearSVC
from torch import Tensor

from dataaudit.influence.influence import loss_gradients
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import SmoothHinge
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block, MemoryRows
from dataaudit.solvers import Cholesky

L2 = 0.01
PAPER = {0.0: 0.63, 0.001: 0.95, 0.1: 0.91}  # Pearson by t


def hinge_fit(X: Tensor, y: Tensor, without: int | None = None) -> Tensor:
    """Return the minimum of ``λ/2 ‖θ‖² + (1/n) Σ hinge``, over all rows or all but one; n stays."""
    kept = np.arange(len(y)) != (-1 if without is None else without)
    machine = LinearSVC(loss="hinge", C=1 / (len(y) * L2), tol=1e-10, max_iter=1_000_000, random_state=0)
    machine.fit(X.numpy()[kept], y.numpy()[kept])
    return torch.from_numpy(np.concatenate([machine.coef_[0], machine.intercept_]))


def predicted(rows: MemoryRows, theta: Tensor, test: Block, *, temperature: float) -> Tensor:
    """Return the predicted change of the test loss without each row: -1/n of I_up,loss."""
    model = LinearModel(SmoothHinge(temperature), rows.width, intercept_ridge=1.0)
    exact = Cholesky().prepare(Objective(rows, model, L2), theta)
    solved = exact.solve(loss_gradients(model, theta, test))
    return -model.pair_influences(theta, solved, block(rows.X, rows.y))[:, 0] / rows.n


def main() -> None:
    """Retrain without the rows that each t puts first, print the correlations, draw the panels."""
    given = arguments(__doc__ or "")
    X, y = digits(given.data, "train", classes=(1, 7))
    rows = MemoryRows(X, y, torch.ones(len(y), dtype=torch.float64))
    theta = hinge_fit(X, y)
    X_test, y_test = digits(given.data, "test", classes=(1, 7))
    hinge = LinearModel(SmoothHinge(0.0), rows.width)
    margins = (2.0 * y_test - 1.0) * hinge.scores(theta, block(X_test, y_test))[:, 0]
    wrong = (margins < 0).nonzero()[:, 0]
    test = block(X_test[wrong[:1]], y_test[wrong[:1]])
    before = float(hinge.value(theta, test))
    print(f"{rows.n:,} rows, λ {L2:g}; {len(wrong)} of {len(y_test):,} test digits wrong")
    print(f"test row {int(wrong[0])}: a {(1, 7)[int(test.y[0])]}, hinge loss {before:.3f}")

    start, retrained = time.perf_counter(), dict[int, float]()
    panels, table = [], dict[str, Floats]()
    for t, paper in PAPER.items():
        changes = predicted(rows, theta, test, temperature=t)
        chosen = changes.abs().argsort(descending=True)[: 12 if given.quick else 100]
        for row in chosen.tolist():
            if row not in retrained:
                retrained[row] = float(hinge.value(hinge_fit(X, y, row), test)) - before
        actual = np.array([retrained[row] for row in chosen.tolist()])
        values: Floats = changes[chosen].numpy()
        slope = values @ actual / (actual @ actual)
        print(
            f"t = {t:<5g} Pearson {pearson(actual, values):.3f}, predicted {slope:.2f} times the actual"
            f" change   in the paper: R = {paper:g}"
        )
        panels.append((f"t = {t:g}", actual, values))
        table |= {f"row_{t:g}": chosen.numpy().astype(float), f"actual_{t:g}": actual}
        table[f"predicted_{t:g}"] = values
    print(f"{len(retrained)} refits: {time.perf_counter() - start:.0f} s")
    keep(given.out, "figure3", table)
    across, up = "actual change of the hinge loss", "predicted"
    scatters(given.out / "figure3.svg", panels, across=across, up=up)
    print(f"written to {given.out.as_posix()}")


if __name__ == "__main__":
    main()
