"""How far a slice's own training rows decide, and spoil, the predictions of its test rows.

For a slice S with n_S training rows, and a sample of its mispredicted test rows t,

    share(t) = Σ_{i∈S} |I_up,loss(i, t)| / Σ_i |I_up,loss(i, t)|        lift = mean share / (n_S/n)

A large lift says that a few rows of its own carry the slice. Whether they mislead is asked of all its test
rows, errors or not, or the choice of the errors would answer: with the slice's rows away the parameters move
by v = H⁻¹ Σ_{i∈S} g_i / n, and

    harm = mean_t [ℓ(s_t) - ℓ(s_t + x̃_tᵀ v)]        in nats, positive where the slice does better without

with its standard error over the test rows. Whether the labels differ is asked of the class that the errors
are drawn to: its count in training and in test, see `counts`. The order is by the toll, the test loss that
each of the slice's own training rows costs: n_test/n_S times the lower end of the harm.

Cost: one product with every row per column of the data, and 100 × min(n_S, 2000) influences per slice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.chance import Z95
from dataaudit.audits.leaving import is_few, loss_without, move_without
from dataaudit.audits.partition import Slice, cross
from dataaudit.audits.tested import Tested
from dataaudit.audits.trained import Trained
from dataaudit.influence import pair_influences

SAMPLED_ERRORS, SAMPLED_ROWS = 100, 2000
# Errors that a slice with the usual lift is credited with: they pull the lift of one or two errors towards 1.
PRIOR_ERRORS = 2.0
# Standard errors that the harm must exceed.
HARM_ERRORS = 2.0
# Slices that are crossed with each other; test rows of a pair, at least and as a share of its slices'.
CROSSED, FEWEST_TESTS, SMALLER = 15, 10, 0.8


@dataclass(frozen=True)
class Lift:
    """Share of |influence| on a slice's errors that its own training rows carry.

    Attributes
    ----------
    share : float
        Mean over its errors.
    value : float
        Over the slice's share of the training rows.
    low, high : float
        95 % interval of `value` over the errors, the lower end drawn towards 1 where they are few.
    """

    share: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SliceScore:
    """What was measured on one slice.

    Attributes
    ----------
    slice : Slice
        Its rows.
    n_errors : int
        Mispredicted test rows in it.
    drawn_to : int
        The class that these errors are most often predicted as.
    drawn_train, drawn_test : int
        Training and test rows of the slice whose label that class is.
    error_rate, loss : float
        Of its test rows; the loss in nats.
    lift : Lift
        How far its own training rows carry its errors.
    harm, harm_error : float
        Mean loss of its test rows that its training rows cause, in nats, and its standard error.
    fixed : int
        Predicted fall of the number of errors once its training rows leave.
    pair_pays : bool
        Of a pair: whether neither of its two slices is spoilt by itself.
    """

    slice: Slice
    n_errors: int
    drawn_to: int
    drawn_train: int
    drawn_test: int
    error_rate: float
    loss: float
    lift: Lift
    harm: float
    harm_error: float
    fixed: int
    pair_pays: bool = False

    @property
    def harm_low(self) -> float:
        """Lower end of the interval of the harm, in nats a test row."""
        return self.harm - HARM_ERRORS * self.harm_error

    @property
    def toll(self) -> float:
        """Test loss that each of its training rows costs its test rows, cautiously, in nats."""
        return self.harm_low * len(self.slice.test) / max(1, len(self.slice.train))

    @property
    def spoilt(self) -> bool:
        """Whether its own training rows carry it and do it harm, beyond chance in its test rows."""
        return self.harm_low > 0 and self.lift.low > 1

    @property
    def order(self) -> tuple[bool, bool, float]:
        """What the table is sorted by, largest first: spoilt slices by toll, pairs below; others by lift."""
        single = self.slice.second_column is None
        return self.spoilt, single, self.toll if self.spoilt else self.lift.low


@dataclass(frozen=True)
class Carried:
    """Influence on test errors, solved once for everything that asks.

    Attributes
    ----------
    rows : ndarray (m,) int64
        Positions of the test errors that were solved for.
    solved : Tensor (p, m)
        H⁻¹ g_t.
    total : ndarray (m,)
        Σ_i |I_up,loss(i, t)| over all training rows.
    """

    rows: NDArray[np.int64]
    solved: Tensor
    total: NDArray[np.float64]


def score_slices(
    trained: Trained, tested: Tested, slices: tuple[Slice, ...], *, carried: Carried, seed: int = 0
) -> list[SliceScore]:
    """Measure every slice.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows and predictions.
    slices : tuple of Slice
        What to measure.
    carried : Carried
        Solved errors.
    seed : int
        Draws errors and rows of large slices.

    Returns
    -------
    list of SliceScore
        In the order of `slices`.
    """
    if not slices:
        return []
    place = np.full(tested.n, -1, dtype=np.int64)
    place[carried.rows] = np.arange(len(carried.rows))
    moves = _moves(trained, slices)
    random = np.random.default_rng(seed)
    scores = []
    for part, move in zip(slices, moves.T, strict=True):
        solved_errors = place[part.test]
        errors = _draw(solved_errors[solved_errors >= 0], SAMPLED_ERRORS, random)
        lift = _lift(trained, part.train, errors, carried=carried, random=random)
        scores.append(_score(trained, tested, part, move=move, lift=lift))
    return scores


def _moves(trained: Trained, slices: tuple[Slice, ...]) -> Tensor:
    """Return how θ moves when each slice's training rows leave, to first order."""  # -> (p, slices)
    objective, theta = trained.objective, trained.fit.theta
    columns = []
    for part in slices:
        block = objective.rows.take(torch.from_numpy(part.train))
        columns.append(objective.model.gradient(theta, block))
    return trained.prepared.for_groups(torch.stack(columns, dim=1)) / objective.rows.n


