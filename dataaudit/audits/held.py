"""Slices that only the ridge keeps right: a few training rows of the other label do not decide at this λ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dataaudit.audits.discover import LEVEL, NAMED_ROWS, Found, adjusted
from dataaudit.audits.remedies import GridPoint
from dataaudit.audits.slices import SliceScore
from dataaudit.audits.tested import Tested
from dataaudit.audits.trained import Trained

MOST = 3
# Errors more, at least, for a slice to be mentioned; and at least as many more as there are.
MORE = 3


def held_by_ridge(
    trained: Trained, tested: Tested, scores: Sequence[SliceScore], *, grid: Sequence[GridPoint]
) -> tuple[Found, ...]:
    """Return notes on slices that would be mispredicted with a weaker ridge.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows and predictions.
    scores : sequence of SliceScore
        All slices.
    grid : sequence of GridPoint
        Minima by increasing λ; the first one is compared with.

    Returns
    -------
    tuple of Found
        Notes on at most 3 slices whose labels differ between training and test, the one with most errors more
        per training row first.
    """
    if not grid or grid[0].l2 >= trained.objective.l2:
        return ()
    weak = grid[0]
    wrong = weak.judged.wrong
    found = []
    for score, chance in zip(scores, adjusted(scores), strict=True):
        part = score.slice
        more = int(wrong[part.test].sum()) - score.n_errors
        if chance <= LEVEL and part.second_column is None and more >= max(MORE, score.n_errors):
            found.append((more / len(part.train), _note(trained, tested, score, grid=grid, more=more)))
    found.sort(key=lambda pair: (-pair[0], pair[1].common))
    chances = dict(zip((s.slice.name for s in scores), adjusted(scores).tolist(), strict=True))
    return tuple(replace(note, p_value=chances[note.common]) for _, note in found[:MOST])


def _note(
    trained: Trained, tested: Tested, score: SliceScore, *, grid: Sequence[GridPoint], more: int
) -> Found:
    part, l2, weak = score.slice, trained.objective.l2, grid[0].l2
    n, t = len(part.train), len(part.test)
    rows = "its 1 training row" if n == 1 else f"its {n:,} training rows"
    title = (
        f"{part.name}: {score.n_errors:,} of {t:,} test rows are wrong at λ = {l2:.2g}, at {weak:.2g} "
        f"{score.n_errors + more:,} would be: the ridge keeps {rows} from deciding, of which "
        f"{score.drawn_train:,} are “{trained.classes[score.drawn_to]}”, against {score.drawn_test:,} in test"
    )
    along = ", ".join(f"{int(point.judged.wrong[part.test].sum()):,} at {point.l2:.2g}" for point in grid)
    advice = (
        f"Nothing to mend as long as λ stays; a model with less ridge needs more rows with {part.name}. "
        f"Wrong along λ: {along}."
    )
    errors = part.test[tested.wrong[part.test]]
    return Found(
        "note", title, part.train[:NAMED_ROWS], errors, part, part.name, score.fixed, 1.0, score.toll, advice
    )  # fmt: skip
