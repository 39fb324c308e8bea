"""Finney's vasoconstriction data (1947), on which Pregibon (1981) showed diagnostics of logistic fits.

The 39 trials, and what is said of them, are those of SAS/STAT User's Guide, "The LOGISTIC Procedure",
example "Logistic Regression Diagnostics" (support.sas.com, statug_logistic_examples06), and of the
statsmodels notebook "Influence Measures for GLM Logit", whose summary prints the same fit.
"""

import pytest
import torch
from cases import Case

from dataaudit.influence.influence import leverage, self_influence
from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.solvers import Cholesky, Dual
from dataaudit.solvers.newton import minimise

# volume of air, rate of inspiration, whether the vessels constricted
TRIALS = """
3.70 0.825 1   3.50 1.09 1   1.25 2.50 1   0.75 1.50 1   0.80 3.20 1   0.70 3.50 1   0.60 0.75 0   1.10 1.70 0
0.90 0.75  0   0.90 0.45 0   0.80 0.57 0   0.55 2.75 0   0.60 3.00 0   1.40 2.33 1   0.75 3.75 1   2.30 1.64 1
3.20 1.60  1   0.85 1.415 1  1.70 1.06 0   1.80 1.80 1   0.40 2.00 0   0.95 1.36 0   1.35 1.35 0   1.50 1.36 0
1.60 1.78  1   0.60 1.50 0   1.80 1.50 1   0.95 1.90 0   1.90 0.95 1   1.60 0.40 0   2.70 0.75 1   2.35 0.03 0
1.10 1.83  0   1.10 2.20 1   1.20 2.00 1   0.80 3.33 1   0.95 1.90 0   0.75 1.90 0   1.30 1.625 1
"""


@pytest.fixture(scope="module")
def fitted():
    table = torch.tensor([float(word) for word in TRIALS.split()], dtype=torch.float64).view(39, 3)
    ones = torch.ones(39, dtype=torch.float64)
    objective = Case("", table[:, :2].log(), table[:, 2].long(), ones, 2, 0.0).objective()
    theta = minimise(objective).require_converged().theta
    return objective, theta, Cholesky().prepare(objective, theta)


def test_estimates_and_their_errors(fitted):
    """SAS: log volume 5.1793 (1.8648), log rate 4.5617 (1.8380), intercept -2.8754 (1.3208)."""
    _, theta, prepared = fitted
    errors = (prepared.solve(torch.eye(3, dtype=torch.float64)).diagonal() / 39).sqrt()
    assert theta.tolist() == pytest.approx([5.1793, 4.5617, -2.8754], abs=5e-5)
    assert errors.tolist() == pytest.approx([1.8648, 1.8380, 1.3208], abs=5e-5)


def test_deviance_and_pearson(fitted):
    """Deviance 29.227, Pearson's χ² 34.2 (the statsmodels summary)."""
    objective, theta, _ = fitted
    p, y = torch.sigmoid(objective.scores(theta))[:, 0], objective.rows.y
    assert 2 * 39 * objective.value(theta) == pytest.approx(29.227, abs=5e-4)
    assert float(((y - p) ** 2 / (p * (1 - p))).sum()) == pytest.approx(34.2, abs=0.05)


def test_the_cases_that_pregibon_points_at(fitted):
    """Case 31 is the extreme point of the design; cases 4 and 18 fit worst and move the fit most."""
    objective, theta, prepared = fitted
    forms = prepared.quadratic_forms()
    h = leverage(objective, theta, forms)
    assert float(h.sum()) == pytest.approx(3.0, rel=1e-9)
    assert int(h.argmax()) + 1 == 31
    s = leave_one_out_scores(objective, theta, forms)
    for measure in (self_influence(objective, theta, forms), objective.model.loss.value(s, objective.rows.y)):
        assert set((measure.topk(2).indices + 1).tolist()) == {4, 18}


def test_a_very_small_ridge_is_no_ridge_in_the_dual_too(fitted):
    objective, theta, prepared = fitted
    rows, model = objective.rows, objective.model
    barely = type(objective)(rows, model, 1e-9)
    forms = Dual().prepare(barely, theta).quadratic_forms()
    torch.testing.assert_close(forms, prepared.quadratic_forms(), rtol=1e-5, atol=0)
