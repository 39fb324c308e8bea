"""A model does badly on the data it meets: the whole audit on one screen.

read train and test → train the model → predict test → strongest influences on the wrong rows → suspects →
what fixing each is worth, proved by retraining → shift → tables. Koh & Liang (2017, section 5.3) knew which
test child to look at and which column to suspect; here slices and rows are searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.audits.conditions import some_fulfilling
from dataaudit.audits.health import Check, fit_checks
from dataaudit.audits.mismatch.columns import column_suspects
from dataaudit.audits.mismatch.excerpt import Excerpt, excerpt_of
from dataaudit.audits.mismatch.expected import expected_table
from dataaudit.audits.mismatch.proofs import proof_checks, refit_traces
from dataaudit.audits.mismatch.rows.class_rates import rate_suspects
from dataaudit.audits.mismatch.rows.conjunctions import conjunction_suspects
from dataaudit.audits.mismatch.rows.copies import copy_suspects
from dataaudit.audits.mismatch.rows.cuts import Cuts, cut
from dataaudit.audits.mismatch.rows.outliers import row_suspects
from dataaudit.audits.mismatch.rows.screen import Screen
from dataaudit.audits.mismatch.rows.slices import slice_suspects
from dataaudit.audits.mismatch.suspects import Suspect
from dataaudit.audits.mismatch.tables import (
    errors_of,
    finding_table,
    fix_table,
    harmful_table,
    mismatch_provenance,
    profile_table,
    responsible_table,
    rows_of,
    shown_cells,
    slice_table,
    trace_table,
)
from dataaudit.audits.mismatch.tracing import Traced, concentration, total_harm
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.mismatch.worth import JUDGING, Judged, judge
from dataaudit.audits.perturbation import column_effects, feature_table, sum_effects
from dataaudit.audits.shift.audit import measure_shift
from dataaudit.audits.tables import selection_table
from dataaudit.audits.testset import Pair, Tested, predict, read_pair
from dataaudit.checkpoint.folder import keeping
from dataaudit.data.scratch import Scratch
from dataaudit.errors import SettingError
from dataaudit.features.target import Quantity, in_bins, numbers_of
from dataaudit.findings.schemas import HEALTH, MismatchFindings
from dataaudit.influence.influence import loss_gradients
from dataaudit.influence.topk import Strongest, strongest_influences
from dataaudit.memory import memory_limit
from dataaudit.options import MismatchOptions, StepCallback, ignore_progress
from dataaudit.options.progress import portion, ticking, within
from dataaudit.training.encoded import encode_training
from dataaudit.training.train import train
from dataaudit.training.trained import RowScores, Trained, score_rows

Rows = NDArray[np.int64]
# Training rows of a finding whose columns are taken apart, on how many errors, and findings that get it.
EXPLAINED_ROWS, EXPLAINED_ERRORS, EXPLAINED = 10, 1000, 10
NAMED_COLUMNS = 3
# Training rows that a person can look at one by one.
FEW = 25
# Mispredicted rows that are traced, at most, and pairs with training rows.
TRACED, PAIRS = 5000, 2 * 10**9
# Bytes of influences that are held at a time.
INFLUENCES = 2**29
# Findings that are more than a by-product or a note, at most, and others.
CAUSES, OTHERS = 20, 20


def find_mismatch(
    train_source: Any,
    test_source: Any,
    settings: MismatchOptions,
    *,
    command: str = "dataaudit.audit_mismatch",
    on_step: StepCallback = ignore_progress,
) -> MismatchFindings:
    """Trace wrong predictions back to training rows, slices and columns."""
    with Scratch() as scratch:
        on_step("read", 0, 1)
        pair = read_pair(train_source, test_source, settings, scratch=scratch)
        on_step("read", 1, 1)
        with keeping(settings, pair.train, pair.test) as asked:
            scratch.kept = asked.kept
            training = encode_training(pair.train, pair.target, asked, on_step=on_step)
            trained = train(training, asked, scratch=scratch, on_step=on_step)
            if pair.y is None:
                on_step("shift", 0, 1)
                with within(on_step, "shift"):
                    found = _inputs_only(pair, trained, settings=asked, command=command)
                on_step("shift", 1, 1)
                return found
            on_step("predict", 0, 1)
            tested = predict(trained, pair.test, pair.y)
            on_step("predict", 1, 1)
            return mismatch_findings(pair, trained, tested, settings=asked, command=command, on_step=on_step)


def mismatch_findings(
    pair: Pair,
    trained: Trained,
    tested: Tested,
    *,
    settings: MismatchOptions,
    command: str,
    on_step: StepCallback,
) -> MismatchFindings:
    """Turn a trained model and its predictions into the tables of the audit."""
    searched = search_mismatch(pair, trained, tested, settings=settings, on_step=on_step)
    traced, judged, some = searched.traced, searched.judged, searched.some
    kept = settings.kept
    on_step("score rows", 0, 1)
    with within(on_step, "score rows"):
        trained = replace(trained, given=kept.once("score rows", lambda: trained.forms))
    scores = score_rows(trained)
    on_step("score rows", 1, 1)
    on_test = total_harm(trained, tested, np.arange(tested.n))
    harm, drawn = searched.harm[some.train], searched.tested
    found = [(rows_of(one, harm), errors_of(one, drawn)) for one in judged]
    features, named = _features(some.trained, drawn, some.pair, found=found, seed=settings.seed)
    found = [(some.train[rows], some.test[errors]) for rows, errors in found]
    on_step("shift", 0, 1)
    with within(on_step, "shift"):
        shift = kept.once("shift", partial(_shift, some, tested, scores, settings))
    on_step("shift", 1, 1)
    places = _shown(traced, tested, [e for r, e in found if len(r)], settings.traced)
    traces = trace_table(trained, tested, pair, traced=traced, scores=scores, places=places)
    refitted = kept.below("verify by refits")
    on_step("verify by refits", 0, 1)
    with within(on_step, "verify by refits"):
        refits = refit_traces(trained, tested, pair, traces=traces, count=settings.verify, kept=refitted)
    on_step("verify by refits", 1, 1)
    findings = finding_table(some.pair, drawn, judged, trained=trained, harm=harm, features=named)
    above = findings.filter((pl.col("severity") != "note") & pl.col("under").is_null())
    proofs = above.select("predicted_delta_loss", "measured_delta_loss").drop_nulls()
    return MismatchFindings(
        findings=findings,
        fixes=fix_table(judged, searched.world.rows),
        profiles=profile_table(searched.world, judged, target=settings.label),
        slices=searched.slices,
        features=features,
        traces=traces,
        responsible=responsible_table(trained, tested, pair, traced=traced),
        harmful=harmful_table(trained, pair, scores, on_errors=searched.harm, on_test=on_test),
        expected=MismatchFindings.empty("expected"),
        shift=shift,
        health=_health([*fit_checks(trained), *proof_checks(proofs, refits)]),
        cells=shown_cells(trained, tested, pair, found=found, traces=traces),
        selection=selection_table(trained),
        verification=refits,
        provenance=mismatch_provenance(
            replace(pair, notes=(*pair.notes, *some.notes)),
            trained,
            tested,
            settings=settings,
            command=command,
        ),
    )


@dataclass(frozen=True)
class Searched:
    """What the search found."""

    traced: Traced  # the test rows that were traced, with their strongest training rows
    slices: pl.DataFrame  # all slices that were cut
    judged: list[Judged]  # causes, their by-products, notes
    harm: NDArray[np.float64]  # (n,) of every training row on the test errors
    world: World  # as it is
    some: Excerpt  # of the rows, in which the search was
    tested: Tested  # the test rows among them


def search_mismatch(
    pair: Pair,
    trained: Trained,
    tested: Tested,
    *,
    settings: MismatchOptions,
    on_step: StepCallback = ignore_progress,
) -> Searched:
    """Trace the test errors, gather suspects, and try what fixes them."""
    on_step("trace", 0, 1)
    kept, rows = settings.kept, _selected(pair, tested, settings)
    with within(on_step, "trace"):
        traced = kept.once("trace", partial(_trace, trained, tested, rows, settings=settings))
    harm = kept.once("trace: harm", partial(total_harm, trained, tested, np.flatnonzero(tested.wrong)))
    on_step("trace", 1, 1)
    on_step("slices", 0, 1)
    some = excerpt_of(pair, trained, seed=settings.seed)
    drawn = some.tested(trained, tested)
    world = World.of(some.trained, some.pair.train.frame, drawn, seed=settings.seed)
    world = replace(world, kept=kept.below(JUDGING))
    with within(on_step, "slices"):  # in parts as they were on one table, of 20,000 hospital stays
        with portion(0, 10):
            cuts = cut(some.pair.train, some.trained, drawn)
        with portion(1, 10, size=2):
            slices = slice_table(Screen(some.trained, world), cuts, drawn)
        with portion(3, 10, size=7):
            suspects = suspects_of(some.pair, drawn, world, cuts=cuts, whole=some.is_whole)
    on_step("slices", 1, 1)
    hidden = partial(slice_suspects, cuts)
    judged = judge(suspects, world, prove=settings.prove, search=hidden, on_step=on_step)
    causes = [one for one in judged if one.severity != "note" and one.under is None]
    others = [one for one in judged if one.severity == "note" or one.under is not None]
    return Searched(traced, slices, [*causes[:CAUSES], *others[:OTHERS]], harm, world, some, drawn)


def suspects_of(pair: Pair, tested: Tested, world: World, *, cuts: Cuts, whole: bool = True) -> list[Suspect]:
    """Return everything that may be why test rows are mispredicted; single rows and copies of a `whole`."""
    rates = rate_suspects(pair, tested, world)
    classes = world.trained.quantity is None
    copies = copy_suspects(pair, tested) if whole and classes else ()  # numbers of twins differ as a rule
    with portion(0, 7, size=4):
        found = [*column_suspects(pair, tested, world=world), *copies, *rates]
    # Other class rates make all slices differ: they are searched where the rates are right.
    even = rates[0].fixes[-1].apply(world, exact=False) if rates else world
    with portion(4, 7, size=2):
        found += slice_suspects(cuts, even)
    with portion(6, 7):
        found += conjunction_suspects(cuts, even) if classes else ()
    if rates:  # a few rows of a class that is too frequent mislead all the same
        few = [one for one in slice_suspects(cuts, world) if 0 < len(one.train) <= FEW]
        known = {one.key for one in found}
        found += [replace(one, p_value=1.0, evidence=0.0) for one in few if one.key not in known]
    return [*found, *(row_suspects(pair, world) if whole else ())]


def _selected(pair: Pair, tested: Tested, settings: MismatchOptions) -> Rows:
    """Return the positions of the test rows to trace: those asked for, else the worst ones."""
    if settings.numbers:
        number = pair.test.row.to_numpy()
        missing = sorted(set(settings.numbers) - set(number.tolist()))
        if missing:
            raise SettingError(f"there is no test row {missing[0]}", f"rows go from 0 to {number.max()}")
        return np.flatnonzero(np.isin(number, settings.numbers))
    if settings.where is not None:
        return np.flatnonzero(some_fulfilling(pair.test, settings.where, option="where", whose="test"))
    wrong = np.flatnonzero(tested.wrong)
    most = max(settings.traced // 10, min(TRACED, PAIRS // pair.train.n))
    return np.sort(wrong[np.argsort(-tested.loss[wrong], kind="stable")[:most]])


def _trace(trained: Trained, tested: Tested, rows: Rows, *, settings: MismatchOptions) -> Traced:
    """Search the strongest training rows of the given test rows, in blocks that fit in the memory."""
    objective, theta = trained.objective, trained.fit.theta
    half, k = min(INFLUENCES, memory_limit() // 2), min(settings.k, objective.rows.n)
    step = max(1, half // (3 * 8 * objective.model.n_params))
    parts: list[Strongest] = []
    for start in ticking(range(0, max(1, len(rows)), step)):
        gradients = loss_gradients(objective.model, theta, tested.take(rows[start : start + step]))
        solved = trained.prepared.solve(gradients)
        parts.append(strongest_influences(objective, theta, solved, k=k, memory_bytes=half))
    names = Strongest.__dataclass_fields__
    found = Strongest(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
    return Traced(rows, found, concentration(found))


def _features(
    trained: Trained, tested: Tested, pair: Pair, *, found: Sequence[tuple[Rows, Rows]], seed: int
) -> tuple[pl.DataFrame, list[str]]:
    """Return the table of column effects, and per finding the columns that carry it, in words."""
    tables, named = [MismatchFindings.empty("features")], []
    for number, (rows, errors) in enumerate(found, start=1):
        words = ""
        if number <= EXPLAINED and len(errors) and len(rows):
            some = tested.take(errors[:: 1 + len(errors) // EXPLAINED_ERRORS])
            effects = column_effects(trained, rows[:EXPLAINED_ROWS], some, seed=seed)
            table = feature_table(pair.train, effects).with_columns(finding=pl.lit(number, dtype=pl.Int64))
            tables.append(table.select(tables[0].columns))
            words = ", ".join(
                f"{name} ({effect:+.3g})" for name, effect in sum_effects(effects)[:NAMED_COLUMNS]
            )
        named.append(words)
    return pl.concat(tables), named


def _shift(some: Excerpt, tested: Tested, scores: RowScores, settings: MismatchOptions) -> pl.DataFrame:
    """Compare all test rows with the training rows; losses are of rows that were not trained on."""
    raw, losses = some.raw_test(tested.loss)
    frames = some.pair.train.frame, raw
    if (quantity := some.pair.target.quantity) is not None:  # labels are compared by the fifths of training
        first, second = (in_fifths(frame, settings.label, quantity) for frame in frames)
        frames = first, second
    return measure_shift(
        *frames,
        target=settings.label,
        columns=settings.columns,
        losses=(scores.loo_loss[some.train], losses),
        seed=settings.seed,
    ).filter(_known(some))


def _known(some: Excerpt) -> pl.Expr:
    """Which comparisons hold: some of the rows say nothing of the copies among all."""
    return pl.lit(some.is_whole) | ~pl.col("measure").is_in(["duplicate", "conflict"])


def in_fifths(frame: pl.DataFrame, label: str, quantity: Quantity) -> pl.DataFrame:
    """Return rows whose labels are the fifth of the training rows' numbers that they are in."""
    numbers = numbers_of(frame[label], quantity.task)
    names = in_bins(numbers.fill_null(0.0).to_numpy(), quantity.values)
    return frame.with_columns(pl.when(numbers.is_not_null()).then(pl.Series(names)).alias(label))


