"""Which labels are wrong: the whole audit on one screen.

load → encode (`encoded`) → choose basis and λ → fit → invert (`train`) → score every row → noise model →
findings. The chain is the paper's (Koh & Liang 2017, section 5.4): self-influence and leverage give, from one
factorisation, the error that a row would have if it had not been in the training set, and from those
out-of-sample scores a noise model gives the probability that its label is wrong.
"""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.evidence import contributions, neighbours
from dataaudit.audits.health import Check, check_health, claim, random_check
from dataaudit.audits.tables import (
    cell_table,
    choose_ranking,
    evidence_table,
    label_table,
    neighbour_table,
    noise_table,
    provenance,
    reasons_of,
    review_order,
    row_facts,
    selection_table,
    verification_table,
)
from dataaudit.audits.validation import Refit, refined, verify
from dataaudit.cells import content_hashes
from dataaudit.data.dataset import Dataset
from dataaudit.features.target import Target
from dataaudit.findings.sample import ROWS, sample_of
from dataaudit.findings.schemas import BUDGET, Findings
from dataaudit.noise import NoiseModel, fit_noise, review_budget
from dataaudit.noise.values import ValueNoise
from dataaudit.options import Checkpoint, LabelOptions, StepCallback, ignore_progress
from dataaudit.options.progress import within
from dataaudit.solvers.base import threads
from dataaudit.training.numbers import settled, value_checks, value_facts, value_noise
from dataaudit.training.trained import RowScores, Trained, score_rows

READ: Final = 500  # rows whose cells are kept for a review, evidence or not: as many as a page shows


def label_findings(
    dataset: Dataset,
    target: Target,
    trained: Trained,
    *,
    settings: LabelOptions,
    command: str = "dataaudit.audit_labels",
    on_step: StepCallback = ignore_progress,
) -> Findings:
    """Rank training rows by how likely their label is wrong."""
    on_step("score rows", 0, 1)
    judged = _judge(dataset, target, trained, settings=settings, on_step=on_step)
    trained, scores, noise, order = judged.trained, judged.scores, judged.noise, judged.order
    random = random_check(dataset, trained, scores, noise=noise, seed=settings.seed)
    on_step("score rows", 1, 1)
    top, checked = order[: settings.top], trained.apart(order)[: (settings.verify + 1) // 2]
    with threads(1) as pool:  # refits leave a core idle, and evidence needs none of them
        refitting = pool.submit(_verify, judged, checked, settings.kept, on_step)
        wait([refitting] if trained.network else [])  # a module is called by one thread at a time
        on_step("evidence", 0, 2)
        kept = settings.kept.below(f"evidence: {trained.way}")
        reasons = kept.once("terms", partial(contributions, trained, scores, top, seed=settings.seed))
        on_step("evidence", 1, 2)
        with within(on_step, "evidence", done=1, parts=2):
            alike = kept.once("neighbours", partial(neighbours, trained, scores, top))
        on_step("evidence", 2, 2)
    on_step("tables", 0, 1)
    said = provenance(dataset, target, trained, settings=settings, noise=noise, command=command)
    said = replace(
        said,
        claim=claim(noise, random),
        notes=(*judged.notes, *said.notes),
        leading=len(judged.notes) + said.leading,
    )
    tables = {
        "health": check_health(
            trained,
            scores,
            refitting.result(),
            random=random,
            data=(*trained.checks, *judged.checks),
            values=value_checks(trained, scores) if judged.values else None,
        ),
        "noise": noise_table(target, noise),
        "budget": pl.DataFrame(review_budget(noise.p_wrong[order]), schema=BUDGET, orient="row"),
    }
    facts = row_facts(dataset, target, scores, noise=noise, order=order, trained=trained)
    if judged.values is not None:
        facts |= value_facts(dataset, trained, scores=scores, noise=judged.values)
    del judged, scores, noise  # most of the memory, where rows are many
    labels = label_table(facts, target.classes, order)
    labels = labels.with_columns(_hashes(dataset, trained)[order])
    sample = sample_of(labels, ROWS, seed=settings.seed)
    drawn = order[labels["row_id"].is_in(sample["row_id"].implode()).to_numpy()]
    others = np.array([m.other for row in alike for m in row], dtype=np.int64)
    shown = np.unique(np.concatenate([order[: _read(settings)], others, drawn]))
    on_step("tables", 1, 1)
    by = _by(dataset, trained, labels, settings, interval=said.count[1:], on_step=on_step)
    return Findings(
        labels=labels,
        evidence=evidence_table(dataset, reasons),
        neighbours=neighbour_table(dataset, target, alike),
        cells=cell_table(dataset, trained, shown, reasons=reasons_of(reasons, alike)),
        selection=selection_table(trained),
        verification=verification_table(dataset, refitting.result()),
        sample=sample,
        **tables,
        **by,
        provenance=said,
    )


def _hashes(dataset: Dataset, trained: Trained) -> pl.Series:
    """Return the content hash of each row: of all columns but the label."""
    columns = [role.column for role in trained.roles] or dataset.frame.columns
    hashed = [name for name in columns if name in dataset.frame.columns and name != dataset.target]
    return content_hashes(dataset.frame, columns=hashed)


@dataclass(frozen=True)
class Judged:
    """Rows with their scores, the noise that these show, and the order to look at them."""

    trained: Trained
    scores: RowScores
    noise: NoiseModel
    order: NDArray[np.int64]
    ranking: str
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()  # of what is estimated
    values: ValueNoise | None = None  # what is said of labels that are numbers

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        target: Target,
        trained: Trained,
        *,
        settings: LabelOptions,
        scores: RowScores | None = None,
    ) -> Judged:
        """Score the rows, or take scores as they are."""
        scores = refined(trained, score_rows(trained)) if scores is None else scores
        together = None if trained.groups is None else trained.groups.group
        K, same = len(target.classes), trained.same_class
        values = value_noise(trained, scores) if trained.quantity else None
        if values is not None:
            noise = values.model
        else:
            noise = fit_noise(scores.loo_log_odds, target.y, K, groups=together, same=same)
        ranking, _ = choose_ranking(settings.rank, noise)
        order = review_order(dataset, scores, noise, ranking=ranking)
        return cls(trained, scores, noise, order, ranking, values=values)


