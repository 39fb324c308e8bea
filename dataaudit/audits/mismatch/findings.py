"""From slices and groups of errors to ranked findings that a person understands.

A slice becomes a finding when its own few training rows carry its predictions (lift), its test rows would do
better without them (harm, over all of its test rows), and its labels differ between training and test by more
than chance would bring about in any of the slices (Fisher's test, Tarone's correction, 1 %). Without the last
it is a note: a small slice that was unlucky, as some are in every random split. Rows too many to carry it
alone make a finding of it too, where other labels for them would fix it. Errors that share a few harmful rows
become a finding of their own unless a slice already explains them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dataaudit.audits.mismatch.lift import HARM_ERRORS, Slice, SliceScore
from dataaudit.audits.mismatch.tracing import loss_gain, move_relabelled, move_without, relabellings
from dataaudit.audits.testset import Tested
from dataaudit.statistics import fisher, tarone
from dataaudit.training.trained import Trained

# Chance of any false alarm among all slices.
LEVEL = 0.01
# Least lift, or share of the influence, by which a slice's own rows can be said to carry it.
CARRIED_LIFT, CARRIED_SHARE = 5.0, 0.5
# Errors that must go: how many at least, and the share of the slice's for "medium" and for "high".
FIXED, MEDIUM_SHARE, HIGH_SHARE = 3, 0.05, 0.2
# The same where other labels for the slice's training rows fix them, and the lift that these must have.
RELABELLED_MEDIUM, RELABELLED_HIGH, RELABELLED_LIFT = 0.2, 0.5, 2.0
# Training rows that a person can look at one by one; more must differ beyond the shift of all labels to be
# "high".
LOOKED_AT = 25
# Standard errors by which a slice's labels must differ beyond the shift of all labels.
BEYOND_SHIFT = 2.0
# A group of rows without a slice: standard errors of the fall of the test loss, errors explained, and fewer.
GAIN_ERRORS, GROUP_ERRORS, GROUP_FIXED = 5.0, 10, 5
MOST_FINDINGS, MOST_GROUPS, NAMED_ROWS = 20, 40, 50
SEVERITIES = ("high", "medium", "note")

Rows = NDArray[np.int64]
# Of a slice's labels: the p-value over all slices, and the standard errors that none of them differs by from
# the shift of all labels by chance.
Chance = tuple[float, float]


@dataclass(frozen=True)
class MismatchFinding:
    """A finding before it is proved."""

    severity: str
    title: str  # one sentence
    rows: Rows  # positions of the responsible training rows, the most harmful first
    errors: Rows  # positions of the wrong test rows that it explains
    slice: Slice | None  # the slice it is about
    common: str  # what the rows have in common, for people
    fixed: int  # predicted fall of the number of errors without the rows
    p_value: float  # that labels differ as much by chance, over all slices; 1 for groups without a slice
    harm_per_training_row: (
        float  # test loss that each of its training rows costs, in nats; orders findings of one severity
    )
    advice: str  # one sentence

    @property
    def everywhere(self) -> bool:
        """Whether it is about all rows: class rates, not some rows' labels."""
        return self.slice is None and not len(self.rows)

    @property
    def removable(self) -> Rows:
        """The training rows whose absence it speaks of: all of a slice's, not only those named."""
        return self.rows if self.slice is None else self.slice.train


def slice_p_values(scores: Sequence[SliceScore]) -> NDArray[np.float64]:
    """Return the p-value of every slice's labels, corrected for all slices that could have shown anything."""
    parts = [(s.class_in_train, len(s.slice.train), s.class_in_test, len(s.slice.test)) for s in scores]
    a, n, b, t = np.array(parts, dtype=np.int64).reshape(-1, 4).T
    p, least = fisher((a, n), (b, t))
    return np.minimum(1.0, p * tarone(least, LEVEL))


