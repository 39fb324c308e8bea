"""The data of findings once more, read as they were then and refused if they have changed; without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from dataaudit.audits.asked import LabelSettings, StepCallback, no_step, read_labelled
from dataaudit.encode import EncoderSettings
from dataaudit.encode.target import Target
from dataaudit.errors import DataError
from dataaudit.findings import Findings
from dataaudit.sources import Dataset
from dataaudit.sources.wanted import shown


@dataclass(frozen=True)
class Opened:
    """The labelled rows, in the order of the data, their classes, and what was asked of them."""

    dataset: Dataset
    target: Target
    settings: LabelSettings


def reopen(findings: Findings, source: str | None = None, *, on_step: StepCallback = no_step) -> Opened:
    """Read the labelled rows that were audited.

    Parameters
    ----------
    findings : Findings
        As read from disk.
    source : str, optional
        Where the data are now; by default where they were.
    on_step : callable
        Called with (stage, done, total).

    Returns
    -------
    Opened

    Raises
    ------
    DataError
        If they came from no file, or have another content now.
    AuditError
        If they cannot be read.
    """
    known = findings.provenance
    where, settings = _where(source, known.settings), settings_of(known.settings)
    dataset, target = read_labelled(where, settings, on_step=on_step)
    _require_same(dataset, known.origins)
    return Opened(dataset, target, settings)


def settings_of(known: Mapping[str, Any]) -> LabelSettings:
    """Return the settings that a provenance holds."""
    names = {f.name for f in fields(LabelSettings)} - {"columns"}
    values = {name: _frozen(value) for name, value in known.items() if name in names}
    columns = {name: _frozen(value) for name, value in known["columns"].items()}
    return LabelSettings(**values, columns=EncoderSettings(**columns))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _where(given: str | None, known: Mapping[str, Any]) -> str | list[str]:
    if given is not None:
        return given
    then = list(known.get("source") or ())
    if not then or "-" in then:
        raise DataError("these findings are of data that came from no file", "name a file that has them now")
    return then


def _require_same(dataset: Dataset, origins: Sequence[Mapping[str, Any]]) -> None:
    """Refuse data with another content, wherever they lie now."""
    then = sorted(str(origin["sha256"]) for origin in origins)
    if sorted(origin.sha256 for origin in dataset.origins) == then:
        return
    changed = next((o.path for o in dataset.origins if o.sha256 not in then), dataset.origins[0].path)
    what = f"{shown(changed)} has changed since it was audited: its content hash differs"
    raise DataError(what, "run the audit again, or say with --data where they are as they were")
