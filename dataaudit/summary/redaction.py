"""Which of the user's data leave the machine in reports, exports and logs: ``--redact``.

========  ==========================================================================================
none      everything
cells     no value of a cell: no text, level or word, and no sentence made of them. Names of columns,
          classes, rows and files stay
all       none of these either: they become ``class 1``, ``column 2``, ``file 1``, ``#17`` (a row's number,
          from 0, in its file). Numbers stay
========  ==========================================================================================

It is done to the tables (`veiled`), before anything is summarised: whatever is made of them cannot tell what
they lack. The tables in the user's own folder stay whole.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final, get_args, overload

from dataaudit.errors import SettingError, closest
from dataaudit.findings.schemas import (
    AnyFindings,
    Findings,
    MismatchFindings,
)
from dataaudit.summary.build import TOP
from dataaudit.summary.kinds import AnySummary, summarise_any
from dataaudit.summary.mismatch_shapes import MismatchSummary
from dataaudit.summary.shapes import Summary
from dataaudit.summary.veil import WITHHELD, Policy
from dataaudit.summary.veiled import SETTING, veil_for, veiled_provenance, veiled_tables

POLICIES: Final[tuple[str, ...]] = get_args(Policy)
FOLDER: Final = "FOLDER"  # in the place of the user's own
_SAID: Final[dict[Policy, str]] = {
    "cells": "Cell values, and sentences made of them, are withheld here.",
    "all": "Cell values and the names of rows, classes, columns and files are withheld here.",
}


def policy_of(findings: AnyFindings) -> Policy:
    """Return what the audit was told to withhold; all of it, where that is not understood."""
    said = findings.provenance.settings.get(SETTING, "none")
    return said if said in POLICIES else "all"


def remember(findings: AnyFindings, policy: str) -> AnyFindings:
    """Return the findings with a policy in their settings, for whoever writes their page.

    Raises
    ------
    SettingError
        If there is no such policy.
    """
    if _checked(policy) == policy_of(findings):
        return findings
    settings = {**findings.provenance.settings, SETTING: policy}
    provenance: Any = dataclasses.replace(findings.provenance, settings=settings)
    return dataclasses.replace(findings, provenance=provenance)


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
    findings: AnyFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[AnyFindings, AnySummary]: ...


def told(
    findings: AnyFindings, policy: str | None = None, *, top: int = TOP, folder: str = ""
) -> tuple[AnyFindings, AnySummary]:
    """Return what a writer may be given: the tables and their summary, redacted.

    Parameters
    ----------
    findings : AnyFindings
    policy : {"none", "cells", "all"}, optional
        By default what the audit was told.
    top : int
        Of labels: how many rows to show with their evidence.
    folder : str
        Where the findings are written, for the commands to type next; empty if nowhere.

    Returns
    -------
    tuple of findings and summary
        The summary has the run's own id, also where what it stands for is withheld.

    Raises
    ------
    SettingError
        If there is no such policy.
    """
    chosen = policy_of(findings) if policy is None else _checked(policy)
    shown = redacted(findings, chosen)
    summary = summarise_any(shown, top=top, folder=FOLDER if chosen == "all" and folder else folder)
    provenance = {**summary.provenance, "run_id": findings.provenance.run_id}
    if chosen == "none":
        return shown, summary
    typed = tuple(one for one in summary.next_commands if WITHHELD not in one.command)
    said = dataclasses.replace(summary.verdict, sentences=(*summary.verdict.sentences, _SAID[chosen]))
    return shown, dataclasses.replace(summary, provenance=provenance, next_commands=typed, verdict=said)


def redacted(findings: AnyFindings, policy: str) -> AnyFindings:
    """Return the findings without what a policy withholds; with "none", the same.

    Parameters
    ----------
    findings : AnyFindings
    policy : {"none", "cells", "all"}

    Returns
    -------
    AnyFindings
        Of the same kind, with the same rows in the same order; cells are gone.

    Raises
    ------
    SettingError
        If there is no such policy.
    """
    chosen = _checked(policy)
    if chosen == "none":
        return findings
    veil = veil_for(findings, chosen)
    changed: Any = veiled_tables(veil, findings) | {"provenance": veiled_provenance(veil, findings)}
    return dataclasses.replace(findings, **changed)


def _checked(policy: str) -> Policy:
    for known in get_args(Policy):
        if policy == known:
            return policy  # type: ignore[return-value]  # it is one of them
    near = closest(policy, POLICIES)
    hint = f"did you mean {near!r}?" if near else f"use one of {', '.join(POLICIES)}"
    raise SettingError(f"--redact is unknown: got {policy!r}", hint)
