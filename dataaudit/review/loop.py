"""One sitting of a review: look, press, save, again; and what is said when it is over."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dataaudit.review.file import NAME, Book
from dataaudit.review.keyboard import GONE, LOOK, Terminal
from dataaudit.review.progress import be, meant, stop_hint
from dataaudit.review.rerank import Learning
from dataaudit.review.rows import Rows
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


def sit(
    review: Review, rows: Rows, *, book: Book, terminal: Terminal, model: Learning | None = None
) -> Review:
    """Let a reviewer decide until they quit.

    Parameters
    ----------
    review : Review
        Where it begins.
    rows : Rows
        What is shown.
    book : Book
        Where every decision goes before the next key is read.
    terminal : Terminal
        Taken over already.
    model : Learning, optional
        Renews the order.

    Returns
    -------
    Review
        Where it ended.

    Raises
    ------
    AuditError
        If a decision cannot be saved.
    """
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
                book.write(tuple(desk.review.decisions.values()))
        if model is not None:
            model.hear(desk.review)
            desk = replace(desk, review=model.take(desk.review))
    return desk.review


def _show(desk: Desk, rows: Rows, *, terminal: Terminal, model: Learning | None) -> Desk:
    """Draw the desk; return it with what the screen tells of its size."""
    row = rows.row(desk.review.at, whole=desk.whole)
    missing = rows.trouble if desk.whole or not row.cells else ""
    notes = [f"The data are not at hand: {missing}" if missing else "", model.status if model else ""]
    drawn = draw(desk, row, console=terminal.console, notes=notes)
    paint(terminal.console, drawn)
    return replace(desk, page=drawn.page, lines=drawn.total)


def conclusion(
    review: Review, findings: Findings, *, folder: Path, decisions: Path, data: str | None
) -> Iterator[str]:
    """Yield what was found, what is left, where it is, and what to type next.

    Parameters
    ----------
    review : Review
        Where it ended.
    findings : Findings
    folder, decisions : Path
        Of the findings; the file of decisions.
    data : str or None
        Where the data are, if they moved.

    Yields
    ------
    str
        A sentence, or a command after a colon.
    """
    found = review.standing
    if not found.decided:
        yield "No row is decided."
        return
    counts = ", ".join(f"{found.counts[act]:,} {name}" for act, name in _ACTS.items() if found.counts[act])
    yield f"{found.decided:,} of {found.rows:,} rows are decided: {counts}."
    hint = stop_hint(found)
    if found.precision is not None:
        were = f"{found.wrong:,} of {found.sure:,} {be(found.wrong, 'was', 'were')} wrong"
        left = "" if hint or found.left is None else f"; about {found.left:,.0f} are wrong among the others"
        yield f"{were} ({found.precision:.0%}){left}."
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
    from dataaudit.repair.plan import FORMATS  # noqa: PLC0415 - on this system alone
    from dataaudit.report.labels import fixed_name  # noqa: PLC0415 - on this system alone

    said = {decision.row_id: meant(review.queue, decision) for decision in review.decisions.values()}
    changed = [name for name, act in said.items() if act in ("relabel", "drop", "weight")]
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
