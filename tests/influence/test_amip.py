"""The smallest set that overturns a conclusion: it does, and no smaller one was overlooked by much."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from cases import make
from reference import minimum

from dataaudit.errors import SettingError
from dataaudit.influence import amip, groups
from dataaudit.influence.amip import (
    CoefficientSign,
    Misprediction,
    Prediction,
    SliceErrors,
    own_steps,
    smallest_flip,
)
from dataaudit.influence.groups import group_step
from dataaudit.model.rows import Block
from dataaudit.solvers import choose_solver
from dataaudit.solvers.newton import FitSettings, minimise

PROBLEMS = [
    make("binary", 150, 4, 2),
    make("binary, weighted", 150, 4, 2, weighted=True),
    make("softmax", 150, 4, 3),
    make("softmax, sparse", 150, 6, 4, sparse=True),
]
NAMES = [case.name for case in PROBLEMS]


def fitted(case):
    objective = case.objective()
    return objective, minimise(objective, settings=FitSettings(tolerance=1e-11))


def others(case, t=20):
    """Test rows with the same features and classes."""
    rows = make("", t, case.X.shape[1], case.n_classes, sparse=not isinstance(case.X, torch.Tensor))
    return Block(rows.X, rows.y, rows.weight)


def one_row(block, i):
    return Block(block.X[i : i + 1], block.y[i : i + 1], block.weight[i : i + 1])


def predicted_class(model, theta, row):
    return int(torch.nn.functional.pad(model.scores(theta, row), (1, 0)).argmax(1))


def truth_without(case, rows):
    weight = case.weight.clone()
    weight[rows] = 0.0
    return minimum(case, weight=weight)


def closest_call(objective, theta, block):
    """The row whose prediction has the smallest lead."""
    s = torch.nn.functional.pad(objective.model.scores(theta, block), (1, 0)).sort(dim=1).values
    return one_row(block, int((s[:, -1] - s[:, -2]).argmin()))


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_without_the_rows_the_prediction_is_another(case):
    objective, fit = fitted(case)
    flipped = 0
    for i in range(12):
        row = one_row(others(case), i)
        before = predicted_class(objective.model, fit.theta, row)
        flip = smallest_flip(objective, fit, Prediction(objective.model, row, before))
        if flip is None:
            continue
        flipped += 1
        assert len(set(flip.rows.tolist())) == len(flip.rows) <= 15
        assert predicted_class(objective.model, truth_without(case, flip.rows), row) != before
        assert flip.before > 0 >= flip.measured
        assert flip.predicted == pytest.approx(flip.measured, abs=0.15 * flip.before + 0.01)
        assert flip.share == len(flip.rows) / int((case.weight > 0).sum())
        if len(flip.rows) > 1:  # the last row is needed, or Newton's steps would not have asked for it
            kept = truth_without(case, flip.rows[:-1])
            assert Prediction(objective.model, row, before).margin(kept) > -0.05
    assert flipped >= 4


def test_it_finds_the_fewest_where_every_set_can_be_tried():
    """35 rows: each pair refitted by the slow twin; greedy needs at most one row more than the fewest."""
    case = make("", 35, 2, 2, l2=0.05)
    objective, fit = fitted(case)
    test, exact = others(case), 0
    sizes = [(i,) for i in range(35)] + list(combinations(range(35), 2))
    thetas = {rows: truth_without(case, list(rows)) for rows in sizes}
    for i in range(len(test.y)):
        row = one_row(test, i)
        before = predicted_class(objective.model, fit.theta, row)
        fewest = [
            len(rows)
            for rows, theta in thetas.items()
            if predicted_class(objective.model, theta, row) != before
        ]
        flip = smallest_flip(objective, fit, Prediction(objective.model, row, before), limit=0.3)
        if fewest:
            exact += len(flip.rows) == min(fewest)
            assert len(flip.rows) <= min(fewest) + 1
        else:
            assert flip is None or len(flip.rows) > 2
    assert exact >= 3


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_without_the_rows_the_coefficient_has_the_other_sign(case):
    objective, fit = fitted(case)
    position = int(fit.theta.abs().argmin())
    sign = float(fit.theta[position].sign())
    flip = smallest_flip(objective, fit, CoefficientSign(position, sign), limit=0.3)
    assert sign * float(truth_without(case, flip.rows)[position]) <= 1e-9
    assert flip.before == pytest.approx(abs(float(fit.theta[position])))


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_without_the_rows_the_slice_has_fewer_errors(case):
    objective, fit = fitted(case)
    block = others(case)
    count = SliceErrors(objective.model, block, 0).measure(fit.theta)
    s = torch.nn.functional.pad(objective.model.scores(fit.theta, block), (1, 0))
    assert count == int((s.argmax(1) != block.y).sum()) > 1
    flip = smallest_flip(objective, fit, SliceErrors(objective.model, block, int(count) - 1), limit=0.3)
    assert flip.before == count
    assert flip.measured <= count - 1
    after = torch.nn.functional.pad(objective.model.scores(truth_without(case, flip.rows), block), (1, 0))
    assert int((after.argmax(1) != block.y).sum()) == flip.measured


def test_four_planted_rows_are_the_answer():
    """A column that only four wrong rows have, as in the paper's hospital: they decide for all."""
    case = make("", 400, 4, 2, noise=0.3)
    generator = torch.Generator().manual_seed(5)
    X = torch.cat([case.X, torch.zeros(400, 1, dtype=torch.float64)], 1)
    planted = torch.randperm(400, generator=generator)[:4]
    y = case.y.clone()
    X[planted, :4], X[planted, 4], y[planted] = 0.3 * X[planted, :4], 3.0, 1
    strange = type(case)("", X, y, case.weight, 2, 1e-3)
    objective, fit = fitted(strange)
    test = 0.3 * torch.randn(30, 4, dtype=torch.float64, generator=generator)
    rows = Block(
        torch.cat([test, torch.full((30, 1), 3.0, dtype=torch.float64)], 1),
        torch.zeros(30, dtype=torch.int64),
        torch.ones(30, dtype=torch.float64),
    )
    conclusion = SliceErrors(objective.model, rows, 20)
    assert conclusion.holds(fit.theta)
    flip = smallest_flip(objective, fit, conclusion)
    assert set(flip.rows.tolist()) == set(planted.tolist())


