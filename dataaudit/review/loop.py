"""The loop of a review: look, press, save, again; and the conclusion when it is over.

The file of decisions is written whole after every one, so that whenever the machine stops, all are there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dataaudit.errors import DataError
from dataaudit.escape import shown
from dataaudit.files import require_writable
from dataaudit.repair.decisions import Decision, Decisions, read_decisions, write_decisions
from dataaudit.review.keyboard import GONE, LOOK, Terminal
from dataaudit.review.progress import Queue, be, meant, stop_hint
from dataaudit.review.rerank import Reranker
from dataaudit.review.rows import RowReader
from dataaudit.review.screen import draw, paint
from dataaudit.review.session import Desk, Review, press

if TYPE_CHECKING:
    from dataaudit.findings.schemas import Findings


NAME: Final = "decisions.jsonl"
CHANGES: Final = ("relabel", "drop", "weight")  # actions that change the data
_ACTS: Final = {
    "relabel": "relabelled", "drop": "dropped", "weight": "weighted", "keep": "kept", "unsure": "unsure"
}  # fmt: skip


class SavedDecisions:
    """The decisions of one run in a file."""

    def __init__(self, path: Path, queue: Queue) -> None:
        self.path = path
        self._run_id = queue.run_id
        self._seen = _stamp(path)
        self.decisions: tuple[Decision, ...] = _read(path, queue) if self._seen else ()
        require_writable(path, hint="name a file that you may write with --decisions")

    def write(self, decisions: Sequence[Decision]) -> None:
        """Write all decisions, in the order in which they were made."""
        if _stamp(self.path) != self._seen:
            name = shown(self.path.as_posix())
            what = f"{name} was changed by another program; your last key was not saved"
            raise DataError(what, "start audit review again to go on from what it holds now")
        write_decisions(self.path, Decisions(tuple(decisions), self._run_id))
        self._seen, self.decisions = _stamp(self.path), tuple(decisions)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what distinguishes two states of a file; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path, queue: Queue) -> tuple[Decision, ...]:
    read = read_decisions(path, may_be_empty=True)
    name = shown(path.as_posix())
    if read.run_id and read.run_id != queue.run_id:
        what = f"{name} is of run {shown(read.run_id)}, these findings are of run {queue.run_id}"
        raise DataError(what, "move it away, or name another file with --decisions")
    other = next((row.row_id for row in read.rows if row.row_id not in queue.places), None)
    if other is not None:
        what = f"{name} decides row {shown(other)!r}, which is not in these findings"
        raise DataError(what, "name another file with --decisions")
    return read.rows


def run_review(
    review: Review,
    rows: RowReader,
    *,
    saved: SavedDecisions,
    terminal: Terminal,
    model: Reranker | None,
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
    drawn = draw(desk, rows.shown(row), console=terminal.console, notes=notes)
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
    acts = {decision.row_id: meant(review.queue, decision) for decision in review.decisions.values()}
    changed = [name for name, act in acts.items() if act in CHANGES]
    yield from repair_commands(findings, changed, folder=folder, decisions=decisions, data=data)


def repair_commands(
    findings: Findings, changed: Sequence[str], *, folder: Path, decisions: Path, data: str | None = None
) -> Iterator[str]:
    """Yield the command that carries the decisions out, for each file with rows that are changed."""
    from dataaudit.data.blob import is_repaired  # noqa: PLC0415 - not needed before the end
    from dataaudit.report.labels import fixed_name  # noqa: PLC0415 - likewise

    origins = findings.provenance.origins
    sources = set(findings.labels.filter(findings.labels["row_id"].is_in(changed))["source"])
    for origin in origins:
        path = str(origin["path"])
        if path not in sources or not is_repaired(str(origin["format"])) or path == "<stdin>":
            continue
        path = data if data is not None and len(origins) == 1 else path
        known = ["audit", "apply", folder.as_posix(), decisions.as_posix(), path]
        typed = shlex.join([*known, "-o", fixed_name(path)])
        yield f"To repair the data: {typed}"
