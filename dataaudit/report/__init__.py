"""Reports: a tree of blocks, built from findings by one function a kind, drawn by any writer."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dataaudit.findings.schemas import AnyFindings
    from dataaudit.findings.verdict import Verdict
    from dataaudit.report.blocks import Report

TOP: Final = 500  # rows with their evidence; more make the page larger than 1 MB


def shown(
    findings: AnyFindings, level: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[AnyFindings, Report]:
    """Return what a writer may be given: the findings and their report, both redacted.

    The findings keep the whole names of rows, the report has them as people read them.
    `level` is by default what the audit was asked to withhold; `top` says how many ranked rows of labels are
    shown, and `folder` where the findings are written, for the commands to type next.
    """
    from dataaudit.findings.redact import redact, shown_folder, withheld  # noqa: PLC0415 - Polars: a verdict needs none
    from dataaudit.report.words import short_rows  # noqa: PLC0415 - the same

    kept = redact(findings, level)
    kind = kept.provenance.KIND
    builder = import_module(f"dataaudit.report.{'explain' if kind == 'explanation' else kind}")
    options: dict[str, Any] = {"whole": kept} if kind in ("labels", "mismatch") else {}
    options |= {"top": top} if kind == "labels" else {}
    report: Report = builder.report(short_rows(kept), folder=shown_folder(kept, folder), **options)
    sentences = (*report.sentences, *filter(None, [withheld(kept)]))
    return kept, replace(report, sentences=sentences, provenance=kept.record.to_dict())


def shown_verdict(verdict: Verdict, *, full: bool = False) -> Report:
    """Return the report of a check; with `full` its text has all findings and the rules' documentation."""
    report: Report = import_module("dataaudit.report.check").report(verdict, full=full)
    return report