def test_what_no_few_rows_carry_is_not_overturned():
    case = make("", 200, 3, 2, noise=0.1)
    objective, fit = fitted(case)
    s = objective.scores(fit.theta)[:, 0]
    row = objective.rows.take(s.argmax()[None])
    assert smallest_flip(objective, fit, Prediction(objective.model, row, 1), limit=0.02) is None


def test_none_where_no_removal_helps():
    case = make("", 60, 2, 2)
    objective, fit = fitted(case)

    class Unmoved(CoefficientSign):
        def gradient(self, theta):
            return torch.zeros_like(theta)

    assert smallest_flip(objective, fit, Unmoved(0, float(fit.theta[0].sign()))) is None


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_without_a_factored_hessian_the_answer_is_the_same(case, monkeypatch):
    objective, fit = fitted(case)
    row = closest_call(objective, fit.theta, others(case))
    conclusion = Prediction(objective.model, row, predicted_class(objective.model, fit.theta, row))
    one = smallest_flip(objective, fit, conclusion, limit=0.3)
    monkeypatch.setattr(groups, "TINY", 0)
    solve = choose_solver(objective).prepare(objective, fit.theta).solve
    two = smallest_flip(objective, fit, conclusion, limit=0.3, precondition=solve)
    assert one.rows.tolist() == two.rows.tolist()
    assert one.measured == pytest.approx(two.measured, abs=1e-6)


