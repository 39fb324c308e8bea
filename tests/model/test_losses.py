"""Pointwise losses: values and derivatives, out to where naive formulas give 0, 1 or infinity."""

import numpy as np
import pytest
import torch

from dataaudit.errors import SettingError
from dataaudit.model.losses import SmoothHinge, Softmax, Squared, SquaredHinge

# From mpmath, 40 digits:
#     mp.dps = 40; s = mpf(s); m = s if y == 0 else -s
#     value = log1p(exp(m)); slope = (1 if y == 0 else -1) / (1 + exp(-m))
#     curvature = exp(m) / (1 + exp(m))**2
# (s, y, value, slope, curvature)
BINARY = [
    (0.0, 0, 0.6931471805599453, 0.5, 0.25),
    (0.0, 1, 0.6931471805599453, -0.5, 0.25),
    (1.0, 0, 1.3132616875182228, 0.7310585786300049, 0.19661193324148185),
    (1.0, 1, 0.3132616875182228, -0.2689414213699951, 0.19661193324148185),
    (-2.5, 0, 0.07888973429254963, 0.07585818002124355, 0.07010371654510816),
    (-2.5, 1, 2.5788897342925496, -0.9241418199787564, 0.07010371654510816),
    (37.0, 0, 37.0, 0.9999999999999999, 8.533047625744065e-17),
    (37.0, 1, 8.533047625744066e-17, -8.533047625744065e-17, 8.533047625744065e-17),
    (-37.0, 0, 8.533047625744066e-17, 8.533047625744065e-17, 8.533047625744065e-17),
    (-37.0, 1, 37.0, -0.9999999999999999, 8.533047625744065e-17),
    (1000.0, 0, 1000.0, 1.0, 0.0),
    (1000.0, 1, 0.0, -0.0, 0.0),
    (-1000.0, 0, 0.0, 0.0, 0.0),
    (-1000.0, 1, 1000.0, -1.0, 0.0),
    (1e20, 0, 1e20, 1.0, 0.0),
    (1e20, 1, 0.0, 0.0, 0.0),
]
# The same for three classes: scores of classes 1 and 2, class 0 at score 0; p_j = exp(s_j) / (1 + Σ exp s_l),
#     value = -log(p_y); slope_j = p_j - (j == y); curvature = [p_1 (1-p_1), -p_1 p_2, p_2 (1-p_2)]
# ((s_1, s_2), y, value, slope, curvature)
TERNARY = [
    (
        (0.0, 0.0),
        0,
        1.0986122886681098,
        [0.3333333333333333, 0.3333333333333333],
        [0.2222222222222222, -0.1111111111111111, 0.2222222222222222],
    ),
    (
        (0.0, 0.0),
        1,
        1.0986122886681098,
        [-0.6666666666666666, 0.3333333333333333],
        [0.2222222222222222, -0.1111111111111111, 0.2222222222222222],
    ),
    (
        (0.0, 0.0),
        2,
        1.0986122886681098,
        [0.3333333333333333, -0.6666666666666666],
        [0.2222222222222222, -0.1111111111111111, 0.2222222222222222],
    ),
    (
        (1.0, -2.0),
        0,
        1.3490122167681864,
        [0.7053845126982412, 0.03511902695933972],
        [0.207817201943706, -0.024772417718150246, 0.03388568090476889],
    ),
    (
        (1.0, -2.0),
        1,
        0.3490122167681864,
        [-0.29461548730175885, 0.03511902695933972],
        [0.207817201943706, -0.024772417718150246, 0.03388568090476889],
    ),
    (
        (1.0, -2.0),
        2,
        3.349012216768186,
        [0.7053845126982412, -0.9648809730406602],
        [0.207817201943706, -0.024772417718150246, 0.03388568090476889],
    ),
    (
        (37.0, 0.0),
        0,
        37.0,
        [0.9999999999999998, 8.533047625744065e-17],
        [1.7066095251488127e-16, -8.533047625744063e-17, 8.533047625744063e-17],
    ),
    (
        (37.0, 0.0),
        1,
        1.706609525148813e-16,
        [-1.706609525148813e-16, 8.533047625744065e-17],
        [1.7066095251488127e-16, -8.533047625744063e-17, 8.533047625744063e-17],
    ),
    (
        (37.0, 0.0),
        2,
        37.0,
        [0.9999999999999998, -0.9999999999999999],
        [1.7066095251488127e-16, -8.533047625744063e-17, 8.533047625744063e-17],
    ),
    (
        (-37.0, -36.0),
        0,
        3.1728275928179756e-16,
        [8.533047625744063e-17, 2.3195228302435686e-16],
        [8.533047625744062e-17, -1.9792598779469034e-32, 2.319522830243568e-16],
    ),
    (
        (-37.0, -36.0),
        1,
        37.0,
        [-0.9999999999999999, 2.3195228302435686e-16],
        [8.533047625744062e-17, -1.9792598779469034e-32, 2.319522830243568e-16],
    ),
    (
        (-37.0, -36.0),
        2,
        36.0,
        [8.533047625744063e-17, -0.9999999999999998],
        [8.533047625744062e-17, -1.9792598779469034e-32, 2.319522830243568e-16],
    ),
    (
        (37.0, 36.0),
        0,
        37.31326168751822,
        [0.7310585786300048, 0.2689414213699951],
        [0.19661193324148188, -0.19661193324148182, 0.19661193324148185],
    ),
    (
        (37.0, 36.0),
        1,
        0.3132616875182229,
        [-0.26894142136999516, 0.2689414213699951],
        [0.19661193324148188, -0.19661193324148182, 0.19661193324148185],
    ),
    (
        (37.0, 36.0),
        2,
        1.3132616875182228,
        [0.7310585786300048, -0.7310585786300049],
        [0.19661193324148188, -0.19661193324148182, 0.19661193324148185],
    ),
    (
        (50.0, -50.0),
        0,
        50.0,
        [1.0, 3.720075976020836e-44],
        [1.9287498479639178e-22, -3.720075976020836e-44, 3.720075976020836e-44],
    ),
    (
        (50.0, -50.0),
        1,
        1.9287498479639178e-22,
        [-1.9287498479639178e-22, 3.720075976020836e-44],
        [1.9287498479639178e-22, -3.720075976020836e-44, 3.720075976020836e-44],
    ),
    (
        (50.0, -50.0),
        2,
        100.0,
        [1.0, -1.0],
        [1.9287498479639178e-22, -3.720075976020836e-44, 3.720075976020836e-44],
    ),
    ((1000.0, -1000.0), 0, 1000.0, [1.0, 0.0], [0.0, -0.0, 0.0]),
    ((1000.0, -1000.0), 1, 0.0, [-0.0, 0.0], [0.0, -0.0, 0.0]),
    ((1000.0, -1000.0), 2, 2000.0, [1.0, -1.0], [0.0, -0.0, 0.0]),
    ((-1000.0, -1000.0), 0, 0.0, [0.0, 0.0], [0.0, -0.0, 0.0]),
    ((-1000.0, -1000.0), 1, 1000.0, [-1.0, 0.0], [0.0, -0.0, 0.0]),
    ((-1000.0, -1000.0), 2, 1000.0, [0.0, -1.0], [0.0, -0.0, 0.0]),
]
LOSSES = [Softmax(2), Softmax(3), Softmax(7), SmoothHinge(0.5), SmoothHinge(2.0), SquaredHinge(), Squared()]
# Smooth hinge, from mpmath, 40 digits: c = 2 y - 1; u = (1 - c s) / t
#     value = t * log1p(exp(u)); slope = -c / (1 + exp(-u)); curvature = exp(u) / (1 + exp(u))**2 / t
# (t, s, y, value, slope, curvature)
SMOOTH = [
    (0.001, 1.0, 1, 0.0006931471805599454, -0.5, 250.0),
    (0.001, 1.01, 1, 4.5398899216864646e-08, -4.5397868702434395e-05, 0.04539580773595167),
    (0.001, 0.99, 1, 0.01000004539889922, -0.9999546021312976, 0.04539580773595167),
    (0.001, 3.0, 1, 0.0, -0.0, 0.0),
    (0.001, 3.0, 0, 4.0, 1.0, 0.0),
    (0.1, 0.0, 0, 1.0000045398899218, 0.9999546021312976, 0.00045395807735951673),
    (0.1, 2.0, 1, 4.5398899216864646e-06, -4.5397868702434395e-05, 0.00045395807735951673),
    (1.0, 0.0, 1, 1.3132616875182228, -0.7310585786300049, 0.19661193324148185),
    (1e-300, 2.0, 0, 3.0, 1.0, 0.0),
]


