"""Findings of any kind to a report, without what an audit was asked to withhold."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from dataaudit.findings.schemas import (
    AnyFindings,
    ExplanationFindings,
    Findings,
    MismatchFindings,
    VulnerabilityFindings,
)
from dataaudit.report import explain, vulnerability
from dataaudit.report.blocks import Report
from dataaudit.summary.redaction import policy_of, redacted, told

TOP: Final = 500  # rows with their evidence; more make the page larger than 1 MB
FOLDER: Final = "FOLDER"  # in the place of the user's own
_WITHHELD: Final = {
    "cells": "Cell values, and sentences made of them, are withheld here.",
    "all": "Cell values and the names of rows, classes, columns and files are withheld here.",
}


def shown(
    findings: AnyFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[AnyFindings, Report]:
    """Return what a writer may be given: the findings and their report, both redacted.

    Parameters
    ----------
    findings : AnyFindings
    policy : {"none", "cells", "all"}, optional
        By default what the audit was asked to withhold.
    top : int
        Of labels: how many rows to show with their evidence.
    folder : str
        Where the findings are written, for the commands to type next; empty if nowhere.

    Returns
    -------
    tuple of findings and report
        The report has the run's own id, also where what it stands for is withheld.

    Raises
    ------
    SettingError
        If there is no such policy.
    """
    chosen = policy_of(findings) if policy is None else policy
    kept = redacted(findings, chosen)
    place = FOLDER if chosen == "all" and folder else folder
    if isinstance(findings, (Findings, MismatchFindings)):  # not ported yet
        return told(findings, chosen, top=top, folder=folder)  # type: ignore[return-value]
    report = _report(kept, top=top, folder=place, run_id=findings.provenance.run_id)
    if chosen == "none":
        return kept, report
    return kept, dataclasses.replace(report, sentences=(*report.sentences, _WITHHELD[chosen]))


def _report(findings: AnyFindings, **options: Any) -> Report:
    """Build the report of a kind of findings."""
    top, folder, run_id = options["top"], options["folder"], options["run_id"]
    match findings:
        case VulnerabilityFindings():
            return vulnerability.report(findings, folder=folder, run_id=run_id)
        case ExplanationFindings():
            return explain.report(findings, folder=folder, run_id=run_id)
    raise NotImplementedError(top)