def _lift(
    trained: Trained,
    rows: NDArray[np.int64],
    errors: NDArray[np.int64],
    *,
    carried: Carried,
    random: np.random.Generator,
) -> Lift:
    """Return the lift of one slice, whose errors are places in `carried`."""
    if not len(rows) or not len(errors):
        return Lift(0.0, 0.0, 0.0, float("inf"))
    objective = trained.objective
    some = _draw(rows, SAMPLED_ROWS, random)
    block, solved = objective.rows.take(torch.from_numpy(some)), carried.solved[:, torch.from_numpy(errors)]
    influence = pair_influences(objective.model, trained.fit.theta, solved, block=block)  # (b, m)
    own = influence.abs().sum(0).numpy() * (len(rows) / len(some))
    share = own / np.maximum(carried.total[errors], 1e-300)
    base = len(rows) / objective.rows.n
    logs = np.log(np.maximum(share / base, 1e-12))
    mean = float(np.log(max(share.mean() / base, 1e-12)))
    # Errors of one slice are alike, but one error is an anecdote: spread of at least a factor e, and a prior.
    m = len(logs)
    weight = m / (m + PRIOR_ERRORS)
    spread = Z95 * float(np.sqrt((float(logs.var()) * m + PRIOR_ERRORS) / (m + PRIOR_ERRORS) / m))
    low, high = float(np.exp(weight * mean - spread)), float(np.exp(mean + spread))
    return Lift(float(share.mean()), float(np.exp(mean)), low, high)


def _score(trained: Trained, tested: Tested, part: Slice, *, move: Tensor, lift: Lift) -> SliceScore:
    """Put one slice's numbers together, but for the tests on its counts."""
    wrong = tested.wrong[part.test]
    guesses = tested.predicted[part.test[wrong]]
    drawn_to = int(np.bincount(guesses if len(guesses) else tested.predicted[part.test]).argmax())
    labels = trained.objective.rows.y.numpy()[part.train]
    gain, fixed = loss_without(trained, tested, part.test, move=move)
    if gain.mean() > 0 and is_few(trained, part.train):
        gain, fixed = loss_without(trained, tested, part.test, move=move_without(trained, part.train))
    spread = (float(gain.var()) * len(gain) + PRIOR_ERRORS * float(np.abs(gain).max()) ** 2) / (
        len(gain) + PRIOR_ERRORS
    )
    return SliceScore(
        slice=part,
        n_errors=int(wrong.sum()),
        drawn_to=drawn_to,
        drawn_train=int((labels == drawn_to).sum()),
        drawn_test=int((tested.y[part.test] == drawn_to).sum()),
        error_rate=float(wrong.mean()),
        loss=float(tested.loss[part.test].mean()),
        lift=lift,
        harm=float(gain.mean()),
        harm_error=float(np.sqrt(spread / len(gain))),
        fixed=fixed,
    )


def _draw(rows: NDArray[np.int64], most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return at most so many rows, in order."""
    return rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))


def score_pairs(
    trained: Trained, tested: Tested, scores: list[SliceScore], *, carried: Carried, seed: int = 0
) -> list[SliceScore]:
    """Cross the slices at the top with those of other columns, and measure what has enough rows.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows and predictions.
    scores : list of SliceScore
        Single slices.
    carried : Carried
        Solved errors.
    seed : int
        Draws errors and rows of large slices.

    Returns
    -------
    list of SliceScore
        Pairs that are smaller than both of their slices by a fifth.
    """
    top = sorted(scores, key=lambda s: s.order, reverse=True)[:CROSSED]
    pairs, alone = [], []
    for i, one in enumerate(top):
        for two in top[i + 1 :]:
            if one.slice.column == two.slice.column:
                continue
            pair = cross(one.slice, two.slice)
            most = SMALLER * min(len(one.slice.test), len(two.slice.test))
            if len(pair.train) and FEWEST_TESTS <= len(pair.test) <= most:
                pairs.append(pair)
                alone.append(not (one.spoilt or two.spoilt))
    measured = score_slices(trained, tested, tuple(pairs), carried=carried, seed=seed)
    return [replace(score, pair_pays=pays) for score, pays in zip(measured, alone, strict=True)]
