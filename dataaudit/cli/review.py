"""``audit review``: look at the ranked rows in the terminal, one by one, and decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dataaudit.cli.bridge import OUTPUT, Arg, command
from dataaudit.cli.progress import Color, Progress
from dataaudit.cli.sources import Moved
from dataaudit.errors import DataError
from dataaudit.options import RANKING, Opt

if TYPE_CHECKING:
    from dataaudit.audits.rerun import Opened
    from dataaudit.findings.schemas import Findings


Folder = Annotated[Path, Arg("What audit labels wrote with --out.", metavar="FOLDER")]
DecisionFile = Annotated[
    Path | None,
    Opt(
        "Where decisions are kept and where the review goes on; JSON lines, or CSV by its name.",
        OUTPUT,
        metavar="FILE",
        shown="decisions.jsonl in FOLDER",
    ),
]
Reviewer = Annotated[str, Opt("Who decides; kept with each decision.", OUTPUT, metavar="NAME")]
Rerank = Annotated[
    bool,
    Opt(
        "Renew the order as the model learns. Where flips were known it found no more than without.", RANKING
    ),
]
Batch = Annotated[int, Opt("Decisions between two orders.", RANKING, least=1)]


@command(OUTPUT)
def review(
    folder: Folder = Path("audit-findings"),
    *,
    decisions: DecisionFile = None,
    data: Moved = None,
    reviewer: Reviewer = "",
    rerank: Rerank = False,
    batch: Batch = 20,
    color: Color = "auto",
) -> int:
    """Review the ranked rows in the terminal; every decision is saved at once.

    Press ? there for the keys, q to quit; start it again to go on.
    """
    from dataaudit.escape import line
    from dataaudit.findings.schemas import Findings
    from dataaudit.review.keyboard import Terminal, require_terminal
    from dataaudit.review.loop import NAME, SavedDecisions, conclusion, run_review
    from dataaudit.review.progress import queue_of
    from dataaudit.review.rerank import Reranker
    from dataaudit.review.rows import RowReader
    from dataaudit.review.session import begin

    progress = Progress(color=color)
    where = decisions or folder / NAME
    page = (folder / "report.html").as_posix()
    findings = Findings.read(folder)
    require_terminal(progress.console, f"open {page} and review there, or write {where.as_posix()} by hand")
    queue = queue_of(findings)
    if not len(queue):
        raise DataError(f"{folder.as_posix()} has no rows to review", "audit a file with labelled rows")
    saved = SavedDecisions(where, queue)
    done, state = None, begin(queue, saved.decisions, reviewer=line(reviewer, 100))
    opened = _opened(findings, data, learns=True) if rerank else None
    rows = RowReader(findings, lambda: opened or _opened(findings, data))
    try:
        with Terminal(progress.console) as terminal:
            model = None
            if opened is not None:
                model = Reranker(findings, opened, review=state, batch=batch, on_news=terminal.wake)
            done = run_review(state, rows, saved=saved, terminal=terminal, model=model)
    finally:
        last = done or begin(queue, saved.decisions)
        for sentence in conclusion(last, findings, folder=folder, decisions=where, data=data):
            progress.say(sentence)
    return 0


def _opened(findings: Findings, data: str | None, *, learns: bool = False) -> Opened:
    """Return the data, if they are as they were; if a model is to learn from them, it must be the tool's."""
    from dataaudit.audits.rerun import reopen

    if learns and not findings.provenance.roles:
        what = "these findings are of a model of your own, which is not on disk"
        raise DataError(what, "review them without --rerank")
    return reopen(findings, data)
