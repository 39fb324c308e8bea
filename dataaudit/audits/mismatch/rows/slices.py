"""Slices whose labels differ between training and test, or whose training rows mislead: as suspects.

Half of the test rows proposes slices, by the difference of labels and by the influence of their training rows
(`screen`), the other half judges them, and the other way round. What is proposed by chance is not confirmed:
only those that are become suspects. Each is tried in several ways: its training rows left out, or those of
one class; other labels for them; an offset of its test rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array

from dataaudit.audits.mismatch.rows.cuts import Cuts, Slice
from dataaudit.audits.mismatch.rows.fixes import Offset, Relabel, Remove, fit_offset, shift_in_words
from dataaudit.audits.mismatch.rows.refine import refine
from dataaudit.audits.mismatch.rows.screen import Screen, differences, z_of
from dataaudit.audits.mismatch.suspects import Fix, Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.features.columns import counted
from dataaudit.options.progress import portion, ticking
from dataaudit.solvers.newton import TINY

# Slices that each half proposes by each of the screens, and those that are handed on.
PROPOSED, MOST = 10, 6
# Nats that a proposal must promise on its own half, and standard errors by which the other half confirms it.
PROMISE, CONFIRMED = 1.0, 2.0
# Share of a step that is tried too, since labels in numbers can send it too far.
SHORT = 0.3
# Slices for which one counts, since its ends are moved.
MOVES = 4
# Classes up to which every pair of labels is tried by the screen.
FEW_CLASSES = 12
# Chance of labels that differ as much in any slice, above which no offset is tried.
LEVEL = 1e-3
# Share of rows in common from which two slices are one.
SAME = 0.9
# Labels are said to come at other rates from so large a difference on.
RATE = 0.05

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


def slice_suspects(cuts: Cuts, world: World) -> list[Suspect]:
    """Return slices of one thing each that the test rows confirm."""
    screen = Screen(world.trained, world)
    with portion(0, 2):
        slices = [refine(screen, cuts, (i,)) for i in ticking(proposed(screen, cuts))]
    slices.sort(key=lambda part: -screen.difference(part.train, np.isin(world.rows, part.test)))
    with portion(1, 2):
        return confirmed(screen, unlike(slices), tried=cuts.m * MOVES)


def proposed(screen: Screen, cuts: Cuts) -> list[int]:
    """Return the slices that either half proposes."""
    test = csc_array(cuts.test[screen.world.rows])
    known = screen.known.sums(cuts.train)
    sizes = cuts.sizes
    found: list[int] = []
    leaving, labelled = screen.influence
    y, K = screen.trained.objective.rows.y.numpy(), len(screen.trained.classes)
    own = np.eye(K)[y] if K else np.ones((len(y), 1))
    for h, half in enumerate(screen.halves):
        scores = [differences(known, screen.new.take(half).sums(test)), cuts.train.T @ leaving[h]]
        scores.append((cuts.train.T @ (leaving[h][:, None] * own)).max(1))
        scores.append((cuts.train.T @ leaving[h]) / (sizes[0] + 1.0))  # few rows that mislead many
        if 0 < K <= FEW_CLASSES:
            tables = [cuts.train.T @ (labelled[h][:, c, None] * own) for c in range(K)]
            scores.append(np.max(tables, axis=(0, 2)) / np.sqrt(sizes[0] + 1.0))
        for score in scores:
            best = np.argsort(-score, kind="stable")[:PROPOSED]
            found.extend(best[score[best] > 0].tolist())
    return list(dict.fromkeys(found))


def unlike(slices: Iterable[Slice]) -> list[Slice]:
    """Return those that do not share a column and most of their rows with one before them."""
    kept: list[Slice] = []
    for part in slices:
        alike = (set(part.columns) & set(other.columns) and _common(part, other) >= SAME for other in kept)
        if not any(alike):
            kept.append(part)
    return kept


def _common(one: Slice, two: Slice) -> float:
    """Return the share of rows that two slices have in common, of the larger one's."""
    sides = (one.train, two.train), (one.test, two.test)
    common = sum(len(np.intersect1d(*side, assume_unique=True)) for side in sides)
    return common / max(len(one.train) + len(one.test), len(two.train) + len(two.test))


def confirmed(screen: Screen, slices: Sequence[Slice], *, tried: int) -> list[Suspect]:
    """Return slices, out of so many that were tried, that the half which did not propose them confirms."""
    ways = [one for part in slices for one in _ways(screen, part, tried)]
    _measure(screen, ways)
    by_slice: dict[int, list[_Way]] = {}
    for one in ways:
        if one.z >= CONFIRMED:
            by_slice.setdefault(id(one.slice), []).append(one)
    found = [(_suspect(screen, some, tried), max(way.nats for way in some)) for some in by_slice.values()]
    most = [{id(s) for s, _ in sorted(found, key=key)[:MOST]} for key in (_by_evidence, _by_nats, _by_row)]
    return [one for one, _ in sorted(found, key=_by_evidence) if id(one) in set.union(*most)]


def _by_evidence(one: tuple[Suspect, float]) -> float:
    return -one[0].evidence


