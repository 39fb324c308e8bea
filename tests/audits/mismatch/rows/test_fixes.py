"""Fixes of rows do what they say; offsets are cross-fitted, and take off what training shows too."""

import numpy as np
import pytest
import torch
from audits.mismatch.rows.planted import case, labelled, other_label, table
from scipy.optimize import minimize

from dataaudit.audits.mismatch.rows.fixes import (
    PRIOR,
    Offset,
    Relabel,
    Remove,
    Reweigh,
    fit_offset,
    shift_in_words,
)
from dataaudit.influence.groups import group_step
from dataaudit.solvers.newton import minimise


@pytest.fixture(scope="module")
def made():
    known = table(300, 0)
    return known, case(other_label(known, known["ward"] == "east"), table(200, 1))


def test_removing_and_relabelling_are_refits_of_what_is_left(made):
    known, (_, trained, tested, world) = made
    rows = np.flatnonzero(known["ward"] == "east")
    objective = trained.objective
    weight = objective.rows.weight.clone()
    weight[torch.from_numpy(rows)] = 0.0
    left = minimise(objective.reweighted(weight)).theta
    there = Remove(rows, "the rows").apply(world, exact=True)
    np.testing.assert_allclose(there.theta, left, atol=1e-6)
    y = objective.rows.y.clone()
    y[torch.from_numpy(rows)] = 1 - y[torch.from_numpy(rows)]
    there = Relabel(rows, y.numpy()[rows], "the rows", "the other way round").apply(world, exact=True)
    np.testing.assert_allclose(there.theta, minimise(objective.relabelled(y)).theta, atol=1e-6)
    assert there.evaluation.wrong.sum() < tested.wrong.sum()


def test_reweighing_multiplies_weights_by_class(made):
    _, (_, trained, _, world) = made
    there = Reweigh(np.array([2.0, 0.5]), "").apply(world, exact=True)
    np.testing.assert_array_equal(there.objective.rows.weight, np.array([2.0, 0.5])[trained.objective.rows.y])


def test_bounded_steps_come_nearer_the_refit_than_a_full_one():
    known = table(400, 0)
    known = labelled(known, known["ward"] == "east", "ill")
    _, trained, _, world = case(known, table(200, 1))
    rows = np.flatnonzero(known["ward"] == "east")
    fix = Relabel(rows, np.full(len(rows), trained.classes.index("well")), "", "")
    fast, proved = (fix.apply(world, exact=exact).theta for exact in (False, True))
    full = group_step(trained.objective, trained.fit.theta, torch.from_numpy(rows), y=torch.from_numpy(fix.y))
    assert torch.linalg.vector_norm(fast - proved) < 0.5 * torch.linalg.vector_norm(full - proved)


def test_an_offset_is_the_least_of_its_penalised_loss(made):
    _, (_, trained, _, world) = made
    s, y = world.scores[:50], world.block.y[:50]
    found = float(fit_offset(trained, s, y)[0])
    slow = minimize(lambda d: float(trained.loss(s + d[0], y).sum() + PRIOR / 2 * d[0] ** 2), [0.0]).x[0]
    assert found == pytest.approx(slow, abs=1e-4)
    assert fit_offset(trained, s[:0], y[:0]).tolist() == [0.0]


def test_an_offset_is_fitted_on_one_half_and_judged_on_the_other(made):
    _, (_, trained, tested, world) = made
    rows = np.flatnonzero(tested.dataset.frame["ward"] == "east")
    known = torch.tensor([0.25], dtype=torch.float64)
    there = Offset(rows, known, "", "").apply(world, exact=True)
    inside = np.isin(world.rows, rows)
    assert not there.offset[~inside].any()
    for half in (world.first, ~world.first):
        shift = fit_offset(trained, world.scores[inside & half], world.block.y[inside & half]) - known
        np.testing.assert_allclose(there.offset[inside & ~half], shift.expand(int((inside & ~half).sum()), 1))


def test_words_say_which_way(made):
    _, (_, trained, _, _) = made
    shift = torch.tensor([-1.5], dtype=torch.float64)
    assert shift_in_words(trained, shift, 1) == f"away from “{trained.classes[1]}” by 1.5 in log-odds"
    assert shift_in_words(trained, shift, 0) == f"towards “{trained.classes[0]}” by 1.5 in log-odds"
