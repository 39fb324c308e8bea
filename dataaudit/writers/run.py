"""What every page says of its run: whether it is in order, the columns, where the data came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.summary import Check, Trust

LISTED: Final = 60  # classes, files and settings
_ROLES: Final = 120  # columns
_GOOD: Final = (0.9, 1.1)  # a slope within reads as agreement

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A check of the audit itself, as a sentence."""

    ok: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Columns and provenance, in words."""

    roles: tuple[tuple[str, str, str], ...]
    more_roles: str
    notes: tuple[str, ...]
    facts: Pairs
    command: str
    origins: tuple[tuple[str, ...], ...]
    settings: Pairs
    versions: Pairs
    version: str


def describe_run(provenance: Mapping[str, Any], *, facts: Pairs, origins: Sequence[Any]) -> Run:
    """Put a provenance into words.

    Parameters
    ----------
    provenance : mapping
        As a summary has it.
    facts : tuple of (str, str)
        Names and values that differ from one kind of page to another; `model_facts` follow.
    origins : sequence of mapping
        Files that were read.

    Returns
    -------
    Run
    """
    p = provenance
    roles = [(line(r["column"]), line(r["role"]), line(r["reason"], 300)) for r in p["roles"]]
    return Run(
        roles=tuple(roles[:_ROLES]),
        more_roles=more(len(roles) - _ROLES, "column", "columns"),
        notes=tuple(line(note, 600) for note in p["notes"][:LISTED]),
        facts=(*facts, *_model_facts(p)),
        command=line(p["command"], 2000),
        origins=_origins(origins),
        settings=tuple((line(key), line(_plain(value), 300)) for key, value in sorted(p["settings"].items())),
        versions=tuple((line(key), line(_plain(value))) for key, value in sorted(p["versions"].items())),
        version=line(p["version"]),
    )


def check_lines(checks: Sequence[Check]) -> tuple[CheckLine, ...]:
    """Return the checks as sentences."""
    return tuple(CheckLine(c.ok, line(f"{c.message or c.check}", 400)) for c in checks)


def agreement(trust: Trust, *, none: str) -> str:
    """Say in one sentence whether the predictions hold, or `none` without refits; the charts show it."""
    if trust.slope is None or trust.pearson is None:
        return none
    low, high = _GOOD
    agree = "agree" if low <= trust.slope <= high else "do not agree well"
    found = f"slope {words.fixed(trust.slope, 3)}, Pearson’s correlation {words.fixed(trust.pearson, 4)}"
    return f"Predicted and measured changes of loss {agree} over {len(trust.refits)} true refits: {found}."


def more(n: int, one: str, many: str) -> str:
    """Say how many are not shown; nothing where all are."""
    return f"… and {words.count(n)} more {one if n == 1 else many}." if n > 0 else ""


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _model_facts(p: Mapping[str, Any]) -> Pairs:
    classes = ", ".join(line(name, 60) for name in p["classes"][:LISTED])
    left = len(p["classes"]) - LISTED
    return (
        ("Features", words.count(p["n_features"])),
        (f"Classes of {line(p['target'], 60)}", classes + (f" … and {left} more" if left > 0 else "")),
        ("Encoding", line(p["basis"], 300)),
        ("λ (ridge)", words.short(p["l2"])),
        ("Solver", f"{line(p['solver'])}: {line(p['solver_reason'], 400)}"),
        ("Gradient at the fit", words.short(p["gradient_norm"])),
        ("Seed", str(p["seed"])),
    )


def _origins(origins: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    keys = ("path", "format", "rows", "sha256")
    rows = [tuple(line(_plain(origin.get(key, ""))) for key in keys) for origin in origins[:LISTED]]
    left = len(origins) - LISTED
    return (*rows, (f"… and {left} more",)) if left > 0 else tuple(rows)
