"""Figure 1: what is lost when influence is left without the training loss, or without the inverse Hessian.

    python examples/paper/figure1_parts_of_influence.py --data ../shared/data

Koh & Liang (2017), section 2.3: logistic regression on MNIST, 1 against 7, one test digit. With labels ±1,

    I_up,loss(z, t) = -y_t y σ(-y_t θ·x_t) σ(-y θ·x) x_tᵀ H⁻¹ x

The first panel is all of it, the second one without the training loss σ(-y θ·x), the third one without H⁻¹.
The paper plots each against the inner product x_t·x; here each is held against true refits without a row, of
the rows that any of the three forms puts first, and of random ones. λ = 0.01.
"""

from __future__ import annotations

import numpy as np

import torch

from paper import Floats, arguments, block, digits, keep, loss_at, scatters, spearman, trained

from dataaudit.solvers import Cholesky

from dataaudit.solvers.newton import FitSettings, minimise


L2, SEED = 0.01, 0

def main() -> None:
    """Refit without each of the chosen rows, print rank correlations, draw the panels."""
    given = arguments(__doc__ or "")
    X, y = digits(given.data, "train", classes=(1, 7))
    if given.quick:
        X, y = X[:3000], y[:3000]
    objective, fit = trained(X, y, l2=L2)
    theta = fit.theta
    X_test, y_test = digits(given.data, "test", classes=(1, 7))
    losses = objective.model.values(theta, block(X_test, y_test))
    at = int(losses.argmax())  # the digit that the model gets most wrong
    test = block(X_test[at : at + 1], y_test[at : at + 1])
    exact = Cholesky().prepare(objective, theta)
    x = torch.cat([test.X[0], test.X.new_ones(1)])
    slope_test = objective.model.loss.slope(objective.model.scores(theta, test), test.y)[0, 0]
    slopes = objective.model.loss.slope(objective.scores(theta), y)[:, 0]
    with_ones = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    near, plain = with_ones @ exact.solve(x[:, None])[:, 0], with_ones @ x
    removed = {  # n times the predicted change of the test loss when a row leaves, and what is left of it
        "whole": slope_test * slopes * near,
        "without the training loss": slope_test * slopes.sign() * near,
        "without the inverse Hessian": slope_test * slopes * plain,
    }
    chosen = _chosen(removed, few=20 if given.quick else 100)
    before, actual = loss_at(objective, theta, test), []
    for row in chosen.tolist():
        weight = objective.rows.weight.clone()
        weight[row] = 0.0
        settings = FitSettings(tolerance=1e-11)
        again = minimise(objective.reweighted(weight), theta, precondition=exact.solve, settings=settings)
        actual.append(loss_at(objective, again.theta, test) - before)
    truth: Floats = np.array(actual)
    print(f"{len(X):,} rows, test digit a {(1, 7)[int(y_test[at])]}, loss {before:.2f}; {len(chosen)} refits")
    panels = []
    for name, values in removed.items():
        predicted = (values[chosen] / len(X)).numpy()
        panels.append((name, truth, predicted))
        print(f"{name:28} rank correlation with the refits {spearman(truth, predicted):.4f}")
    print("in the paper: both reduced forms misjudge which rows matter, by eye")
    keep(
        given.out,
        "figure1",
        {"row": chosen.numpy().astype(float), "actual": truth} | {n: p for n, _, p in panels},
    )
    scatters(
        given.out / "figure1.svg",
        panels,
        across="actual change of loss (nats)",
        up="predicted (nats, up to scale)",
    )
    print(f"written to {given.out.as_posix()}")

def _chosen(removed: dict[str, torch.Tensor], *, few: int) -> torch.Tensor:
    """Return the rows that a form puts first, and as many random ones, sorted."""
    first = [values.abs().argsort(descending=True)[:few] for values in removed.values()]
    n = len(next(iter(removed.values())))
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(SEED))[: 2 * few]
    found: torch.Tensor = torch.unique(torch.cat([*first, drawn]))
    return found

if __name__ == "__main__":
    main()
