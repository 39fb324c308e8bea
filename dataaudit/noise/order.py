r"""The order of the rows, and how far to read it: log-odds averaged over the noise models that may be right.

What a noise model adds to the leave-one-out loss is how rows of one label weigh against rows of another, and
one model is seldom known to be right. So log-odds are averaged, with weights v_m, which is a logarithmic
opinion pool (Genest & Zidek 1986, Statistical Science 1):

    o_i = Σ_m v_m log(P_m(wrong_i) / P_m(right_i)),        Σ_m v_m = 1

Two classes. The shift b and unequal rates move all rows of one class against those of the other by one
number, which decides everything and which few rows tell. Three models, one rate without shift (the order of
the leave-one-out loss), one rate, and a rate for each direction, weigh as by Schwarz (1978):

    v_m ∝ e^(−F_m − ½ k_m log n)        F_m the least penalised −log-likelihood, k_m = 0, 1, 2

Several classes. The rates of pairs are too many for that. They are fitted twice, with a normal spread around
the common rate (all pairs differ a little) and with Cauchy's (most are equal, few stand apart), the latter
from the common rate, so that it stays where the rows do not drive it away. Both weigh one half.

The sum of the probabilities is then set to the number that the rates give.

*Measured*, average precision by the rates of pairs wherever these are known to 0.075, else by the loss,
against the pool: 13 tables with 10 % flipped .797 and .796, 10 smaller ones .758 and .763; 20 with one-sided,
batch, local and near-boundary mistakes .612 and .614; Enron1 .987 both. With mistakes that people made: 5,440
titles of two classes .287 and .330, halves of them .227 and .326 against .314 and .325; 1,340 titles of seven
classes .485 and .514; 2,945 answers of ten classes .924 and .922.
"""

from __future__ import annotations

import numpy as np

from dataaudit.noise.likelihood import Fitted, Floats, Sample, best, log_odds
from dataaudit.statistics import probability, shift_to

SHARES = (0.5, 0.8, 0.95)


def pooled(rows: Sample, few: Sample, *, common: Fitted, pairs: Fitted | None, expected: float) -> Floats:
    """Return the probability that each label of `rows` is wrong, by models fitted on `few`; the sum is given.

    Without rates of pairs, which many classes and few rows do not bear, there is nothing to average.
    """  # -> (n,)
    weighed = [(common, 1.0)] if pairs is None else _weighed(few, common=common, pairs=pairs)
    odds = np.sum([w * log_odds(rows, m.theta, m.structure) for m, w in weighed], axis=0)
    return probability(odds + shift_to(expected, odds))


def _weighed(few: Sample, *, common: Fitted, pairs: Fitted) -> list[tuple[Fitted, float]]:
    """Return the models and their weights."""
    k = few.classes
    if k > 2:  # noqa: PLR2004
        equal = np.concatenate((common.theta[:k], np.full(k * (k - 1), common.theta[k])))
        return [(pairs, 0.5), (best(few, "sparse", [equal]), 0.5)]
    level = best(few, "common", [common.theta * [1.0, 0.0, 1.0]], level=True)
    models = [level, common, pairs]
    evidence = np.array([-m.value - 0.5 * j * np.log(few.total) for j, m in enumerate(models)])
    weight = np.exp(evidence - evidence.max())
    return list(zip(models, (weight / weight.sum()).tolist(), strict=True))


def review_budget(p_wrong: Floats, shares: tuple[float, ...] = SHARES) -> tuple[tuple[float, int], ...]:
    """Return how many rows to check, in the order given, to catch each share of the expected wrong labels."""
    caught = np.cumsum(np.asarray(p_wrong, dtype=np.float64))
    if len(caught) == 0 or caught[-1] < 0.5:  # noqa: PLR2004 - half a row: none expected
        return tuple((share, 0) for share in shares)
    needed = np.asarray(shares) * caught[-1] * (1 - 1e-12)  # a hair, lest rounding ask for one row more
    rows = np.searchsorted(caught, needed) + 1
    return tuple((share, int(row)) for share, row in zip(shares, rows, strict=True))
