"""More Newton steps where one is not enough."""

import numpy as np
import pytest
import torch

from dataaudit.audits import refinement
from dataaudit.audits.refinement import refined
from dataaudit.influence.leave_one_out import refit_relabelled, refit_without


@pytest.fixture(scope="module")
def apart(digits, model_of):
    """Ten classes of few rows each, far apart: one step is short."""
    return model_of(digits.frame, basis="linear", l2=0.001)


def exact(model, row):
    """Return the losses of a row after true refits without it, and with its suggested label."""
    trained, scores = model.trained, model.scores
    objective, other = trained.objective, int(scores.suggested[row])
    block = objective.rows.take(torch.tensor([row]))
    without = refit_without(objective, trained.fit, row)
    changed = refit_relabelled(objective, trained.fit, row, label=other)
    return [
        float(trained.loss(objective.model.scores(fit.theta, block), torch.tensor([label]))[0])
        for fit, label in ((without, int(objective.rows.y[row])), (changed, other))
    ]


def test_the_first_rows_have_the_losses_of_true_refits(apart):
    model, scores = apart, refined(apart.trained, apart.scores)
    rows = np.argsort(-model.scores.loo_loss)[:5]
    truth = np.array([exact(model, row) for row in rows])
    np.testing.assert_allclose(scores.loo_loss[rows], truth[:, 0], rtol=0.02)
    np.testing.assert_allclose(scores.relabelled_loss[rows], truth[:, 1], rtol=0.02, atol=1e-4)
    assert np.abs(model.scores.loo_loss[rows] / truth[:, 0] - 1).max() > 0.05, "one step does not do"
    p = scores.loo_p[rows, model.target.y[rows]]
    np.testing.assert_allclose(-np.log(p), scores.loo_loss[rows])


def test_other_rows_stay_as_they_are_and_the_scores_given_too(apart):
    before = apart.scores.loo_loss.copy()
    scores = refined(apart.trained, apart.scores)
    changed = np.flatnonzero(scores.loo_loss != before)
    assert 0 < len(changed) <= refinement.BY_LOSS + refinement.BY_INFLUENCE
    assert np.array_equal(apart.scores.loo_loss, before)


def test_nothing_is_done_where_it_costs_too_much(apart, monkeypatch):
    monkeypatch.setattr(refinement, "_COST", 1)
    assert refined(apart.trained, apart.scores) is apart.scores
