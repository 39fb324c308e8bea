"""Where the results of a command go; asked before the work begins, so that nobody waits for an error."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dataaudit.errors import WriteError

if TYPE_CHECKING:
    from dataaudit.explanation_findings import ExplanationFindings
    from dataaudit.findings import Findings
    from dataaudit.mismatch_findings import MismatchFindings
    from dataaudit.summary import ExplanationSummary, MismatchSummary, Summary
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
    """

    folder: Path
    writer: Writer[Any, Any] | None = None

    def emit(self, findings: Findings, *, top: int) -> Summary:
        """Write to stdout what was asked for; return the summary of the first `top` rows that it shows."""
        from dataaudit.summary import summarise

        summary = summarise(findings, top, folder=self.folder.as_posix())
        self._write(findings, summary)
        return summary

    def emit_mismatch(self, tables: MismatchFindings) -> MismatchSummary:
        """Write to stdout what was asked for; return the summary that it shows."""
        from dataaudit.summary import summarise_mismatch

        summary = summarise_mismatch(tables, folder=self.folder.as_posix())
        self._write(tables, summary)
        return summary

    def emit_explanation(self, tables: ExplanationFindings) -> ExplanationSummary:
        """Write to stdout what was asked for; return the summary that it shows."""
        from dataaudit.summary import summarise_explanation

        summary = summarise_explanation(tables, folder=self.folder.as_posix())
        self._write(tables, summary)
        return summary

    def _write(self, findings: object, summary: object) -> None:
        if self.writer:
            self.writer.write(findings, summary, sys.stdout)
            sys.stdout.flush()


def prepare(
    folder: Path,
    format: str | None = None,  # noqa: A002 - the option's name
    *,
    kind: Literal["labels", "mismatch", "explanation"] = "labels",
) -> Results:
    """Check that results could be written.

    Parameters
    ----------
    folder : Path
        It need not be there; nothing is made yet.
    format : str, optional
        Name of a format, as `dataaudit.writers.names` has them.
    kind : {"labels", "mismatch", "explanation"}
        Of the findings to come.

    Returns
    -------
    Results

    Raises
    ------
    WriteError
        If the folder, or the nearest one above that is there, is no folder or cannot be written to.
    SettingError
        If there is no such format.
    """
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    if not there.is_dir():
        what = f"folder {folder.as_posix()} cannot be made: {there.as_posix()} is a file"
        raise WriteError(what, "name another one with --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise WriteError(f"folder {there.as_posix()} cannot be written to", "name another one with --out")
    if format is None:
        return Results(folder)
    from dataaudit.writers import get

    return Results(folder, get(format, kind))
