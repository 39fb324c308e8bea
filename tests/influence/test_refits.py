"""Refits side by side against one fit after another."""

from dataclasses import replace

import pytest
import torch
from cases import CASES, IDS, make

from dataaudit.influence import refits
from dataaudit.influence.leave_one_out import SHARP, relabelled, without
from dataaudit.influence.refits import minimise_together
from dataaudit.solvers import choose_solver
from dataaudit.solvers.newton import minimise


def changes_of(objective):
    """Fits without a row or several, and with another label; of the last nothing changes."""
    label = (int(objective.rows.y[2]) + 1) % (objective.model.loss.n_scores + 1)
    return [
        without(objective, 0),
        without(objective, torch.arange(3)),
        relabelled(objective, 2, label),
        objective,
    ]


@pytest.mark.parametrize("size", [refits.BYTES, 1], ids=["together", "one at a time"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_each_ends_where_it_does_alone(case, size, monkeypatch):
    monkeypatch.setattr(refits, "BYTES", size)
    objective = case.objective()
    fit = minimise(objective)
    changes = changes_of(objective)
    precondition = choose_solver(objective).prepare(objective, fit.theta).precondition
    found = minimise_together(changes, [fit.theta] * 4, precondition=precondition, settings=SHARP)
    for change, after in zip(changes, found, strict=True):
        alone = minimise(change, settings=SHARP).theta
        assert torch.allclose(after.theta, alone, atol=1e-9, rtol=0)
        assert after.gradient_norm < 1e-12
        assert torch.equal(after.theta, fit.theta) or after.steps


def test_without_an_inverse_each_goes_its_own_way():
    objective = make("", 30, 4, 3).objective()
    theta = minimise(objective).theta
    found = minimise_together([without(objective, 1)], [theta], precondition=None, settings=SHARP)
    assert torch.equal(found[0].theta, minimise(without(objective, 1), theta, settings=SHARP).theta)
    assert minimise_together([], [], precondition=None, settings=SHARP) == []


def test_steps_that_go_too_far_are_halved():
    objective = make("", 40, 3, 2, l2=1e-4).objective()
    far = [torch.full((4,), size, dtype=torch.float64) for size in (20.0, 0.0)]
    inverse = choose_solver(objective).prepare(objective, minimise(objective).theta).precondition
    settings = replace(SHARP, max_steps=100)
    found = minimise_together([objective] * 2, far, precondition=inverse, settings=settings)
    assert torch.allclose(found[0].theta, found[1].theta, atol=1e-9, rtol=0)
