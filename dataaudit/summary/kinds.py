"""Findings of any kind: read from a folder without knowing which, and summarised."""

from __future__ import annotations

from pathlib import Path
from typing import Final, overload

from dataaudit.errors import DataError
from dataaudit.explanation_findings import ExplanationFindings
from dataaudit.findings import Findings
from dataaudit.folder import AGAIN, PROVENANCE, read_provenance
from dataaudit.mismatch_findings import MismatchFindings
from dataaudit.summary.build import TOP, summarise
from dataaudit.summary.explanation import ExplanationSummary, summarise_explanation
from dataaudit.summary.mismatch import summarise_mismatch
from dataaudit.summary.mismatch_shapes import MismatchSummary
from dataaudit.summary.shapes import Summary
from dataaudit.summary.vulnerability import VulnerabilitySummary, summarise_vulnerability
from dataaudit.vulnerability_findings import VulnerabilityFindings

AnyFindings = Findings | MismatchFindings | ExplanationFindings | VulnerabilityFindings
AnySummary = Summary | MismatchSummary | ExplanationSummary | VulnerabilitySummary

KINDS: Final = {
    kind.RECORD.KIND: kind
    for kind in (Findings, MismatchFindings, ExplanationFindings, VulnerabilityFindings)
}


def read_findings(folder: str | Path) -> AnyFindings:
    """Read the findings in a folder, whatever their kind.

    Parameters
    ----------
    folder : str or Path
        What an audit wrote.

    Returns
    -------
    AnyFindings

    Raises
    ------
    DataError
        If it is no such folder, or of a kind that this version does not know.
    UnreadableFile
        If a file in it is cut short or is not what its name says.
    """
    kind = read_provenance(Path(folder)).get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        what = f"{(Path(folder) / PROVENANCE).as_posix()} is of no kind that this version reads: got {kind!r}"
        raise DataError(what, AGAIN)
    found: AnyFindings = KINDS[kind].read(folder)
    return found


@overload
def summarise_any(findings: Findings, *, top: int = TOP, folder: str = "") -> Summary: ...


@overload
def summarise_any(findings: MismatchFindings, *, top: int = TOP, folder: str = "") -> MismatchSummary: ...


@overload
def summarise_any(
    findings: ExplanationFindings, *, top: int = TOP, folder: str = ""
) -> ExplanationSummary: ...


@overload
def summarise_any(
    findings: VulnerabilityFindings, *, top: int = TOP, folder: str = ""
) -> VulnerabilitySummary: ...


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
    if isinstance(findings, ExplanationFindings):
        return summarise_explanation(findings, folder=folder)
    if isinstance(findings, VulnerabilityFindings):
        return summarise_vulnerability(findings, folder=folder)
    return summarise(findings, top, folder=folder)
