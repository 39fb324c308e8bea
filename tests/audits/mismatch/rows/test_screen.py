"""What is asked of all slices at once is what each would be told alone."""

import numpy as np
import pytest
import torch
from audits.mismatch.rows.planted import case, gain, other_label, screen, table

from dataaudit.audits.mismatch.rows.cuts import cut
from dataaudit.audits.mismatch.rows.fixes import Relabel, Remove
from dataaudit.audits.mismatch.rows.screen import TEST_PRIOR, TRAIN_PRIOR, Screen, differences
from dataaudit.influence.influence import up_loss


def test_differences_are_those_of_each_slice_alone():
    known = other_label(table(150, 0), table(150, 0)["ward"] == "east")
    pair, trained, tested, world = case(known, table(80, 1))
    cuts, asked = cut(pair.train, trained, tested), Screen(trained, world)
    D = differences(asked.known.sums(cuts.train), asked.new.sums(cuts.test))
    y, p = tested.y, tested.p[:, 1]
    without = trained.log_probabilities(trained.left_out).exp().numpy()[:, 1]
    for i in range(cuts.m):
        part = cuts.slice(i)
        q, P = without[part.train], p[part.test]
        V = (q * (1 - q)).sum() + TRAIN_PRIOR, (P * (1 - P)).sum() + TEST_PRIOR
        R = (pair.target.y[part.train] - q).sum(), (y[part.test] - P).sum()
        expected = (R[1] / V[1] - R[0] / V[0]) ** 2 / (1 / V[0] + 1 / V[1]) / 2
        assert D[i] == pytest.approx(expected, rel=1e-9)
        if len(part.test):
            judged = np.isin(world.rows, part.test)
            assert asked.difference(part.train, judged) == pytest.approx(expected, rel=1e-9)


def test_influence_is_up_loss_summed_over_half_of_test():
    _, trained, tested, world = case(table(60, 0), table(40, 1))
    every = up_loss(trained.objective, trained.fit.theta, trained.prepared, test=tested.block).numpy()
    leaving, labelled = Screen(trained, world).influence
    y = trained.objective.rows.y.numpy()
    for half, mine in zip((world.first, ~world.first), leaving, strict=True):
        np.testing.assert_allclose(mine, every[half].sum(0) / 60, atol=1e-12)
    np.testing.assert_allclose(labelled[:, np.arange(60), y], 0.0, atol=1e-15)
    other = Screen(trained, world).influence[1].sum(0)[np.arange(60), 1 - y]
    # Of two classes another label is the row leaving and the other one coming.
    slope, s = trained.objective.model.loss.slope, trained.objective.scores(trained.fit.theta)
    ratio = 1 - slope(s, torch.from_numpy(1 - y))[:, 0] / slope(s, trained.objective.rows.y)[:, 0]
    np.testing.assert_allclose(other, leaving.sum(0) * ratio.numpy(), rtol=1e-9, atol=1e-12)


def test_gains_have_the_sign_and_the_size_of_refits():
    known = table(400, 0)
    asked = screen(other_label(known, known["ward"] == "east"), table(200, 1))
    rows = np.flatnonzero(known["ward"] == "east")
    y = 1 - asked.trained.objective.rows.y.numpy()[rows]
    gains = asked.gains([asked.pull(rows), asked.pull(rows, y)]).sum(0)
    refits = [gain(asked.world, fix) for fix in (Remove(rows, ""), Relabel(rows, y, "", ""))]
    assert min(refits) > 5
    np.testing.assert_allclose(gains, refits, rtol=0.35)
