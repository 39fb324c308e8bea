"""What every audit returns to Python: tables that can be written to a folder and looked at in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataaudit.summary.kinds import AnyFindings
    from dataaudit.summary.veil import Policy


class Result(ABC):
    """The tables of an audit with their page."""

    @property
    @abstractmethod
    def _written(self) -> AnyFindings:
        """The tables that are written and shown."""

    def write(self, folder: str | Path, *, redact: Policy = "none") -> Path:
        """Write the tables, the provenance and ``report.html``.

        Parameters
        ----------
        folder : str or Path
            Made if absent.
        redact : {"none", "cells", "all"}
            What the page withholds, now and when it is written anew: nothing; the values of cells; also the
            names of rows, classes, columns and files. The tables beside it are whole.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        WriteError
            If the folder cannot be written to; nothing is left half-written.
        """
        from dataaudit.summary.redaction import remember
        from dataaudit.writers.html import write_report

        tables = remember(self._written, redact)
        path = tables.write(folder)
        write_report(tables, path / "report.html")
        return path

    def _repr_html_(self) -> str:
        """Return the page for a notebook."""
        from dataaudit.writers.html import notebook

        return notebook(self._written)
