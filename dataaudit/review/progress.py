"""The queue of a review, and how far it is: what was decided, how much of it was wrong, when to stop.

The rule, here and on the page: from `FIRST` decisions on, when at most `FEW` of the last `LAST` decided rows
were wrong, the review may stop. A row of which the reviewer is unsure counts for neither, and a look at the
sample, or one that was learned from before, says nothing of how far down the list it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.findings.schemas import Findings
from dataaudit.repair.decisions import Decision
from dataaudit.report.rows import FEW, FIRST, LAST


@dataclass(frozen=True)
class Queue:
    """The rows of a table of labels, each known by its place there, from 0."""

    run_id: str  # of the findings
    classes: tuple[str, ...]  # by name; `class_keys` has their keys
    row_ids: tuple[str, ...]
    labels: tuple[str, ...]
    suggested: tuple[str, ...]  # the class that it may be instead
    p_wrong: NDArray[np.float64]  # probability that the class is wrong; nan where it is not known
    order: NDArray[np.int64]  # places, the most suspect row first
    places: Mapping[str, int]  # name of a row → its place
    overlapping: bool = False  # whether nothing can be said of the number of wrong labels
    sample: frozenset[int] = frozenset()  # places of rows to look at before the suggestion is seen
    reviewed: frozenset[int] = frozenset()  # places of rows whose decisions were learned from before
    learned: bool = False  # whether `p_wrong` comes out of decisions
    takes: Callable[[str], bool] | None = None  # where labels are numbers, whether a text is one that fits

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def expected(self) -> float | None:
        """Expected number of wrong labels, all rows together; None where nothing can be said of it."""
        known = self.p_wrong[np.isfinite(self.p_wrong)]
        return float(known.sum()) if len(known) and not self.overlapping else None


def queue_of(findings: Findings, *, sample: int = 0) -> Queue:
    """Return the rows of findings in their order, after the first rows of a sample for an honest count."""
    table = findings.labels
    places = {name: at for at, name in enumerate(table["row_id"].to_list())}
    drawn = []
    if sample:
        from dataaudit.findings.sample import sample_of  # noqa: PLC0415 - most reviews have none

        names = sample_of(table, sample, seed=findings.provenance.seed)["row_id"]
        drawn = [places[name] for name in names]
    first = dict.fromkeys([*drawn, *range(len(places))])
    row_ids, labels = tuple(table["row_id"].to_list()), tuple(table["label"].to_list())
    suggested = tuple(table["suggested_label"].to_list())
    known = findings.provenance
    is_number = known.is_number
    return Queue(
        run_id=findings.provenance.run_id,
        classes=() if is_number else tuple(sorted({*known.classes, *labels, *suggested} - {None})),
        row_ids=row_ids,
        labels=labels,
        suggested=suggested,
        p_wrong=table["p_wrong"].cast(float).fill_null(float("nan")).to_numpy(),
        order=np.array([*first], dtype=np.int64),
        places=places,
        overlapping=findings.provenance.overlapping,
        sample=frozenset(drawn),
        reviewed=frozenset(_reviewed(table)),
        learned=bool(findings.provenance.learned.get("decisions")),
        takes=known.takes if is_number else None,
    )


def _reviewed(table: pl.DataFrame) -> Iterable[int]:
    """Return the places of rows that were reviewed."""
    return table["reviewed"].is_not_null().arg_true() if "reviewed" in table.columns else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a review is."""

    rows: int  # in the queue
    counts: Counter[str]  # action → decisions; a relabel to the class that was there is kept
    wrong: int  # rows that were wrong: relabelled or dropped
    left: float | None  # wrong labels expected among the others; None where no probability is known
    recent: int  # the last decided rows, by which the stop is judged
    recent_wrong: int
    recent_expected: float  # how many of them should have been, by their probabilities
    listed: int  # decided rows by which the stop is judged, from the first on
    next_expected: float | None  # wrong ones expected among the next `LAST`; None where nothing was learned

    @property
    def decided(self) -> int:
        """Rows with a decision, unsure ones too."""
        return self.counts.total()

    @property
    def sure(self) -> int:
        """Rows of which the reviewer could tell."""
        return self.decided - self.counts["unsure"]

    @property
    def precision(self) -> float | None:
        """Share of wrong rows among those of which the reviewer could tell; None where there are none."""
        return self.wrong / self.sure if self.sure else None

    @property
    def enough(self) -> bool:
        """Whether the review may stop."""
        return self.listed >= FIRST and self.recent_wrong <= FEW

    @property
    def fits(self) -> bool:
        """Whether the last rows were about as often wrong as the audit thought."""
        return self.recent_expected <= self.recent / 2


def progress_of(queue: Queue, decisions: Sequence[Decision]) -> Progress:
    """Return how far a review is."""
    acts = [meant(queue, decision) for decision in decisions]
    sure = [(d, act) for d, act in zip(decisions, acts, strict=True) if act != "unsure"]
    apart = queue.sample | queue.reviewed
    listed = [(d, act) for d, act in sure if queue.places[d.row_id] not in apart]
    last = listed[-LAST:]
    expected = queue.expected
    decided = math.fsum(_chance(queue, decision) for decision in decisions)
    return Progress(
        rows=len(queue),
        counts=Counter(acts),
        wrong=sum(_is_wrong(act) for _, act in sure),
        left=None if expected is None else max(0.0, expected - decided),
        recent=len(last),
        recent_wrong=sum(_is_wrong(act) for _, act in last),
        recent_expected=math.fsum(_chance(queue, decision) for decision, _ in last),
        listed=len(listed),
        next_expected=_ahead(queue, decisions) if queue.learned else None,
    )


def _ahead(queue: Queue, decisions: Sequence[Decision]) -> float:
    """Return the wrong labels expected among the next rows of the list."""
    done = {queue.places[decision.row_id] for decision in decisions} | queue.sample
    ahead = [at for at in queue.order.tolist() if at not in done][:LAST]
    return float(np.nansum(queue.p_wrong[ahead]))


def meant(queue: Queue, decision: Decision) -> str:
    """Return the action that a decision comes to: a class that the row has already is kept."""
    same = decision.label == queue.labels[queue.places[decision.row_id]]
    return "keep" if decision.action == "relabel" and same else decision.action


def stop_hint(progress: Progress) -> str:
    """Return the sentences that say that it is enough, or nothing."""
    if not progress.enough:
        return ""
    wrong, recent = progress.recent_wrong, progress.recent
    last = f"Of the last {recent} rows {wrong} {be(wrong, 'was', 'were')} wrong"
    if progress.left is not None:
        left = round(progress.left)
        labels = f"about {left:,} wrong {be(left, 'label is', 'labels are')}"
        last += f"; {labels} expected among the rows not yet decided"
        if progress.next_expected is not None:
            last += f", {progress.next_expected:.0f} of them in the next {LAST}"
    said = [f"{last}.", "You may stop here."]
    if not progress.fits:
        expected = f"The audit expected about {progress.recent_expected:.0f}"
        said.append(f"{expected}: its suggestions do not fit these data.")
    return " ".join(said)


def be(number: int, one: str, many: str) -> str:
    """Return the word that goes with a number."""
    return one if number == 1 else many


def _is_wrong(act: str) -> bool:
    return act in ("relabel", "drop")


def _chance(queue: Queue, decision: Decision) -> float:
    chance = float(queue.p_wrong[queue.places[decision.row_id]])
    return chance if math.isfinite(chance) else 0.0
