"""Where the results of a command go; asked before the work begins, so that nobody waits for an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dataaudit.errors import WriteError

if TYPE_CHECKING:
    from dataaudit.findings.redact import Level
    from dataaudit.findings.schemas import AnyFindings
    from dataaudit.report.blocks import Report
    from dataaudit.writers import Writer


@dataclass(frozen=True, slots=True)
class Results:
    """A folder for the findings, and what goes to stdout beside.

    Attributes
    ----------
    folder : Path
        Made when the findings are written.
    writer : Writer, optional
        Of the format that was asked for, and of the kind of findings; without one, stdout stays empty.
    redact : {"none", "cells", "all"}
        What stdout and the summary withhold.
    """

    folder: Path
    writer: Writer | None = None
    redact: Level = "none"

    def emit(self, findings: AnyFindings, *, top: int | None = None) -> Report:
        """Write to stdout what was asked for; return the report that it shows, of the first `top` rows."""
        from dataaudit.report import TOP, shown

        folder = self.folder.as_posix()
        tables, report = shown(findings, self.redact, top=TOP if top is None else top, folder=folder)
        if self.writer:
            self.writer.write(tables, report, sys.stdout)
            sys.stdout.flush()
        return report


def prepare(
    folder: Path,
    format: str | None = None,  # noqa: A002 - the option's name
    *,
    kind: Literal["labels", "mismatch", "explanation", "vulnerability"] = "labels",
    redact: Level = "none",
    sources: Iterable[str] = (),
) -> Results:
    """Check that results could be written.

    Parameters
    ----------
    folder : Path
        It need not be there; nothing is made yet.
    format : str, optional
        Name of a format, as `dataaudit.writers.names` has them.
    kind : {"labels", "mismatch", "explanation", "vulnerability"}
        Of the findings to come.
    redact : {"none", "cells", "all"}
        What they are to withhold.
    sources : iterable of str
        Files that are read.

    Returns
    -------
    Results

    Raises
    ------
    WriteError
        If the folder, or the nearest one above that is there, is no folder or cannot be written to; if it
        holds findings of another kind, or a source that would be written over.
    SettingError
        If there is no such format.
    """
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    if not there.is_dir():
        what = f"folder {folder.as_posix()} cannot be made: {there.as_posix()} is a file"
        raise WriteError(what, "name another one with --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise WriteError(f"folder {there.as_posix()} cannot be written to", "name another one with --out")
    _require_room(folder, kind, sources)
    if format is None:
        return Results(folder, redact=redact)
    from dataaudit.writers import get

    return Results(folder, get(format, kind), redact)


def require_kept(findings: AnyFindings, folder: Path, targets: Iterable[Path]) -> None:
    """Refuse to write over the findings of a folder, or over the data that they came from.

    Raises
    ------
    WriteError
        If one of the targets is such a file.
    """
    from dataaudit.data.paths import files_read, require_apart
    from dataaudit.findings.tables import PROVENANCE

    kept = [folder / PROVENANCE, *(folder / f"{name}.parquet" for name in findings.SCHEMAS)]
    require_apart(targets, [*kept, *files_read(findings.record)], hint="name another file with --out")


def _require_room(folder: Path, kind: str, sources: Iterable[str]) -> None:
    """Refuse a folder of other findings, or one in which a table would be written over a source."""
    if not folder.is_dir():
        return
    from dataaudit.findings.schemas import KINDS
    from dataaudit.findings.tables import require_room

    require_room(folder, kind, tables=KINDS[kind].SCHEMAS, sources=sources)
