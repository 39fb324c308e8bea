"""Inputs of a module's training rows moved: slopes beside refits, flips beside another library's fit."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn.functional import cross_entropy

from dataaudit.api.influence import Influence
from dataaudit.errors import SettingError
from dataaudit.model.torch import ModuleModel

N, D, L2 = 80, 4, 1e-2


def rows(n, seed):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, D))
    y = (X[:, 0] + 0.7 * random.normal(size=n) > 0).astype(np.int64)
    return torch.from_numpy(X), torch.from_numpy(y)


def fitted(X, y):
    """Return a linear module at another library's minimum, the intercept without a ridge."""
    fit = LogisticRegression(C=1 / (len(y) * L2), tol=1e-12, max_iter=5000).fit(X.numpy(), y.numpy())
    net = nn.Linear(D, 2).double()
    with torch.no_grad():
        half = torch.from_numpy(fit.coef_[0]) / 2  # two columns of half the length are the same model
        net.weight.copy_(torch.stack([-half, half]))
        net.bias.copy_(torch.from_numpy(np.array([-1.0, 1.0]) * fit.intercept_[0] / 2))
    return fit, ModuleModel(net, cross_entropy)


@pytest.fixture(scope="module")
def case():
    X, y = rows(N, 0)
    fit, model = fitted(X, y)
    influence = Influence(model, (X, y), l2={"weight": 2 * L2}, damping=1e-9)  # of the two columns
    X_test, y_test = rows(200, 1)
    lead = fit.decision_function(X_test.numpy()) * (2 * y_test.numpy() - 1)
    near = np.argsort(np.where(lead > 0, lead, np.inf))[:6]
    return X, y, influence, (X_test[near], y_test[near]), fit


@pytest.mark.parametrize("count", [1, 4])
def test_flips_are_real_by_another_librarys_fit(case, count):
    X, y, influence, test, fit = case
    found = influence.attack(test, within=0.4, rows=count)
    changed = X.clone()
    changed[found.rows] = found.inputs
    again = fitted(changed, y)[0]
    p = again.predict_proba(test[0].numpy())[np.arange(6), test[1].numpy()]
    np.testing.assert_allclose(found.loss_after.numpy(), -np.log(p), atol=1e-5)
    before = fit.predict(test[0].numpy())
    np.testing.assert_array_equal(found.predicted_before.numpy(), before)
    np.testing.assert_array_equal(found.flipped.numpy(), again.predict(test[0].numpy()) != before)
    assert found.loss_after.sum() > found.loss_before.sum()
    moved, predicted = (x - found.loss_before for x in (found.loss_after, found.loss_predicted))
    assert float(predicted @ moved / (moved @ moved)) == pytest.approx(1.0, abs=0.25)
    assert count == 1 or found.flipped.any()


def test_inputs_stay_within_what_is_allowed(case):
    X, _, influence, test, _ = case
    found = influence.attack(test, within=0.3, bounds=(-1.0, 1.0), rows=[3, 7])
    was = X[[3, 7]]
    assert found.rows.tolist() == [3, 7]
    assert float((found.inputs - was).abs().max()) <= 0.3 + 1e-12
    assert bool(((found.inputs >= was.clamp_max(-1.0)) & (found.inputs <= was.clamp_min(1.0))).all())
    assert not torch.equal(found.inputs, was)


def test_the_row_that_is_taken_could_add_most(case):
    _, _, influence, test, _ = case
    slopes = influence.pert_loss(test)
    assert influence.attack(test, within=0.1, steps=1).rows.tolist() == [int(slopes.abs().sum(1).argmax())]


def test_a_network_is_attacked_through_all_its_layers():
    """The head alone is trained; training inputs are moved through the layers below it."""
    torch.manual_seed(0)
    X, y = rows(60, 2)
    net = nn.Sequential(nn.Linear(D, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    model = ModuleModel(net, cross_entropy, parameters=["2"])
    with pytest.warns(UserWarning, match="did not end at a minimum"):
        influence = Influence(model, (X, y), l2=1e-2)
    test = rows(30, 3)
    found = influence.attack(test, within=0.5, rows=5, steps=4)
    assert found.gradient_norm < 1e-8
    assert found.loss_after.sum() > found.loss_before.sum()
    assert len(found.theta) == 14


def test_training_of_ones_own_is_used(case):
    _, _, influence, test, _ = case
    seen = []

    def retrain(X, y):
        seen.append(X)
        return fitted(X, y)[1]

    ours = influence.attack(test, within=0.4)
    theirs = influence.attack(test, within=0.4, retrain=retrain)
    assert len(seen) == theirs.steps + 1
    torch.testing.assert_close(theirs.loss_after, ours.loss_after, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"within": 0.0}, "within must be above 0"),
        ({"within": 1.0, "bounds": (1.0, 0.0)}, "low must be below high"),
        ({"within": 1.0, "rows": 0}, "rows must be from 1 to 80"),
        ({"within": 1.0, "rows": [80]}, "rows must lie from 0 to 79"),
        ({"within": 1.0, "rows": []}, "rows must lie from 0 to 79"),
    ],
)
def test_nonsense_is_refused(case, settings, words):
    with pytest.raises(SettingError, match=words):
        case[2].attack(case[3], **settings)
