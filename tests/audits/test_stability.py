"""Predictions that depend on few training rows."""

import numpy as np
import polars as pl
import pytest
import torch

from dataaudit.audits.stability import REFITS, measure_dependence
from dataaudit.audits.testset import predict, read_pair
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.options import LabelOptions, MismatchOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train
from dataaudit.training.trained import score_rows


def trained_on(frame, **settings):
    asked = LabelOptions(label="y", **settings)
    dataset, target = read_labelled(frame, asked)
    return train(encode_training(dataset, target, asked), asked)


def classes(trained, theta, block):
    s = trained.objective.model.scores(theta, block)
    return torch.nn.functional.pad(s, (1, 0)).argmax(1)


def noisy(n, seed=0, names=("a", "b")):
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, 3))
    y = (X @ random.standard_normal((3, len(names))) + 1.5 * random.gumbel(size=(n, len(names)))).argmax(1)
    return pl.DataFrame(X, schema=["u", "v", "w"]).with_columns(y=pl.Series([names[c] for c in y]))


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c")])
def test_rows_and_counts_are_those_of_refits_without_each_row(names):
    trained = trained_on(noisy(60, names=names), basis="rbf", l2=3e-4 if len(names) > 2 else 3e-3)
    found = measure_dependence(trained, score_rows(trained))
    objective, rows = trained.objective, trained.objective.rows
    block = rows.take(torch.arange(rows.n))
    before, truth = classes(trained, trained.fit.theta, block), []
    for row in range(rows.n):
        turned = classes(trained, refit_without(objective, trained.fit, row).theta, block) != before
        turned[row] = False
        truth.append(int(turned.sum()))
    assert found.changed.tolist() == [truth[row] for row in found.rows]
    assert max(truth) == found.changed[0]
    assert found.watched == 60


def test_one_row_that_carries_a_level_is_found():
    random = np.random.default_rng(3)
    x = random.standard_normal(200)
    y = np.where(x > 0, "yes", "no")
    group = np.where(np.arange(200) < 1, "rare", "usual")
    y[0], x[0] = "yes", -3.0
    frame = pl.DataFrame({"x": x, "group": group, "y": y})
    new = pl.DataFrame({"x": np.full(30, -0.6), "group": ["rare"] * 30, "y": ["no"] * 30})
    asked = MismatchOptions(label="y", l2=1e-4, basis="linear")
    pair = read_pair(frame, new, asked)
    trained = train(encode_training(pair.train, pair.target, asked), asked)
    found = measure_dependence(trained, score_rows(trained), test=predict(trained, pair.test, pair.y).block)
    assert (found.rows[0], found.changed[0], found.watched) == (0, 30, 30)
    assert 0 in found.strongest
    assert found.changed_together == 30


def test_little_depends_on_a_row_of_many_that_are_alike():
    trained = trained_on(noisy(600), basis="linear")
    found = measure_dependence(trained, score_rows(trained))
    assert len(found.rows) <= REFITS
    assert found.changed.max(initial=0) < 0.03 * 600
    assert len(found.strongest) == 6
    assert found.changed_together < 0.1 * 600