def _by_nats(one: tuple[Suspect, float]) -> float:
    return -one[1]


def _by_row(one: tuple[Suspect, float]) -> float:
    return -one[1] / (len(one[0].train) + 1)


@dataclass
class _Way:
    """One way to fix a slice, and what it promises."""

    slice: Slice
    fix: Fix
    rows: Rows | None = None  # training rows that change; None for an offset
    y: Rows | None = None  # their new labels; None where they leave
    nats: float = 0.0  # by a first-order step, or by the offset
    z: float = 0.0  # of what one half proposes on the other, the better way round


def _ways(screen: Screen, part: Slice, tried: int) -> Iterator[_Way]:
    """Yield the ways to fix a slice."""
    judged = np.isin(screen.world.rows, part.test)
    chance = screen.chance(screen.difference(part.train, judged), tried)
    shifts = screen.trained.network is None or not len(part.train)  # a network is trained again instead
    if shifts and judged.any() and chance <= LEVEL:  # else it would amplify a misfit that training has too
        yield _Way(part, _offset(screen, part, judged))
    if not len(part.train):
        return
    yield from _removals(screen, part, judged)
    if screen.trained.classes:
        yield from _relabellings(screen, part, judged)


def _removals(screen: Screen, part: Slice, judged: NDArray[np.bool_]) -> Iterator[_Way]:
    """Yield its training rows, and those of the class that test has fewer of, as left out."""
    classes, y = screen.trained.classes, screen.trained.objective.rows.y.numpy()
    mine, n = y[part.train], len(part.train)
    if not classes:
        if n < len(y) // 2:
            yield _Way(
                part, Remove(part.train, f"the {counted(n, 'training row')} with {part.name}"), part.train
            )
        return
    left = np.bincount(np.delete(y, part.train), minlength=len(classes))
    if left.all():
        yield _Way(part, Remove(part.train, f"the {counted(n, 'training row')} with {part.name}"), part.train)
    c = int(_gaps(screen, part, judged)[0].argmin())
    rows = part.train[mine == c]
    if 0 < len(rows) < n and left[c]:
        what = f"the {counted(len(rows), 'training row')} with {part.name} that are “{classes[c]}”"
        yield _Way(part, Remove(rows, what), rows)


def _relabellings(screen: Screen, part: Slice, judged: NDArray[np.bool_]) -> Iterator[_Way]:
    """Yield its training rows with other labels, every class keeping a row."""
    classes, y = screen.trained.classes, screen.trained.objective.rows.y.numpy()
    labelled = screen.influence[1].sum(0)[part.train]
    differs = _gaps(screen, part, judged)[0]
    for rows, new, words, how in _labellings(classes, part, y[part.train], labelled, differs):
        after = y.copy()
        after[rows] = new
        if len(rows) and len(np.unique(after)) == len(classes):
            what = f"the {counted(len(rows), 'training row')} with {words}"
            yield _Way(part, Relabel(rows, new, what, how), rows, new)


def _labellings(
    classes: tuple[str, ...], part: Slice, mine: Rows, labelled: Reals, differs: Reals
) -> Iterator[tuple[Rows, Rows, str, str]]:
    """Yield rows of a slice, other labels for them, and words: one class as another, several, or all."""
    K, n = len(classes), len(mine)  # mine (n_S,) labels, labelled (n_S, K) what other ones are worth
    a, b = int(differs.argmin()), int(differs.argmax())  # of one class test has fewer, of one more
    rows = part.train[mine == a]
    yield rows, np.full(len(rows), b), f"{part.name} that are “{classes[a]}”", f"as “{classes[b]}”"
    table = np.stack([np.bincount(mine, weights=labelled[:, c], minlength=K) for c in range(K)], axis=1)
    if K == 2:  # noqa: PLR2004 - exchanged
        yield part.train, 1 - mine, part.name, "the other way round"
        return
    yield part.train, np.full(n, b), part.name, f"as “{classes[b]}”"
    to, several = table.argmax(1), table.max(1) > 0
    if several.sum() > 1:
        rows, new = part.train[several[mine]], to[mine[several[mine]]]
        yield rows, new, part.name, _mapping(classes, to, several)


def _mapping(classes: tuple[str, ...], to: Rows, several: NDArray[np.bool_]) -> str:
    return ", ".join(f"“{classes[a]}” as “{classes[to[a]]}”" for a in np.flatnonzero(several))


def _offset(screen: Screen, part: Slice, judged: NDArray[np.bool_]) -> Offset:
    """Return the offset of a slice's test rows, what training shows being taken off."""
    trained, world = screen.trained, screen.world
    rows = torch.from_numpy(part.train)
    known = fit_offset(trained, trained.left_out[rows], trained.objective.rows.y[rows])
    at = torch.from_numpy(judged)
    shift = fit_offset(trained, world.scores[at], world.block.y[at]) - known
    how = shift_in_words(trained, shift, _class_that_differs(screen, part, judged))
    return Offset(part.test, known, f"the {counted(len(part.test), 'test row')} with {part.name}", how)