def test_a_refit_that_does_not_confirm_is_followed_by_more_rows(monkeypatch):
    """Newton's steps that promise too much: the first sets fail their refit, the answer still holds."""
    case = PROBLEMS[0]
    objective, fit = fitted(case)
    block, refits = others(case), []
    for i in range(len(block.y)):
        row = one_row(block, i)
        conclusion = Prediction(objective.model, row, predicted_class(objective.model, fit.theta, row))
        flip = smallest_flip(objective, fit, conclusion)
        if flip is not None and len(flip.rows) >= 4:
            break
    honest = amip._Search.step

    def boastful(self, at, rows):
        stage = honest(self, at, rows)
        return replace(stage, theta=at.theta + 2.0 * (stage.theta - at.theta))

    def counted(changed, start, *, precondition):
        refits.append(int((changed.rows.weight == 0).sum()))
        return minimise(changed, start, precondition=precondition)

    monkeypatch.setattr(amip._Search, "step", boastful)
    monkeypatch.setattr(amip, "minimise", counted)
    again = smallest_flip(objective, fit, conclusion)
    assert again.measured <= 0
    assert not conclusion.holds(truth_without(case, again.rows))
    assert len(refits) > 1
    assert refits == sorted(set(refits)), "each with more rows gone than the one before"
    assert refits[-1] == len(again.rows)


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_a_rows_own_step_is_the_group_step_of_one(case):
    objective, fit = fitted(case)
    solve = choose_solver(objective).prepare(objective, fit.theta).solve
    watched = torch.randn(len(fit.theta), dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    rows = torch.tensor([0, 7, 75, 149])
    found = own_steps(objective, fit.theta, solve, v=solve(watched[:, None]), rows=rows)
    moved = [watched @ (group_step(objective, fit.theta, row[None]) - fit.theta) for row in rows]
    torch.testing.assert_close(found[:, 0], torch.stack(moved), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_margins_have_the_gradients_that_they_say(case):
    """By autograd, with the margins written from their definitions; the slow twin of `conclusions`."""
    objective, fit = fitted(case)
    block, model = others(case), objective.model
    X1 = torch.tensor(block.dense().tolist(), dtype=torch.float64)

    def leads(theta, own):
        s = X1 @ theta.reshape(X1.shape[1], -1)
        s = torch.cat([torch.zeros_like(s[:, :1]), s], 1)
        mine = torch.nn.functional.one_hot(own, s.shape[1]).bool()
        return s[mine] - s.masked_fill(mine, -torch.inf).max(1).values

    top = torch.nn.functional.pad(model.scores(fit.theta, block), (1, 0)).argmax(1)
    behind = -leads(fit.theta, block.y).clamp_max(0).sort(descending=True).values
    tau = float(behind[behind > 0][-2]) / 2  # the last row but the one error that is tolerated

    for conclusion, twin in (
        (Prediction(model, one_row(block, 3), int(top[3])), lambda theta: leads(theta, top)[3]),
        (
            SliceErrors(model, block, 1),
            lambda theta: torch.sigmoid(-leads(theta, block.y) / tau).sum() - 1,
        ),
        (CoefficientSign(2, -1.0), lambda theta: -theta[2]),
        (Misprediction(model, one_row(block, 5)), lambda theta: -leads(theta, block.y)[5]),
    ):
        value = torch.func.grad(twin)(fit.theta)
        torch.testing.assert_close(conclusion.gradient(fit.theta), value, rtol=1e-9, atol=1e-12)
        assert conclusion.margin(fit.theta) == pytest.approx(float(twin(fit.theta)))


def truth_relabelled(case, rows, labels):
    y = case.y.clone()
    y[rows] = labels
    return minimum(case, y=y)


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_with_other_labels_the_prediction_is_righted(case):
    objective, fit = fitted(case)
    block, righted = others(case, 60), 0
    for i in range(60):
        row = one_row(block, i)
        if predicted_class(objective.model, fit.theta, row) == int(row.y[0]):
            continue
        conclusion = Misprediction(objective.model, row)
        flip = smallest_flip(objective, fit, conclusion, relabel=True)
        if flip is None:
            continue
        righted += 1
        assert len(set(flip.rows.tolist())) == len(flip.rows) <= 15
        assert (flip.labels != case.y[flip.rows]).all()
        truth = truth_relabelled(case, flip.rows, flip.labels)
        assert predicted_class(objective.model, truth, row) == int(row.y[0])
        assert flip.before > 0 >= flip.measured
        if len(flip.rows) > 1:  # without the last one it is wrong still
            fewer = truth_relabelled(case, flip.rows[:-1], flip.labels[:-1])
            assert conclusion.margin(fewer) > -0.05
        if righted == 4:
            return
    assert righted


@pytest.mark.parametrize("case", PROBLEMS, ids=NAMES)
def test_what_another_label_does_is_the_group_step_of_one(case):
    """And the class that is taken is the one that does most."""
    objective, fit = fitted(case)
    block = others(case)
    row = closest_call(objective, fit.theta, block)
    conclusion = Prediction(objective.model, row, predicted_class(objective.model, fit.theta, row))
    none = torch.empty(0, dtype=torch.int64)
    search = amip._Relabelling(objective, conclusion, 15, None)
    effects, labels = search.effects(amip._Stage(none, none, fit.theta))
    slope = conclusion.gradient(fit.theta)
    for i in (0, 7, 75, 149):
        at = torch.tensor([i])
        moved = [
            float(slope @ (group_step(objective, fit.theta, at, y=torch.tensor([c])) - fit.theta))
            for c in range(case.n_classes)
        ]
        assert float(effects[i]) == pytest.approx(min(moved), rel=1e-7, abs=1e-12)
        assert moved[int(labels[i])] == pytest.approx(min(moved), abs=1e-12)


def test_no_single_label_rights_what_two_were_changed_for():
    """By brute force over all rows."""
    case = PROBLEMS[0]
    objective, fit = fitted(case)
    block = others(case, 60)
    for i in range(60):
        row = one_row(block, i)
        conclusion = Prediction(objective.model, row, predicted_class(objective.model, fit.theta, row))
        flip = smallest_flip(objective, fit, conclusion, relabel=True)
        if flip is not None and len(flip.rows) == 2:
            break
    else:
        pytest.fail("no prediction takes two labels")
    margins = [
        conclusion.margin(group_step(objective, fit.theta, torch.tensor([j]), y=1 - case.y[[j]]))
        for j in range(150)
    ]
    assert min(margins) > -0.01


def test_nonsense_is_refused():
    case = PROBLEMS[0]
    objective, fit = fitted(case)
    row = one_row(others(case), 0)
    wrong = 1 - predicted_class(objective.model, fit.theta, row)
    with pytest.raises(SettingError, match="does not hold at this fit"):
        smallest_flip(objective, fit, Prediction(objective.model, row, wrong))
    with pytest.raises(SettingError, match="between 0 and 1: got 1"):
        smallest_flip(objective, fit, Prediction(objective.model, row, 1 - wrong), limit=1)
