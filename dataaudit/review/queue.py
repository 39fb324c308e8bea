"""The queue: every audited row, in the order in which they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataaudit.findings.schemas import Findings


@dataclass(frozen=True)
class Queue:
    """The rows of a table of labels, each known by its place there, from 0."""

    run_id: str  # of the findings
    classes: tuple[str, ...]  # by name; `class_keys` has their keys
    row_ids: tuple[str, ...]
    labels: tuple[str, ...]
    suggested: tuple[str, ...]  # the class that it may be instead
    p_wrong: NDArray[np.float64]  # probability that the class is wrong; nan where it is not known
    order: NDArray[np.int64]  # places, the row to look at first first
    places: Mapping[str, int]  # name of a row → its place

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def expected(self) -> float | None:
        """Expected number of wrong labels, all rows together; None where no probability is known."""
        known = self.p_wrong[np.isfinite(self.p_wrong)]
        return float(known.sum()) if len(known) else None


def queue_of(findings: Findings) -> Queue:
    """Return the rows of findings in their order."""
    table = findings.labels
    row_ids, labels = tuple(table["row_id"].to_list()), tuple(table["label"].to_list())
    suggested = tuple(table["suggested_label"].to_list())
    return Queue(
        run_id=findings.provenance.run_id,
        classes=tuple(sorted({*findings.provenance.classes, *labels, *suggested} - {None})),
        row_ids=row_ids,
        labels=labels,
        suggested=suggested,
        p_wrong=table["p_wrong"].cast(float).fill_null(float("nan")).to_numpy(),
        order=np.arange(len(row_ids)),
        places={name: at for at, name in enumerate(row_ids)},
    )