def _judge(
    dataset: Dataset, target: Target, trained: Trained, *, settings: LabelOptions, on_step: StepCallback
) -> Judged:
    """Score the rows, and make exact what is estimated of those that are shown."""
    kept, prepared = settings.kept, trained.prepared
    if trained.given is None:
        stage = f"score rows: {trained.way}"
        with within(on_step, "score rows"):
            trained = replace(trained, given=kept.once(stage, prepared.quadratic_forms))
    if trained.quantity is not None:
        trained = settled(trained)
        prepared = trained.prepared
    judged = Judged.of(dataset, target, trained, settings=settings)
    if not prepared.probes:
        return judged
    from dataaudit.audits.estimates.solves import ScoreSolver, Shown, Solver  # noqa: PLC0415 - few are so large

    again, top = partial(Judged.of, dataset, target, settings=settings), settings.top
    if prepared.changed is None:
        solver = Solver(again, Shown(top, _read(settings)), kept, on_step)
    else:
        solver = ScoreSolver(again, Shown(top, top), kept, on_step, prepared.changed)
    judged, check, notes = solver.exact(judged, settings.seed)
    return replace(judged, checks=(check,), notes=notes)


def _read(settings: LabelOptions) -> int:
    """Return how many rows of the list can be looked at."""
    return max(READ, settings.top) if settings.top else 0


def _by(
    dataset: Dataset,
    trained: Trained,
    labels: pl.DataFrame,
    settings: LabelOptions,
    *,
    interval: tuple[float, float],
    on_step: StepCallback,
) -> dict[str, pl.DataFrame]:
    """Return the tables of who mislabels, empty where nobody asked."""
    if not settings.by:
        return {name: Findings.empty(name) for name in ("by", "without", "levels")}
    from dataaudit.audits.levels import level_tables  # noqa: PLC0415 - few audits count by columns

    return level_tables(dataset, trained, labels, settings=settings, interval=interval, on_step=on_step)


def _verify(
    judged: Judged, rows: NDArray[np.int64], kept: Checkpoint, on_step: StepCallback
) -> tuple[Refit, ...]:
    total, stage = 2 * len(rows), "verify by refits"
    if total:
        on_step(stage, 0, total)
    return verify(
        judged.trained,
        judged.scores,
        rows,
        on_refit=lambda done: on_step(stage, done, total),
        kept=kept.below(f"{stage}: {judged.trained.way}"),
    )