def _shown(traced: Traced, tested: Tested, found: Sequence[Rows], most: int) -> Rows:
    """Return the traced rows to show: those of the findings, then the ones with the largest loss."""
    explained = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    order = np.lexsort((-tested.loss[traced.rows], ~np.isin(traced.rows, explained)))
    return np.sort(order[:most])


def _health(checks: list[Check]) -> pl.DataFrame:
    return pl.DataFrame(checks, schema=HEALTH, orient="row")


def _inputs_only(
    pair: Pair, trained: Trained, *, settings: MismatchOptions, command: str
) -> MismatchFindings:
    """Return what can be said where no test row has a label."""
    some = excerpt_of(pair, trained, seed=settings.seed)
    shift = measure_shift(
        some.pair.train.frame,
        some.pair.test.frame.drop(settings.label),
        target=settings.label,
        columns=settings.columns,
        seed=settings.seed,
    ).filter(_known(some))
    known = ("shift", "expected", "health", "selection")
    none = [name for name in MismatchFindings.SCHEMAS if name not in known]
    return MismatchFindings(
        **{name: MismatchFindings.empty(name) for name in none},
        shift=shift,
        expected=expected_table(some.pair, some.trained, settings=settings)
        if trained.classes
        else MismatchFindings.empty("expected"),
        health=_health(fit_checks(trained)),
        selection=selection_table(trained),
        provenance=mismatch_provenance(
            replace(pair, notes=(*pair.notes, *some.notes)), trained, None, settings=settings, command=command
        ),
    )
