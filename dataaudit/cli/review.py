"""``audit review``: look at the ranked rows in the terminal, one by one, and decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dataaudit.cli import bridge
from dataaudit.cli.progress import Talk
from dataaudit.errors import DataError

if TYPE_CHECKING:
    from dataaudit.audits.rerun import Opened
    from dataaudit.findings.schemas import Findings


Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="What audit labels wrote with --out.")]
DecisionFile = Annotated[
    Path | None,
    typer.Option(
        "--decisions",
        metavar="FILE",
        show_default="decisions.jsonl in FOLDER",
        help="Where decisions are kept and where the review goes on; JSON lines, or CSV by its name.",
        rich_help_panel="Output",
    ),
]
Reviewer = Annotated[
    str,
    typer.Option(
        "--reviewer",
        metavar="NAME",
        show_default=False,
        help="Who decides; kept with each decision.",
        rich_help_panel="Output",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="SOURCE", help="Where the data are now, if they moved.", rich_help_panel="Input"
    ),
]
Rerank = Annotated[
    bool,
    typer.Option(
        "--rerank",
        help="Renew the order as the model learns. Where flips were known it found no more than without.",
        rich_help_panel="Ranking",
    ),
]
Batch = Annotated[
    int,
    typer.Option(
        "--batch", min=1, metavar="N", help="Decisions between two orders.", rich_help_panel="Ranking"
    ),
]


def review(
    folder: Folder = Path("audit-findings"),
    *,
    decisions: DecisionFile = None,
    data: Data = None,
    reviewer: Reviewer = "",
    rerank: Rerank = False,
    batch: Batch = 20,
    color: bridge.Color = "auto",
) -> int:
    """Review the ranked rows in the terminal; every decision is saved at once.

    Press ? there for the keys, q to quit; start it again to go on.
    """
    from dataaudit.escape import line
    from dataaudit.findings.schemas import Findings
    from dataaudit.review.file import NAME, SavedDecisions
    from dataaudit.review.keyboard import Terminal, require_terminal
    from dataaudit.review.loop import conclusion, run_review
    from dataaudit.review.queue import queue_of
    from dataaudit.review.rerank import Reranker
    from dataaudit.review.rows import RowReader
    from dataaudit.review.session import begin

    talk = Talk(color=color)
    where = decisions or folder / NAME
    page = (folder / "report.html").as_posix()
    findings = Findings.read(folder)
    require_terminal(talk.console, f"open {page} and review there, or write {where.as_posix()} by hand")
    queue = queue_of(findings)
    if not len(queue):
        raise DataError(f"{folder.as_posix()} has no rows to review", "audit a file with labelled rows")
    saved = SavedDecisions(where, queue)
    done, state = None, begin(queue, saved.decisions, reviewer=line(reviewer, 100))
    opened = _opened(findings, data, learns=True) if rerank else None
    rows = RowReader(findings, lambda: opened or _opened(findings, data))
    try:
        with Terminal(talk.console) as terminal:
            model = None
            if opened is not None:
                model = Reranker(findings, opened, review=state, batch=batch, on_news=terminal.wake)
            done = run_review(state, rows, saved=saved, terminal=terminal, model=model)
    finally:
        last = done or begin(queue, saved.decisions)
        for sentence in conclusion(last, findings, folder=folder, decisions=where, data=data):
            talk.say(sentence)
    return 0


def _opened(findings: Findings, data: str | None, *, learns: bool = False) -> Opened:
    """Return the data, if they are as they were; if a model is to learn from them, it must be the tool's."""
    from dataaudit.audits.rerun import reopen

    if learns and not findings.provenance.roles:
        what = "these findings are of a model of your own, which is not on disk"
        raise DataError(what, "review them without --rerank")
    return reopen(findings, data)
