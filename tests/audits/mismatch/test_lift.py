"""Slices: cut right, measured against the slow way, and judged with chance in mind."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
import scipy.stats
import torch

from dataaudit.audits.mismatch.lift import SolvedErrors, cross, cut_slices, score_pairs, score_slices
from dataaudit.audits.mismatch.tracing import loss_gain, move_without
from dataaudit.audits.testset import predict
from dataaudit.influence.groups import refit_group
from dataaudit.influence.influence import loss_gradients, up_loss
from dataaudit.options import LabelOptions
from dataaudit.statistics import exact_interval, fisher, tarone
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train


def wards(n, seed, *, rare):
    """Rows whose label hangs on x; of ward "rare", `rare` says it whatever x is."""
    random = np.random.default_rng(seed)
    ward = random.choice(["north", "south", "east", "rare"], n, p=[0.4, 0.3, 0.28, 0.02])
    x = random.normal(size=n)
    y = random.random(n) < 1 / (1 + np.exp(-2 * x))
    y = np.where(ward == "rare", rare, y)
    start = dt.date(2024, 1, 1)
    day = pl.date_range(start, start + dt.timedelta(days=n - 1), eager=True)
    return pl.DataFrame(
        {
            "ward": pl.Series(ward).set(pl.Series(np.arange(n) % 50 == 7), None),
            "x": x,
            "floor": random.integers(1, 5, n),
            "day": day.sample(n, shuffle=True, seed=seed),
            "y": np.where(y, "ill", "well"),
        }
    )


@pytest.fixture(scope="module")
def model():
    asked = LabelOptions(label="y", basis="linear", l2=1e-4)
    known, target = read_labelled(wards(800, 0, rare=True), asked)
    new, labels = read_labelled(wards(900, 1, rare=False), asked)
    trained = train(encode_training(known, target, asked), asked)
    tested = predict(trained, new, labels.y)
    wrong = np.flatnonzero(tested.wrong)
    solved = trained.prepared.solve(
        loss_gradients(trained.objective.model, trained.fit.theta, tested.take(wrong))
    )
    every = up_loss(trained.objective, trained.fit.theta, trained.prepared, test=tested.take(wrong))
    solved = SolvedErrors(wrong, solved, every.abs().sum(1).numpy())
    return trained, known, tested, solved, every.numpy()


def test_slices_of_a_column_are_its_rows(model):
    trained, known, tested, _, _ = model
    slices = cut_slices(trained, known, tested)
    for column in ("ward", "floor"):
        mine = {s.level: s for s in slices if s.column == column}
        new = tested.dataset.frame[column].cast(pl.String).fill_null("(missing)")
        old = known.frame[column].cast(pl.String).fill_null("(missing)")
        assert mine.keys() == set(new.unique())
        for level, part in mine.items():
            np.testing.assert_array_equal(part.test, np.flatnonzero((new == level).to_numpy()))
            np.testing.assert_array_equal(part.train, np.flatnonzero((old == level).to_numpy()))


@pytest.mark.parametrize("column", ["x", "day"])
def test_bins_split_the_rows_and_hold_alike_many_training_rows(model, column):
    trained, known, tested, _, _ = model
    bins = [s for s in cut_slices(trained, known, tested) if s.column == column]
    assert len(bins) == 8
    sizes = [len(s.train) for s in bins]
    assert sum(sizes) == known.n
    assert sum(len(s.test) for s in bins) == tested.n
    assert max(sizes) <= 1.1 * min(sizes)


def test_share_and_harm_are_those_of_the_slow_way(model):
    trained, known, tested, solved, every = model
    part = next(s for s in cut_slices(trained, known, tested) if s.level == "rare")
    score = score_slices(trained, tested, (part,), solved=solved)[0]
    errors = np.isin(solved.rows, part.test)
    share = (np.abs(every[errors][:, part.train]).sum(1) / np.abs(every[errors]).sum(1)).mean()
    assert score.lift.share == pytest.approx(share, rel=1e-9)
    assert score.lift.value == pytest.approx(share / (len(part.train) / known.n), rel=1e-9)
    gain, fixed = loss_gain(trained, tested, part.test, move=move_without(trained, part.train))
    assert score.harm == pytest.approx(gain.mean())
    assert score.fixed == fixed
    truth = refit_group(trained.objective, trained.fit, torch.from_numpy(part.train)).theta
    measured, _ = loss_gain(trained, tested, part.test, move=truth - trained.fit.theta)
    assert gain.mean() == pytest.approx(measured.mean(), rel=0.05)


def test_the_slice_with_other_labels_comes_first(model):
    trained, known, tested, solved, _ = model
    scores = score_slices(trained, tested, cut_slices(trained, known, tested), solved=solved)
    first = max(scores, key=lambda s: s.order)
    assert first.slice.name == "ward = rare"
    assert first.lift.low > 3
    assert first.harm_low > 0


def test_pairs_are_their_common_rows(model):
    trained, known, tested, solved, _ = model
    scores = score_slices(trained, tested, cut_slices(trained, known, tested), solved=solved)
    pairs = score_pairs(trained, tested, scores, solved=solved)
    assert pairs
    by_name = {s.slice.name: s.slice for s in scores}
    for pair in (p.slice for p in pairs):
        one = by_name[f"{pair.column} = {pair.level}"]
        two = by_name[f"{pair.second_column} = {pair.second_level}"]
        assert set(pair.test) == set(one.test) & set(two.test)
        assert cross(one, two).name == pair.name


def test_without_slices_there_is_nothing_to_measure(model):
    trained, _, tested, solved, _ = model
    assert score_slices(trained, tested, (), solved=solved) == []


@pytest.mark.parametrize(
    "counts", [(3, 4, 0, 137), (2, 4, 10, 20), (0, 5, 3, 5), (4, 4, 4, 4), (30, 40, 50, 900)]
)
def test_fisher_is_scipys(counts):
    a, n, b, t = counts
    p, least = fisher((np.array([a]), np.array([n])), (np.array([b]), np.array([t])))
    reference = scipy.stats.fisher_exact([[a, n - a], [b, t - b]], alternative="greater").pvalue
    assert p[0] == pytest.approx(reference, rel=1e-9)
    most = min(n, a + b)
    assert least[0] == pytest.approx(scipy.stats.hypergeom(n + t, a + b, n).pmf(most), rel=1e-9)


def test_fisher_says_nothing_without_rows():
    p, least = fisher((np.array([0]), np.array([0])), (np.array([3]), np.array([9])))
    assert (p[0], least[0]) == (1.0, 1.0)


def test_interval_is_clopper_and_pearsons():
    low, high = exact_interval(np.array([0, 3, 4, 0]), np.array([137, 4, 4, 0]))
    reference = [scipy.stats.binomtest(k, n).proportion_ci() for k, n in ((0, 137), (3, 4), (4, 4))]
    np.testing.assert_allclose(low[:3], [r.low for r in reference], atol=1e-12)
    np.testing.assert_allclose(high[:3], [r.high for r in reference], atol=1e-12)
    assert (low[3], high[3]) == (0.0, 1.0)


def test_tarone_pays_for_what_could_be_significant_only():
    assert tarone(np.array([1e-9, 1e-9, 0.5, 0.5, 0.5]), 0.01) == 2
    assert tarone(np.full(10, 1e-9), 0.01) == 10
    assert tarone(np.full(10, 0.9), 0.01) == 1