def discover(
    trained: Trained,
    tested: Tested,
    scores: Sequence[SliceScore],
    *,
    groups: Sequence[tuple[Rows, Rows]],
    harm: NDArray[np.float64],
) -> tuple[MismatchFinding, ...]:
    """Return the findings, the most severe first."""  # harm (n,)
    chance, beyond = slice_p_values(scores), -float(ndtri(LEVEL / max(1, len(scores))))
    candidates = [
        _of_slice(trained, tested, score, chance=(float(p), beyond), harm=harm)
        for score, p in zip(scores, chance, strict=True)
        if _is_notable(trained, tested, score, chance=(float(p), beyond))
    ]
    found: list[MismatchFinding] = []
    for one in sorted(candidates, key=_order):
        if len(found) < MOST_FINDINGS and not any(_explains(trained, tested, other, one) for other in found):
            found.append(one)
    known = [f.removable for f in found if f.severity != "note"]
    for rows, errors in groups[:MOST_GROUPS]:
        if not any(np.isin(rows, train).mean() >= 0.5 for train in known):  # noqa: PLR2004 - most of them
            found.append(_of_group(trained, tested, rows, errors=errors, scores=scores))
    return tuple(sorted(found, key=_order)[:MOST_FINDINGS])


def _is_notable(trained: Trained, tested: Tested, score: SliceScore, *, chance: Chance) -> bool:
    """Whether a slice would do better without its training rows, or with other labels for them."""
    single = score.slice.second_column is None
    if score.is_harmful and score.fixed >= 1 and (single or score.pair_pays):
        return True
    return single and _by_labels(trained, tested, score, chance=chance)[0] != "note"


def _order(found: MismatchFinding) -> tuple[int, float, str]:
    return SEVERITIES.index(found.severity), -found.harm_per_training_row, found.title


def _of_slice(
    trained: Trained, tested: Tested, score: SliceScore, *, chance: Chance, harm: NDArray[np.float64]
) -> MismatchFinding:
    part, classes = score.slice, trained.classes
    errors = part.test[tested.wrong[part.test]]
    rows = part.train[np.argsort(-harm[part.train], kind="stable")][:NAMED_ROWS]
    by_labels, relabelled = _by_labels(trained, tested, score, chance=chance)
    severity = min(by_labels, _by_absence(trained, tested, score, chance=chance[0]), key=SEVERITIES.index)
    label, n, t = classes[score.predicted_class], len(part.train), len(part.test)
    title = (
        f"{part.name}: {score.n_errors:,} of {t:,} test rows are wrong and rest on {_rows(n)} of training, "
        f"of which {score.class_in_train:,} ({score.class_in_train / n:.0%}) are “{label}”; "
        f"in test {score.class_in_test:,} ({score.class_in_test / t:.1%}) are"
    )
    left = score.n_errors - max(score.fixed, relabelled)
    what = "this row" if n == 1 else "these rows"
    how = f"With other labels for {what}" if relabelled > score.fixed else f"Without {what}"
    advice = (
        f"{how} about {left:,} instead of {score.n_errors:,} of its test rows would be wrong: "
        f"check the labels first, or collect more training rows with {part.name}."
    )
    return MismatchFinding(
        severity=severity,
        title=title,
        rows=rows,
        errors=errors,
        slice=part,
        common=part.name,
        fixed=score.fixed,
        p_value=chance[0],
        harm_per_training_row=score.harm_per_training_row,
        advice=advice,
    )


def _by_absence(trained: Trained, tested: Tested, score: SliceScore, *, chance: float) -> str:
    """Return how severe it is that errors go without the training rows, which carry the slice."""
    carried = score.lift.low >= CARRIED_LIFT or score.lift.share >= CARRIED_SHARE
    if chance > LEVEL or not carried or score.fixed < FIXED:
        return "note"
    beyond = _beyond_shift(trained, tested, score)
    if score.fixed >= HIGH_SHARE * score.n_errors:
        return "high" if beyond or len(score.slice.train) <= LOOKED_AT else "medium"
    return "medium" if score.fixed >= MEDIUM_SHARE * score.n_errors and beyond else "note"