def _measure(screen: Screen, tried: list[_Way]) -> None:
    """Fill in what every way promises and how far the other half confirms it."""
    moved = [one for one in tried if one.rows is not None]
    if moved:
        pulls = [screen.pull(one.rows, one.y) for one in ticking(moved) if one.rows is not None]
        full, part = screen.gains(pulls), screen.gains(pulls, SHORT)
        for j, one in enumerate(moved):
            gain = full[:, j] if full[:, j].sum() >= part[:, j].sum() else part[:, j]
            one.nats, one.z = _judged(screen, gain)
    for one in tried:
        if isinstance(one.fix, Offset):
            after = one.fix.apply(screen.world, exact=False)
            one.nats, one.z = _judged(screen, screen.world.evaluation.loss - after.evaluation.loss)


def _judged(screen: Screen, gain: Reals) -> tuple[float, float]:
    """Return the sum of gains, and the largest z of a half that the other half's promise speaks for."""
    halves = [gain[half] for half in screen.halves]
    promised = [z_of(halves[1 - h]) for h in range(2) if halves[h].sum() >= PROMISE]
    return float(gain.sum()), max(promised, default=0.0)


def _suspect(screen: Screen, ways: list[_Way], tried: int) -> Suspect:
    part = ways[0].slice
    best: dict[object, _Way] = {}
    large = (
        screen.trained.objective.model.n_params > TINY
    )  # where each costs a while: the better one of a kind
    for way in sorted(ways, key=lambda way: -way.nats):
        best.setdefault(way.fix.name if large else way.fix.detail, way)
    evidence = screen.difference(part.train, np.isin(screen.world.rows, part.test))
    return Suspect(
        kind="slice",
        cause="unseen" if not len(part.train) else "only training" if not len(part.test) else "labels",
        columns=part.columns,
        title=slice_title(screen, part),
        fixes=tuple(way.fix for way in best.values()),
        levels=part.levels,
        train=part.train,
        test=part.test,
        p_value=screen.chance(evidence, tried),
        evidence=evidence,
    )


def _class_that_differs(screen: Screen, part: Slice, judged: NDArray[np.bool_]) -> int:
    """Return the class whose share differs most between the slice's training and test rows."""
    worth = _gaps(screen, part, judged)[1]
    return int(worth.argmax()) if len(worth) > 2 else 1  # noqa: PLR2004 - of two the second


def _gaps(screen: Screen, part: Slice, judged: NDArray[np.bool_]) -> tuple[Reals, Reals]:
    """Return of how many rows more of each class test has than it would as training, and their parts of D."""
    (R1, V1), (R2, V2) = screen.sums(part.train, judged)
    if not judged.any():  # against the model instead
        return -R1, R1**2 / V1
    gap = R2 / V2 - R1 / V1
    return gap * V2, gap**2 / (1.0 / V1 + 1.0 / V2)


def slice_title(screen: Screen, part: Slice) -> str:
    """Say how the labels of a slice differ."""
    known, classes = screen.known, screen.trained.classes
    judged = np.isin(screen.world.rows, part.test)
    if not classes:
        return _title_of_numbers(screen, part, judged)
    n, t = len(part.train), int(judged.sum())
    y1, y2 = screen.trained.objective.rows.y.numpy()[part.train], screen.world.y[judged]
    c = _class_that_differs(screen, part, judged)
    a, b = int((y1 == c).sum()), int((y2 == c).sum())
    if n and t and abs(a / n - b / t) >= RATE:
        return (
            f"{part.name}: {a:,} of {counted(n, 'training row')} are “{classes[c]}” ({a / n:.0%}), "
            f"{b:,} of {counted(t, 'test row')} ({b / t:.0%})"
        )
    if t:
        expected = float(np.exp(screen.log_p[judged, c]).sum())
        tail = "" if n else "; training has none"
        return (
            f"{part.name}: {b:,} of {counted(t, 'test row')} are “{classes[c]}”, "
            f"where the model expects {expected:,.0f}{tail}"
        )
    expected = float(a - known.r[part.train, c].sum())
    return (
        f"{part.name}: {a:,} of {counted(n, 'training row')} are “{classes[c]}”, "
        f"where the model without them expects {expected:,.0f}; no test row has it"
    )


def _title_of_numbers(screen: Screen, part: Slice, judged: NDArray[np.bool_]) -> str:
    """Say how far the numbers of a slice are from what is predicted of them."""
    trained, world = screen.trained, screen.world
    sides = (
        (
            trained.left_out[torch.from_numpy(part.train)],
            trained.objective.rows.y[part.train],
            "training row",
        ),
        (world.scores[torch.from_numpy(judged)], world.block.y[torch.from_numpy(judged)], "test row"),
    )
    said = []
    for scores, y, rows in sides:
        if len(y):
            by = shift_in_words(trained, fit_offset(trained, scores, y), 0)
            said.append(f"labels of {counted(len(y), rows)} are off {by}")
    return f"{part.name}: {', '.join(said)} from what the model predicts" + (
        "" if len(said) > 1 else " alone"
    )
