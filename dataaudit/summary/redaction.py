"""What a writer is given: the redacted tables and their summary."""

from __future__ import annotations

import dataclasses
from typing import overload

from dataaudit.findings.redact import WITHHELD, redact, shown_folder, withheld
from dataaudit.findings.schemas import (
    AnyFindings,
    ExplanationFindings,
    Findings,
    MismatchFindings,
    VulnerabilityFindings,
)
from dataaudit.summary.build import TOP
from dataaudit.summary.explanation import ExplanationSummary
from dataaudit.summary.kinds import AnySummary, summarise_any
from dataaudit.summary.mismatch_shapes import MismatchSummary
from dataaudit.summary.shapes import Summary
from dataaudit.summary.vulnerability import VulnerabilitySummary


@overload
def told(
    findings: Findings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[Findings, Summary]: ...


@overload
def told(
    findings: MismatchFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[MismatchFindings, MismatchSummary]: ...


@overload
def told(
    findings: ExplanationFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[ExplanationFindings, ExplanationSummary]: ...


@overload
def told(
    findings: VulnerabilityFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[VulnerabilityFindings, VulnerabilitySummary]: ...


@overload
def told(
    findings: AnyFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[AnyFindings, AnySummary]: ...


def told(
    findings: AnyFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[AnyFindings, AnySummary]:
    """Return the redacted tables and their summary, by default as the audit was asked to."""
    shown: AnyFindings = redact(findings, policy)
    summary = summarise_any(shown, top=top, folder=shown_folder(shown, folder))
    notice = withheld(shown)
    if not notice:
        return shown, summary
    typed = tuple(one for one in summary.next_commands if WITHHELD not in one.command)
    verdict = dataclasses.replace(summary.verdict, sentences=(*summary.verdict.sentences, notice))
    return shown, dataclasses.replace(summary, next_commands=typed, verdict=verdict)
