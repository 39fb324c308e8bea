"""Classes that are rarer or more frequent in test than in training: no row need be touched.

A model learns the class rates π of its training rows with everything else. Where test has other rates π' and
each class still looks the same, a shift of the scores puts it right (Saerens, Latinne & Decaestecker 2002),
or a fit in which every training row weighs π'_y/π_y. Each is predicted and measured as what it is: the refit
by Newton's steps of the reweighed problem, not by the shift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataaudit.audits.mismatch.rows.fixes import Offset, Reweigh, fit_offset, shift_in_words
from dataaudit.audits.mismatch.rows.screen import Screen, differences
from dataaudit.audits.mismatch.suspects import Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.testset import Pair, Tested
from dataaudit.statistics import chi_square

# Chance of seeing rates so different by accident.
LEVEL = 1e-3
# Classes that are named.
NAMED = 6

Counts = NDArray[np.int64]


def rate_suspects(pair: Pair, tested: Tested, world: World) -> list[Suspect]:
    """Return class rates as a suspect where they differ beyond chance."""
    trained = world.trained
    if trained.quantity is not None:
        return _level_suspects(pair, world)
    known, new = (np.bincount(y, minlength=len(trained.classes)) for y in (pair.target.y, tested.y))
    p = chi_square(known, new)
    if p > LEVEL:
        return []
    ratio = (np.maximum(new, 0.5) / new.sum()) / (known / known.sum())
    c = int(np.abs(new / new.sum() - known / known.sum()).argmax())
    words = ", ".join(
        f"“{name}” {r:.3g} times" for name, r in list(zip(trained.classes, ratio, strict=True))[:NAMED]
    )
    misfit = fit_offset(trained, trained.left_out, trained.objective.rows.y)
    shift = fit_offset(trained, world.scores, world.block.y) - misfit
    title = (
        f"{pair.train.target}: {known[c] / known.sum():.1%} of the training rows are "
        f"“{trained.classes[c]}”, {new[c] / new.sum():.1%} of the test rows are"
    )
    fixes = (
        Reweigh(ratio, words),
        Offset(None, misfit, "all test rows", shift_in_words(trained, shift, c)),
    )
    return [
        Suspect(
            kind="rates",
            cause="class rates",
            columns=(pair.train.target,),
            title=title,
            fixes=fixes,
            levels=(trained.classes[c],),
            p_value=p,
        )
    ]


def _level_suspects(pair: Pair, world: World) -> list[Suspect]:
    """Return that numbers are higher or lower in test than the columns say, as a suspect, beyond chance."""
    trained = world.trained
    screen = Screen(trained, world)
    (R1, V1), (R2, V2) = screen.sums(
        np.arange(trained.objective.rows.n), np.ones(len(world.rows), dtype=bool)
    )
    p = screen.chance(float(differences((R1, V1), (R2, V2))), 1)
    if p > LEVEL:
        return []
    misfit = fit_offset(trained, trained.left_out, trained.objective.rows.y)
    how = shift_in_words(trained, fit_offset(trained, world.scores, world.block.y) - misfit, 0)
    title = f"the labels of test are other ones than its columns say: predictions have to move {how}"
    offset = Offset(None, misfit, "all test rows", how)
    columns = (pair.train.target,)
    return [Suspect(kind="rates", cause="level", columns=columns, title=title, fixes=(offset,), p_value=p)]
