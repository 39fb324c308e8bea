"""``audit review``: look at the ranked rows in the terminal, one by one, and decide."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dataaudit.cli.bridge import OUTPUT, Arg, command
from dataaudit.cli.output import RedactAnew
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
Sample = Annotated[
    int,
    Opt(
        "Look first at so many rows drawn for an honest count; what the audit suggests is shown on request.",
        RANKING,
        least=0,
        shown="none",
    ),
]
Made = Annotated[Path, Arg("Decisions of a review, JSON lines or CSV.", metavar="DECISIONS")]


@command(OUTPUT)
def review(
    folder: Folder = Path("audit-findings"),
    *,
    decisions: DecisionFile = None,
    data: Moved = None,
    reviewer: Reviewer = "",
    sample: Sample = 0,
    color: Color = "auto",
) -> int:
    """Review the ranked rows in the terminal; every decision is saved at once.

    Press ? there for the keys, q to quit; start it again to go on.
    """
    from dataaudit.escape import line
    from dataaudit.findings.schemas import Findings
    from dataaudit.review.keyboard import Terminal, require_terminal
    from dataaudit.review.learning import earlier, renewed
    from dataaudit.review.loop import NAME, SavedDecisions, conclusion, run_review
    from dataaudit.review.progress import queue_of
    from dataaudit.review.rows import RowReader
    from dataaudit.review.session import begin

    progress = Progress(color=color)
    where = decisions or folder / NAME
    page = (folder / "report.html").as_posix()
    findings = Findings.read(folder)
    require_terminal(progress.console, f"open {page} and review there, or write {where.as_posix()} by hand")
    queue = queue_of(findings, sample=sample)
    if not len(queue):
        raise DataError(f"{folder.as_posix()} has no rows to review", "audit a file with labelled rows")
    saved = SavedDecisions(where, queue)
    made = tuple({d.row_id: d for d in (*earlier(findings), *saved.decisions)}.values())
    done, state = None, begin(queue, made, reviewer=line(reviewer, 100))
    rows = RowReader(findings, lambda: _opened(findings, data))
    try:
        with Terminal(progress.console) as terminal:
            learn = partial(renewed, findings=findings)
            done = run_review(state, rows, saved=saved, terminal=terminal, learn=learn)
    finally:
        last = done or begin(queue, saved.decisions)
        for sentence in conclusion(last, findings, folder=folder, decisions=where, data=data):
            progress.say(sentence)
    return 0


def _opened(findings: Findings, data: str | None) -> Opened:
    """Return the data, if they are as they were."""
    from dataaudit.audits.rerun import reopen

    return reopen(findings, data)


@command(OUTPUT)
def learn(
    folder: Folder = Path("audit-findings"),
    decisions: Made = Path("decisions.jsonl"),
    *,
    redact: RedactAnew = None,
    progress: Progress,
) -> None:
    """Count the wrong labels by what was decided, and order the list by it; tables and page are renewed.

    The count holds whatever the mistakes are like if rows of audit review --sample were decided.
    """
    from dataaudit.files import require_folder
    from dataaudit.findings.redact import level_of, remember
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.decisions import read_decisions
    from dataaudit.review.learning import learn_from, taught
    from dataaudit.writers.html import write_report

    findings = Findings.read(folder)
    require_folder(folder, hint="learn where you may write: copy the folder")
    decided = read_decisions(decisions)
    learned = remember(learn_from(findings, decided), redact or level_of(findings))
    with progress:
        learned.write(folder)
        write_report(learned, folder / "report.html")
        progress.close(taught(learned, folder=folder, decisions=decisions))
