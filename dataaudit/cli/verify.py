"""``audit verify``: retrain without the rows that findings speak of, and compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dataaudit.cli import options
from dataaudit.cli.talk import Talk

if TYPE_CHECKING:
    from rich.table import Table

    from dataaudit.audits.again import Rerun

SHOWN = 20
NOT_CONFIRMED = 1

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", show_default=False, help="What audit labels or audit mismatch wrote with --out."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="SOURCE", help="Where the data are now, if they moved.", rich_help_panel="Input"
    ),
]
Test = Annotated[
    str | None,
    typer.Option("--test", metavar="SOURCE", help="Where the test rows are now.", rich_help_panel="Input"),
]
Top = Annotated[
    int,
    typer.Option(
        "--top", min=1, metavar="N", help="Rows (and findings) to refit.", rich_help_panel="Ranking"
    ),
]
Format = Annotated[
    Literal["jsonl", "csv"] | None,
    typer.Option(
        "--format",
        show_default="nothing",
        help="Also write every refit to stdout.",
        rich_help_panel="Output",
    ),
]


def verify(
    folder: Folder = Path("audit-findings"),
    *,
    data: Data = None,
    test: Test = None,
    top: Top = 50,
    format: Format = None,  # noqa: A002 - the option is called --format
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> int:
    """Retrain without the rows that findings speak of, and compare with what was predicted.

    Exits with 1 if the predictions do not come out again, or the refits do not confirm them.
    """
    from dataaudit.api_verify import verify as run

    with Talk(quiet=quiet, color=color) as talk:
        done = run(folder, data, test=test, top=top, on_step=talk.step)
    if format == "jsonl":
        sys.stdout.write(done.refits.write_ndjson())
    elif format == "csv":
        sys.stdout.write(done.refits.write_csv())
    sys.stdout.flush()
    if quiet < 2:  # noqa: PLR2004 - as everywhere, -qq says nothing
        talk.console.print(_table(done))
        for sentence in _outcome(done, folder):
            talk.say(sentence)
    return 0 if done.reproduced and not _failed(done) else NOT_CONFIRMED


def _table(done: Rerun) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from dataaudit.writers.escape import line

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("changed", overflow="fold")
    table.add_column("how", no_wrap=True)
    table.add_column("predicted", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    for what, change, predicted, measured in done.refits.head(SHOWN).iter_rows():
        table.add_row(
            Text(line(what, 160)), Text(change), Text(f"{predicted:+.4f}"), Text(f"{measured:+.4f}")
        )
    return table


def _failed(done: Rerun) -> list[str]:
    """Return what the refits say against the predictions."""
    checks = done.findings.health.filter(ok=False).iter_rows(named=True)
    return [check["message"] for check in checks if check["check"] in ("verification", "proof")]


def _outcome(done: Rerun, folder: Path) -> list[str]:
    """Return the sentences that close the command."""
    found, n = done.agreement, len(done.refits)
    more = [f"The first {SHOWN} of {n:,} refits; changes of loss in nats."] if n > SHOWN else []
    agree = (
        f"Predicted against measured over {n:,} true refits: slope {found.slope:.3f}, "
        f"Pearson {found.pearson:.4f}, Spearman {done.spearman:.4f}."
    )
    again = f"The predictions on disk came out again, to {done.difference:.0e} nats."
    if not done.reproduced:
        again = f"The predictions on disk did not come out again: off by up to {done.difference:.2g} nats."
    return [*more, agree, again, *_failed(done), f"The report is {(folder / 'report.html').as_posix()}"]
