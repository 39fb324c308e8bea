"""Refits against scikit-learn, which knows nothing of ours: without the row, and with its other label."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dataaudit.audits import validation
from dataaudit.audits.validation import Refit, refined, verify
from dataaudit.influence.leave_one_out import refit_relabelled, refit_without
from dataaudit.statistics import agreement

ROWS = np.array([0, 7, 23, 101])


def own_loss(model, weight, y, row, label):
    """Return the loss of one row for a label under scikit-learn's fit of weighted rows.

    It sums the losses where we take the mean over the n rows that there were, so C = 1/(nλ) stays as it is.
    """
    objective = model.trained.objective
    X = objective.rows.X
    X = X.numpy() if isinstance(X, torch.Tensor) else X.toarray()
    there = weight > 0
    other = LogisticRegression(
        C=1.0 / (len(y) * objective.l2), tol=1e-13, max_iter=1000, solver="newton-cholesky"
    ).fit(X[there], y[there], sample_weight=weight[there])
    at = list(other.classes_).index(label)
    return -other.predict_log_proba(X[[row]])[0, at]


@pytest.fixture(scope="session", params=["cancer", "wine", "words", "weighted wine"])
def checked(request, model_of, weighted):
    """A model and its refits."""
    table = request.getfixturevalue(request.param.split()[-1])
    model = model_of(table.frame, basis="linear", l2=0.02)
    if request.param.startswith("weighted"):
        model = weighted(model, np.random.default_rng(0).uniform(0.3, 2.0, len(model.target.y)))
    told = []
    refits = verify(model.trained, model.scores, ROWS, on_refit=told.append)
    assert told == list(range(1, 2 * len(ROWS) + 1))
    return model, refits


def test_removed_rows_measure_what_scikit_learn_measures(checked):
    model, refits = checked
    y, weight = model.target.y, model.trained.objective.rows.weight.numpy()
    before = model.scores.train_loss
    for refit in (r for r in refits if r.change == "removed"):
        without = weight.copy()
        without[refit.row] = 0.0
        actual = own_loss(model, without, y, refit.row, y[refit.row]) - before[refit.row]
        assert refit.measured == pytest.approx(actual, rel=1e-5, abs=1e-8)


def test_relabelled_rows_measure_what_scikit_learn_measures(checked):
    model, refits = checked
    weight, before = model.trained.objective.rows.weight.numpy(), model.scores.train_loss
    for refit in (r for r in refits if r.change == "relabelled"):
        y, other = model.target.y.copy(), model.scores.suggested[refit.row]
        y[refit.row] = other
        actual = own_loss(model, weight, y, refit.row, other) - before[refit.row]
        assert refit.measured == pytest.approx(actual, rel=1e-5, abs=1e-8)


def test_predictions_are_those_of_the_table(checked):
    model, refits = checked
    for refit in refits:
        scores = model.scores
        after = {"removed": scores.loo_loss, "relabelled": scores.relabelled_loss}[refit.change][refit.row]
        assert refit.predicted == after - scores.train_loss[refit.row]
    assert [r.row for r in refits] == ROWS.repeat(2).tolist()
    assert [r.change for r in refits] == ["removed", "relabelled"] * len(ROWS)


def test_predictions_are_near(checked):
    model, refits = checked
    slope = agreement(refits).slope
    assert slope == pytest.approx(1.0, abs=0.05)
    assert agreement(refits).pearson > 0.99
    for refit in refits:
        assert refit.predicted == pytest.approx(refit.measured, rel=0.15, abs=0.01)
    assert np.isfinite(model.scores.loo_loss).all()


def test_the_model_itself_is_left_as_it_was(wine, model_of):
    model = model_of(wine.frame, basis="linear", l2=0.02)
    theta, y = model.trained.fit.theta.clone(), model.trained.objective.rows.y.clone()
    verify(model.trained, model.scores, ROWS[:1], on_refit=lambda done: None)
    assert torch.equal(model.trained.fit.theta, theta)
    assert torch.equal(model.trained.objective.rows.y, y)
    assert (model.trained.objective.rows.weight == 1).all()


def test_no_rows_are_no_refits(wine, model_of):
    model = model_of(wine.frame, basis="linear", l2=0.02)
    assert verify(model.trained, model.scores, ROWS[:0], on_refit=lambda done: None) == ()


def refits_of(*pairs):
    return tuple(Refit(i, "removed", predicted, measured) for i, (predicted, measured) in enumerate(pairs))


def test_agreement_is_a_line_through_the_origin():
    found = agreement(refits_of((1.0, 2.0), (2.0, 4.0), (-0.5, -1.0)))
    assert found.slope == pytest.approx(0.5)
    assert found.pearson == pytest.approx(1.0)
    off = agreement(refits_of((1.0, 1.0), (0.0, 2.0), (3.0, 3.0)))
    assert off.slope == pytest.approx((1 + 0 + 9) / (1 + 4 + 9))
    assert off.pearson == pytest.approx(np.corrcoef([1, 0, 3], [1, 2, 3])[0, 1])


def test_the_worse_kind_of_change_is_the_one_that_counts():
    removed = (Refit(0, "removed", 0.7, 1.0), Refit(1, "removed", 0.7, 1.0))
    relabelled = (Refit(0, "relabelled", -9.0, -9.0), Refit(1, "relabelled", -8.0, -8.0))
    assert agreement(removed + relabelled).slope == pytest.approx(0.7)


def test_too_few_or_flat_refits_have_no_correlation():
    assert np.isnan(agreement(refits_of((1.0, 1.0), (2.0, 2.1))).pearson)
    assert np.isnan(agreement(refits_of((1.0, 1.0), (2.0, 1.0), (3.0, 1.0))).pearson)
    assert np.isnan(agreement(refits_of((0.0, 0.0))).slope)


def test_a_slope_between_losses_near_nought_is_no_alarm():
    from dataaudit.audits.health import verification_check

    near = tuple(Refit(i, "removed", 3e-6 * i, 1e-5 * i) for i in range(1, 4))
    far = tuple(Refit(i, "removed", 0.3 * i, 1.0 * i) for i in range(1, 4))
    assert agreement(near).slope == pytest.approx(agreement(far).slope)
    assert verification_check(near)[3]
    assert not verification_check(far)[3]


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
    assert 0 < len(changed) <= validation.BY_LOSS + validation.BY_INFLUENCE
    assert np.array_equal(apart.scores.loo_loss, before)


def test_nothing_is_done_where_it_costs_too_much(apart, monkeypatch):
    monkeypatch.setattr(validation, "_COST", 1)
    assert refined(apart.trained, apart.scores) is apart.scores
