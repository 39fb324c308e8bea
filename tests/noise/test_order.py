"""The order of the rows: the average of log-odds against loops, and what it is worth."""

import math

import numpy as np
import pytest
from noisy import average_precision, flips, loss, sample, simulate, some_theta

from dataaudit.noise import fit_noise, review_budget
from dataaudit.noise.likelihood import Sample, best, log_odds, objective, p_wrong
from dataaudit.noise.order import pooled

ONE_PAIR = [[1.0, 0, 0, 0], [0.4, 0.6, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]]


def fits(rows):
    """The models that the rates are fitted by: one rate, and one for each pair."""
    k = rows.classes
    common = best(rows, "common", [np.append(np.zeros(k), 0.2)])
    start = np.concatenate((common.theta[:k], np.full(k * (k - 1), common.theta[k])))
    return common, best(rows, "pairs", [start])


def shifted(odds, total):
    """Probabilities whose sum is given, by bisection in loops."""
    low, high = -40.0, 40.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        p = [1 / (1 + math.exp(-(o + middle))) for o in odds]
        low, high = (middle, high) if sum(p) < total else (low, middle)
    return p


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("structure", ["common", "pairs", "sparse"])
def test_log_odds_are_those_of_the_probability(structure, k):
    rows, theta = sample(50, k), some_theta(k, structure)
    p = p_wrong(rows, theta, structure)
    assert log_odds(rows, theta, structure) == pytest.approx(np.log(p / (1 - p)), abs=1e-6)


def test_log_odds_of_certain_rows_are_finite_and_keep_their_order():
    rows = Sample(np.array([[0.0] * 3, [50.0, 60.0, 90.0]]), np.zeros(3, dtype=np.int64), np.ones(3))
    odds = log_odds(rows, np.array([0.0, 0.0, 0.1]), "common")
    assert np.isfinite(odds).all()
    assert (p_wrong(rows, np.array([0.0, 0.0, 0.1]), "common") == 1.0).all()
    assert odds == pytest.approx(np.array([50.0, 60.0, 90.0]) + 2 * math.log(0.1))


def test_spellings_of_one_class_are_not_wrong():
    rows = sample(50, 3)
    same = np.array([[True, True, False], [True, True, False], [False, False, True]])
    spelt = Sample(rows.scores, rows.y, rows.weight, same)
    theta = some_theta(3, "pairs")
    assert (log_odds(spelt, theta, "pairs") < log_odds(rows, theta, "pairs"))[rows.y < 2].all()
    p = p_wrong(spelt, theta, "pairs")
    assert log_odds(spelt, theta, "pairs") == pytest.approx(np.log(p / (1 - p)), abs=1e-6)


def test_two_classes_weigh_by_the_evidence():
    rows = sample(400, 2)
    common, pairs = fits(rows)
    level = best(rows, "common", [common.theta * [1, 0, 1]], level=True)
    assert level.theta[1] == 0
    assert level.value == pytest.approx(objective(level.theta, rows, "common")[0])
    assert level.value >= common.value >= pairs.value - 1
    weights = [
        math.exp(-m.value + level.value - 0.5 * j * math.log(rows.total))
        for j, m in enumerate((level, common, pairs))
    ]
    odds = np.zeros(400)
    for i in range(400):
        for m, w in zip((level, common, pairs), weights, strict=True):
            odds[i] += w / sum(weights) * log_odds(rows, m.theta, m.structure)[i]
    found = pooled(rows, rows, common=common, pairs=pairs, expected=31.0)
    assert found == pytest.approx(shifted(odds, 31.0), abs=1e-9)
    assert found.sum() == pytest.approx(31.0)


def test_several_classes_weigh_both_spreads_of_the_rates_alike():
    rows = sample(400, 3)
    common, pairs = fits(rows)
    sparse = best(rows, "sparse", [np.concatenate((common.theta[:3], np.full(6, common.theta[3])))])
    odds = (log_odds(rows, pairs.theta, "pairs") + log_odds(rows, sparse.theta, "sparse")) / 2
    found = pooled(rows, rows, common=common, pairs=pairs, expected=50.0)
    assert found == pytest.approx(shifted(odds, 50.0), abs=1e-9)