def _by_labels(trained: Trained, tested: Tested, score: SliceScore, *, chance: Chance) -> tuple[str, int]:
    """Return how severe it is that errors go once the training rows have other labels, and how many go."""
    part = score.slice
    wrong = part.test[tested.wrong[part.test]]
    if chance[0] > LEVEL or score.lift.low < RELABELLED_LIFT or not len(wrong):
        return "note", 0
    if not _beyond_shift(trained, tested, score, errors=chance[1]):  # cheaper than what follows
        return "note", 0
    label = int(np.bincount(tested.y[wrong]).argmax())
    moves = [move_relabelled(trained, part.train, new) for new in relabellings(trained, part.train, label)]
    fixed = max((loss_gain(trained, tested, part.test, move=move)[1] for move in moves), default=0)
    least = max(FIXED, RELABELLED_MEDIUM * score.n_errors)
    if fixed < least:
        return "note", fixed
    return ("high" if fixed >= RELABELLED_HIGH * score.n_errors else "medium"), fixed


def _beyond_shift(
    trained: Trained, tested: Tested, score: SliceScore, *, errors: float = BEYOND_SHIFT
) -> bool:
    """Tell whether the slice's labels differ more than those of all rows do, on the scale of log-odds."""
    all_train, all_test = (
        int((y == score.predicted_class).sum()) for y in (trained.objective.rows.y.numpy(), tested.y)
    )
    counts = np.array(
        [
            (score.class_in_train, len(score.slice.train) - score.class_in_train),
            (score.class_in_test, len(score.slice.test) - score.class_in_test),
            (all_train, trained.objective.rows.n - all_train),
            (all_test, tested.n - all_test),
        ]
    )
    logs = np.log(counts + 0.5) @ np.array([1.0, -1.0])  # Haldane's half keeps empty cells finite
    excess = (logs[0] - logs[1]) - (logs[2] - logs[3])
    error = np.sqrt((1.0 / (counts[:2] + 0.5)).sum())
    return bool(excess > errors * error)


def _of_group(
    trained: Trained, tested: Tested, rows: Rows, *, errors: Rows, scores: Sequence[SliceScore]
) -> MismatchFinding:
    """Measure a group on all test rows, or the choice of its errors would speak for it."""
    gain, fixed = loss_gain(trained, tested, np.arange(tested.n), move=move_without(trained, rows))
    sure = gain.sum() > GAIN_ERRORS * np.sqrt((gain**2).sum())
    enough = len(errors) >= GROUP_ERRORS and fixed >= GROUP_FIXED
    severity = "medium" if sure and enough else "note"
    common = _common(rows, scores, trained.objective.rows.n)
    shared = f" They share {common}." if common else ""
    title = f"{len(errors):,} wrong test rows trace back to the same {_rows(len(rows))} of training"
    effect = f"{abs(fixed):,} {'fewer' if fixed >= 0 else 'more'} of all test rows would be wrong"
    advice = (
        f"Look at the labels of {'this row' if len(rows) == 1 else 'these rows'}: without, {effect}.{shared}"
    )
    return MismatchFinding(
        severity, title, rows, errors, None, common, fixed, 1.0, float(gain.sum()) / len(rows), advice
    )  # fmt: skip


def _common(rows: Rows, scores: Sequence[SliceScore], n: int) -> str:
    """Return the slices that hold all the rows and fewest others, if that says anything."""
    holding = [s.slice for s in scores if s.slice.second_column is None and len(s.slice.train) < n / 2]
    holding = [part for part in holding if np.isin(rows, part.train, assume_unique=True).all()]
    holding.sort(key=lambda part: (len(part.train), part.name))
    return ", ".join(part.name for part in holding[:2])


def _explains(trained: Trained, tested: Tested, earlier: MismatchFinding, later: MismatchFinding) -> bool:
    """Tell whether an earlier finding explains a slice: without its rows nothing is left to explain."""
    part, known = later.slice, earlier.slice
    if part is None or known is None:
        return False
    shared = len(np.intersect1d(part.train, known.train, assume_unique=True))
    if not shared:
        return False
    train = np.setdiff1d(part.train, known.train, assume_unique=True)
    test = np.setdiff1d(part.test, known.test, assume_unique=True)
    if 2 * shared > len(part.train) + len(known.train) - shared or not len(train) or not len(test):
        return True
    gain, fixed = loss_gain(trained, tested, test, move=move_without(trained, train))
    return fixed < 1 or float(gain.mean()) <= HARM_ERRORS * float(gain.std()) / float(np.sqrt(len(gain)))


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"
