"""Findings of any kind: read from a folder without knowing which, and summarised."""

from __future__ import annotations

from typing import overload

from dataaudit.findings.schemas import (
    AnyFindings,
    Findings,
    MismatchFindings,
)
from dataaudit.summary.build import TOP, summarise
from dataaudit.summary.mismatch import summarise_mismatch
from dataaudit.summary.mismatch_shapes import MismatchSummary
from dataaudit.summary.shapes import Summary

AnySummary = Summary | MismatchSummary


@overload
def summarise_any(findings: Findings, *, top: int = TOP, folder: str = "") -> Summary: ...


@overload
def summarise_any(findings: MismatchFindings, *, top: int = TOP, folder: str = "") -> MismatchSummary: ...


@overload
def summarise_any(findings: AnyFindings, *, top: int = TOP, folder: str = "") -> AnySummary: ...


def summarise_any(findings: AnyFindings, *, top: int = TOP, folder: str = "") -> AnySummary:
    """Gather what a report shows.

    Parameters
    ----------
    findings : AnyFindings
    top : int
        Of labels: how many rows to show with their evidence.
    folder : str
        Where the findings are written, for the commands to type next; empty if nowhere.

    Returns
    -------
    AnySummary
    """
    if isinstance(findings, MismatchFindings):
        return summarise_mismatch(findings, folder=folder)
    return summarise(findings, top, folder=folder)  # type: ignore[arg-type]