@pytest.mark.parametrize(("s", "y", "value", "slope", "curvature"), BINARY)
def test_binary_at_extreme_scores(s, y, value, slope, curvature):
    loss, s, y = Softmax(2), torch.tensor([[s]], dtype=torch.float64), torch.tensor([y])
    assert float(loss.value(s, y)) == pytest.approx(value, rel=1e-14, abs=1e-300)
    assert float(loss.slope(s, y)) == pytest.approx(slope, rel=1e-14, abs=1e-300)
    assert float(loss.curvature(s, y)) == pytest.approx(curvature, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize(("s", "y", "value", "slope", "curvature"), TERNARY)
def test_ternary_at_extreme_scores(s, y, value, slope, curvature):
    loss, s, y = Softmax(3), torch.tensor([s], dtype=torch.float64), torch.tensor([y])
    W = loss.curvature(s, y)[0]
    assert float(loss.value(s, y)) == pytest.approx(value, rel=1e-13, abs=1e-300)
    assert loss.slope(s, y)[0].tolist() == pytest.approx(slope, rel=1e-13, abs=1e-300)
    assert [W[0, 0], W[0, 1], W[1, 1]] == pytest.approx(curvature, rel=1e-13, abs=1e-300)
    assert W[0, 1] == W[1, 0]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_slope_and_curvature_are_derivatives(loss):
    rng, k, step = np.random.default_rng(0), loss.n_scores, 1e-3
    s = torch.from_numpy(3 * rng.standard_normal((20, k)))
    y = torch.from_numpy(rng.integers(0, k + 1, 20))
    for j in range(k):
        e = step * torch.eye(k, dtype=torch.float64)[j]

        def five_point(f, e=e):  # error O(step⁴)
            return (8 * (f(s + e, y) - f(s - e, y)) - (f(s + 2 * e, y) - f(s - 2 * e, y))) / (12 * step)

        torch.testing.assert_close(five_point(loss.value), loss.slope(s, y)[:, j], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(
            five_point(loss.slope), loss.curvature(s, y)[:, :, j], rtol=1e-9, atol=1e-10
        )


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("size", [1.0, 37.0, 1e3, 1e20, 1e300])
def test_nothing_is_infinite_or_of_the_wrong_sign(loss, size):
    if isinstance(loss, Squared | SquaredHinge):
        size = min(size, 1e100)  # of which the square is finite
    rng = np.random.default_rng(1)
    s = torch.from_numpy(size * rng.uniform(-1, 1, (50, loss.n_scores)))
    y = torch.from_numpy(rng.integers(0, loss.n_scores + 1, 50))
    value, W = loss.value(s, y), loss.curvature(s, y)
    assert torch.isfinite(value).all()
    assert (value >= 0).all()
    steepest = 2 * (1 + size) if isinstance(loss, Squared | SquaredHinge) else 1 + 1e-15
    assert loss.slope(s, y).abs().max() <= steepest
    assert torch.linalg.eigvalsh(W).min() > -1e-16
    assert torch.equal(W, W.mT)


def test_two_classes_agree_with_the_general_formulas():
    s = torch.linspace(-30, 30, 61, dtype=torch.float64)[:, None]
    y = torch.arange(61) % 2
    general = -torch.log_softmax(torch.cat([torch.zeros_like(s), s], 1), 1).gather(1, y[:, None])[:, 0]
    p = torch.sigmoid(s)
    torch.testing.assert_close(Softmax(2).value(s, y), general, rtol=1e-10, atol=1e-15)
    torch.testing.assert_close(Softmax(2).slope(s, y), p - y[:, None], rtol=1e-10, atol=1e-15)
    torch.testing.assert_close(Softmax(2).curvature(s, y)[:, :, 0], p * (1 - p), rtol=1e-10, atol=1e-15)


def test_a_class_that_never_wins_changes_nothing():
    s = torch.linspace(-5, 5, 11, dtype=torch.float64)[:, None]
    y = torch.arange(11) % 2
    padded = torch.cat([s, torch.full_like(s, -800.0)], 1)
    torch.testing.assert_close(Softmax(3).value(padded, y), Softmax(2).value(s, y), rtol=1e-14, atol=0)
    torch.testing.assert_close(Softmax(3).slope(padded, y)[:, :1], Softmax(2).slope(s, y), rtol=1e-14, atol=0)


def test_log_probabilities_sum_to_one_and_inputs_stay():
    s = torch.tensor([[900.0, -900.0], [0.0, 0.0]], dtype=torch.float64)
    before = s.clone()
    logp = Softmax(3).log_probabilities(s)
    torch.testing.assert_close(logp.exp().sum(1), torch.ones(2, dtype=torch.float64))
    for name in ("value", "slope", "curvature"):
        getattr(Softmax(3), name)(s, torch.tensor([0, 2]))
    assert torch.equal(s, before)


def test_one_class_is_refused():
    with pytest.raises(SettingError, match="got 1"):
        Softmax(1)


@pytest.mark.parametrize(("t", "s", "y", "value", "slope", "curvature"), SMOOTH)
def test_smooth_hinge_at_extreme_scores(t, s, y, value, slope, curvature):
    loss, s, y = SmoothHinge(t), torch.tensor([[s]], dtype=torch.float64), torch.tensor([y])
    # u is a difference of like numbers over t: 1 - 1.01 has 14 digits.
    assert float(loss.value(s, y)) == pytest.approx(value, rel=1e-12, abs=1e-300)
    assert float(loss.slope(s, y)) == pytest.approx(slope, rel=1e-12, abs=1e-300)
    assert float(loss.curvature(s, y)) == pytest.approx(curvature, rel=1e-12, abs=1e-300)


def test_the_hinge_is_the_limit_of_the_smooth_one():
    s = torch.linspace(-3, 3, 13, dtype=torch.float64)[:, None]  # ±1, the kinks, among them
    y = torch.arange(13) % 2
    c = (2 * y - 1).double()
    hinge, sharp = SmoothHinge(0.0), SmoothHinge(1e-12)
    assert torch.equal(hinge.value(s, y), (1 - c * s[:, 0]).clamp_min(0))
    torch.testing.assert_close(hinge.value(s, y), sharp.value(s, y), rtol=0, atol=1e-12)
    assert torch.equal(hinge.slope(s, y), sharp.slope(s, y))
    assert hinge.slope(torch.ones(1, 1, dtype=torch.float64), torch.tensor([1])).item() == -0.5
    assert not hinge.curvature(s, y).any()


def test_a_smooth_hinge_is_a_scaled_and_shifted_logistic_loss():
    s, y, t = torch.linspace(-9, 9, 19, dtype=torch.float64)[:, None], torch.arange(19) % 2, 0.7
    shifted = (s - (2.0 * y[:, None] - 1)) / t  # c(shifted) = (m - 1)/t
    torch.testing.assert_close(SmoothHinge(t).value(s, y), t * Softmax(2).value(shifted, y))
    torch.testing.assert_close(SmoothHinge(t).slope(s, y), Softmax(2).slope(shifted, y))


@pytest.mark.parametrize("t", [-1e-3, float("nan"), float("inf")])
def test_a_temperature_is_a_number_from_0(t):
    with pytest.raises(SettingError, match="0 or more"):
        SmoothHinge(t)
