"""Findings of any kind to a report, without what an audit was asked to withhold."""

from __future__ import annotations

import dataclasses
from typing import Final

from dataaudit.findings.redact import redact, shown_folder, withheld
from dataaudit.findings.schemas import AnyFindings, ExplanationFindings, Findings, MismatchFindings
from dataaudit.report import explain, labels, mismatch, vulnerability
from dataaudit.report.blocks import Report

TOP: Final = 500  # rows with their evidence; more make the page larger than 1 MB


def shown(
    findings: AnyFindings, level: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[AnyFindings, Report]:
    """Return what a writer may be given: the findings and their report, both redacted.

    `level` is by default what the audit was asked to withhold; `top` says how many ranked rows of labels are
    shown, and `folder` where the findings are written, for the commands to type next.
    """
    kept = redact(findings, level)
    report = _report(kept, top, shown_folder(kept, folder))
    notice = withheld(kept)
    return kept, dataclasses.replace(report, sentences=(*report.sentences, notice)) if notice else report


def _report(findings: AnyFindings, top: int, folder: str) -> Report:
    """Build the report of a kind of findings."""
    if isinstance(findings, Findings):
        return labels.report(findings, top=top, folder=folder)
    if isinstance(findings, MismatchFindings):
        return mismatch.report(findings, folder=folder)
    if isinstance(findings, ExplanationFindings):
        return explain.report(findings, folder=folder)
    return vulnerability.report(findings, folder=folder)
