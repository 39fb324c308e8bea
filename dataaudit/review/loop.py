"""The loop of a review: look, press, save, again; and the conclusion when it is over."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dataaudit.review.file import NAME, SavedDecisions
from dataaudit.review.keyboard import GONE, LOOK, Terminal
from dataaudit.review.progress import be, meant, stop_hint
from dataaudit.review.rerank import Reranker
from dataaudit.review.rows import RowReader
from dataaudit.review.screen import draw, paint
from dataaudit.review.session import Desk, Review, press

if TYPE_CHECKING:
    from dataaudit.findings.schemas import Findings


_ACTS: Final = {
    "relabel": "relabelled",
    "drop": "dropped",
    "weight": "weighted",
    "keep": "kept",
    "unsure": "unsure",
}


def run_review(
    review: Review,
    rows: RowReader,
    *,
    saved: SavedDecisions,
    terminal: Terminal,
    model: Reranker | None = None,
) -> Review:
    """Let a reviewer decide until they quit."""
    desk = Desk(review)
    while not desk.done:
        if not terminal.waiting():
            desk = _show(desk, rows, terminal=terminal, model=model)
        key = terminal.key()
        if key == GONE:
            break
        if key != LOOK:
            before, desk = desk.review, press(desk, key, find=rows.containing)
            if desk.review.decisions is not before.decisions:
                saved.write(tuple(desk.review.decisions.values()))
        if model is not None:
            model.update(desk.review)
            desk = replace(desk, review=model.newest(desk.review))
    return desk.review


def _show(desk: Desk, rows: RowReader, *, terminal: Terminal, model: Reranker | None) -> Desk:
    """Draw the desk; return it with its size on the screen."""
    row = rows.row(desk.review.at, whole=desk.whole)
    missing = rows.trouble if desk.whole or not row.cells else ""
    notes = [f"The data are not at hand: {missing}" if missing else "", model.status if model else ""]
    drawn = draw(desk, row, console=terminal.console, notes=notes)
    paint(terminal.console, drawn)
    return replace(desk, page=drawn.page, lines=drawn.total)


def conclusion(
    review: Review, findings: Findings, *, folder: Path, decisions: Path, data: str | None
) -> Iterator[str]:
    """Yield what was found, what is left, where it is, and what to type next."""
    done = review.progress
    if not done.decided:
        yield "No row is decided."
        return
    counts = ", ".join(f"{done.counts[act]:,} {name}" for act, name in _ACTS.items() if done.counts[act])
    yield f"{done.decided:,} of {done.rows:,} rows are decided: {counts}."
    hint = stop_hint(done)
    if done.precision is not None:
        were = f"{done.wrong:,} of {done.sure:,} {be(done.wrong, 'was', 'were')} wrong"
        left = "" if hint or done.left is None else f"; about {done.left:,.0f} are wrong among the others"
        yield f"{were} ({done.precision:.0%}){left}."
    if hint:
        yield hint
    yield f"The decisions are {decisions.as_posix()}"
    again = [] if decisions == folder / NAME else ["--decisions", decisions.as_posix()]
    yield f"To go on: {shlex.join(['audit', 'review', folder.as_posix(), *again])}"
    yield from _commands(review, findings, folder=folder, decisions=decisions, data=data)


def _commands(
    review: Review, findings: Findings, *, folder: Path, decisions: Path, data: str | None
) -> Iterator[str]:
    """Yield the command that carries the decisions out, for each file that they change."""
    from dataaudit.repair.plan import FORMATS  # noqa: PLC0415 - not needed before the end
    from dataaudit.report.labels import fixed_name  # noqa: PLC0415 - likewise

    acts = {decision.row_id: meant(review.queue, decision) for decision in review.decisions.values()}
    changed = [name for name, act in acts.items() if act in ("relabel", "drop", "weight")]
    origins = findings.provenance.origins
    sources = set(findings.labels.filter(findings.labels["row_id"].is_in(changed))["source"])
    for origin in origins:
        path = str(origin["path"])
        if path not in sources or str(origin["format"]).partition("+")[0] not in FORMATS or path == "<stdin>":
            continue
        path = data if data is not None and len(origins) == 1 else path
        known = ["audit", "apply", folder.as_posix(), decisions.as_posix(), path]
        typed = shlex.join([*known, "-o", fixed_name(path)])
        yield f"To repair the data: {typed}"