def test_without_rates_of_pairs_one_rate_decides():
    rows = sample(100, 3)
    common, _ = fits(rows)
    p = p_wrong(rows, common.theta, "common")
    assert pooled(rows, rows, common=common, pairs=None, expected=float(p.sum())) == pytest.approx(
        p, abs=1e-9
    )


@pytest.mark.parametrize("spread", [0.8, 4.0])
def test_two_classes_without_a_difference_keep_the_order_of_the_loss(spread):
    scores, label, wrong = simulate(1500, flips(0.1, 0.1), spread=spread)
    p = fit_noise(scores, label, 2).p_wrong
    by_loss = average_precision(loss(scores, label), wrong)
    assert average_precision(p, wrong) == pytest.approx(by_loss, abs=0.004)


def test_a_pair_of_classes_that_stands_apart_is_found():
    scores, label, wrong = simulate(2000, ONE_PAIR, spread=3.0)
    rows = Sample(np.vstack([np.zeros(2000), scores.T]), label, np.ones(2000))
    common, pairs = fits(rows)
    by = [average_precision(p_wrong(rows, m.theta, m.structure), wrong) for m in (common, pairs)]
    ours = average_precision(fit_noise(scores, label, 4).p_wrong, wrong)
    assert ours > by[0] + 0.1
    assert ours > by[1] - 0.01


def test_equal_rates_of_several_classes_lose_little_to_one_rate():
    lost = []
    for seed in range(3):
        k = 6
        rates = np.full((k, k), 0.1 / (k - 1)) + np.eye(k) * (0.9 - 0.1 / (k - 1))
        scores, label, wrong = simulate(500, rates, spread=4.0, seed=seed)
        rows = Sample(np.vstack([np.zeros(500), scores.T]), label, np.ones(500))
        common, pairs = fits(rows)
        by = [average_precision(p_wrong(rows, m.theta, m.structure), wrong) for m in (common, pairs)]
        lost.append([by[0] - average_precision(fit_noise(scores, label, k).p_wrong, wrong), by[0] - by[1]])
    ours, pairs_alone = np.mean(lost, axis=0)
    assert ours < 0.02
    assert ours < pairs_alone


def test_softmax_of_a_shift_is_a_shift():
    """The head of the module: with two classes, b moves every row of a class by one number."""
    scores, label, _ = simulate(200, flips(0.1, 0.1))
    rows = Sample(np.vstack([np.zeros(200), scores.T]), label, np.ones(200))
    level, moved = (log_odds(rows, np.array([0.0, b, 0.3]), "common") for b in (0.0, 0.7))
    assert moved - level == pytest.approx(np.where(label == 0, 0.7, -0.7))


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([1.0, 1.0, 1.0, 1.0, 0.0, 0.0], (2, 4, 4)),
        ([0.5] * 10, (5, 8, 10)),
        ([0.9, 0.05, 0.05], (1, 1, 2)),
        ([0.1, 0.1, 0.1], (0, 0, 0)),  # less than half a label
        ([], (0, 0, 0)),
        ([0.0, 0.0], (0, 0, 0)),
    ],
)
def test_budget_counts_rows(p, expected):
    assert review_budget(np.array(p)) == tuple(zip((0.5, 0.8, 0.95), expected, strict=True))


def test_budget_keeps_its_promise():
    scores, label, wrong = simulate(5000, flips(0.1, 0.1), spread=4.0)
    p = fit_noise(scores, label, 2).p_wrong
    order = np.argsort(-p, kind="stable")
    for share, rows in review_budget(p[order]):
        assert wrong[order][:rows].sum() / wrong.sum() == pytest.approx(share, abs=0.05)
