"""Facts that an audit holds already: taken from its folder where one is given, else from a fit made now.

Nothing here loads torch; the modules that fit are imported where they are needed.
"""

from __future__ import annotations

from importlib import import_module

import polars as pl

from dataaudit.findings import Findings
from dataaudit.gate.facts.audited import TABLES
from dataaudit.gate.material import Material

_WRONG = next(table.schema for table in TABLES if table.name == "wrong")


def labels(material: Material) -> pl.DataFrame:
    """Return the table ``labels``, by rank."""
    found = _findings(material)
    return _made("labels_fit:labels", material) if found is None else found.labels


def wrong(material: Material) -> pl.DataFrame:
    """Return the table ``wrong``, one row."""
    found = _findings(material)
    if found is None:
        return _made("labels_fit:wrong", material)
    said = found.provenance
    supported = bool(found.health.filter(check="noise model")["ok"].all())
    interval = said.expected_low, said.expected_high
    return wrong_table(said.n_rows, said.expected_wrong, interval, supported=supported)


def health(material: Material) -> pl.DataFrame:
    """Return the table ``health``, one row a check."""
    found = _findings(material)
    table = _made("health_fit:health", material) if found is None else found.health
    return table.rename({"check": "aspect", "limit": "bound", "message": "found"})


def wrong_table(n: int, expected: float, interval: tuple[float, float], *, supported: bool) -> pl.DataFrame:
    """Return the table ``wrong`` of n rows, from the expected number of wrong labels and its interval."""
    numbers = (expected, *interval)
    row = (n, *numbers, *(number / n for number in numbers), supported)
    return pl.DataFrame([row], schema=_WRONG, orient="row")


def _findings(material: Material) -> Findings | None:
    """Return the findings that were given, read once; None where there are data to fit."""
    folder = material.folder
    return None if folder is None else material.once("findings", lambda: Findings.read(folder))


def _made(maker: str, material: Material) -> pl.DataFrame:
    module, _, function = maker.partition(":")
    made: pl.DataFrame = getattr(import_module(f"{__package__}.{module}"), function)(material)
    return made
