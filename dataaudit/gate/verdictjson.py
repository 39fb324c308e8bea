"""A verdict as JSON and back, without loss: what the cache keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from dataaudit.gate.rule import Rule
from dataaudit.gate.verdict import Finding, Outcome, Site, Verdict


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON's types."""
    return asdict(verdict)


def verdict_from(record: Mapping[str, Any]) -> Verdict:
    """Return the verdict that `verdict_record` made a record of.

    Raises
    ------
    TypeError, KeyError
        If it is none.
    """
    outcomes = tuple(_outcome(outcome) for outcome in record["outcomes"])
    return Verdict(**{**_known(Verdict, record), "outcomes": outcomes, "notes": tuple(record["notes"])})


def _outcome(record: Mapping[str, Any]) -> Outcome:
    return Outcome(
        **{
            **_known(Outcome, record),
            "rule": Rule(**record["rule"]),
            "place": Site(**record["place"]),
            "findings": tuple(
                Finding(**{**finding, "site": Site(**finding["site"])}) for finding in record["findings"]
            ),
        }
    )


def _known(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: record[field.name] for field in fields(kind)}
