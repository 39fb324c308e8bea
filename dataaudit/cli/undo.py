"""``audit undo``: give back the data as they were before ``audit apply``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dataaudit.cli import options
from dataaudit.cli.talk import Talk

JournalFile = Annotated[
    Path,
    typer.Argument(metavar="JOURNAL", show_default=False, help="What audit apply wrote: *.journal.jsonl."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="The data as they were.", rich_help_panel="Output"),
]
Repaired = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FILE",
        show_default="beside the journal",
        help="The repaired file.",
        rich_help_panel="Input",
    ),
]
InPlace = Annotated[
    bool,
    typer.Option(
        "--in-place", help="Replace the repaired file; FILE.bak keeps it.", rich_help_panel="Output"
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace another file that is there.", rich_help_panel="Output")
]


def undo(
    journal: JournalFile,
    *,
    out: Out = None,
    data: Repaired = None,
    in_place: InPlace = False,
    force: Force = False,
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Write the data as they were before a repair, their content hash checked."""
    from dataaudit.repair.undo import undo as run

    done = run(journal, out, repaired=data, in_place=in_place, force=force)
    if quiet > 1:
        return
    how = "byte for byte" if done.identical else "its content; how it is packed or laid out may differ"
    with Talk(quiet=quiet, color=color) as talk:
        talk.say(f"{done.path.as_posix()} is {done.journal.source} as it was before the repair, {how}.")
        if done.backup:
            talk.say(f"The repaired file is kept as {done.backup.as_posix()}")
