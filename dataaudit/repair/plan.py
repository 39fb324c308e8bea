"""Plan: the decisions checked against the findings and the data, row by row, before anything is written.

A file that is as it was in the audit is repaired by the numbers of its rows. In one that has changed, rows
are matched by id and content; decisions on rows that are not surely there are left out, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Final

import polars as pl

from dataaudit.data.blob import Blob, is_repaired
from dataaudit.data.dataset import Dataset
from dataaudit.data.formats.encodings import origin_encoding
from dataaudit.data.hive import levels_of
from dataaudit.data.sql.connection import SQL_FORMATS
from dataaudit.errors import DataError, SettingError, closest
from dataaudit.escape import shown
from dataaudit.findings.schemas import CONTENT, Findings, Provenance
from dataaudit.repair.decisions import Decision, Decisions

_UNPACK: Final = "unpack it, audit the file inside, and repair that"
_EXAMPLES: Final = 50  # rows of a class that are looked at to see how the file spells it
_SEARCHED: Final = 20_000  # names among which a close match is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """What happens to one row."""

    row_id: str  # its name
    row: int  # its record number in the file, from 0
    line: int | None  # the line on which it starts, in text formats
    action: str  # "relabel", "drop" or "weight"
    before: str  # its class as audited
    label: str | None = None  # the class to come
    weight: float | None = None  # the weight to come


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All changes to one file."""

    format: str  # one of `REPAIRED`
    rows: int  # records of the file
    label_column: str
    weight_column: str
    changes: tuple[RowChange, ...]  # in the order of the file
    kept: int  # decisions to keep
    same: int  # relabels to the class that is there already
    unsure: int  # rows of which nobody can tell, left as they are
    elsewhere: int  # decisions on rows of other files
    examples: Mapping[str, tuple[int, ...]]  # class → a few of its rows, which show how the file spells it
    run_id: str  # of the findings
    missed: Mapping[str, str] = field(default_factory=dict)  # row_id → why its decision is left out
    new: int | None = None  # rows that the audit did not see; None for the file as it was
    encoding: str = ""  # of a text file, as Python calls it; empty for UTF-8
    no_header: bool = False  # whether its columns are named by their place

    def only(self, action: str) -> tuple[RowChange, ...]:
        """Return the changes of one kind."""
        return tuple(change for change in self.changes if change.action == action)

    def afterwards(self) -> Plan:
        """Return a plan without changes, by which the repaired file can be checked: its rows and classes."""
        dropped, left = 0, list[RowChange]()
        for change in self.changes:
            dropped += change.action == "drop"
            if change.action == "relabel":
                row = change.row - dropped
                left.append(replace(change, row=row, line=None, action="keep", before=str(change.label)))
        return replace(self, rows=self.rows - dropped, changes=tuple(left), examples={})

    @property
    def counts(self) -> dict[str, int]:
        """Number of decisions by action; relabels that change nothing count as kept."""
        changed = Counter(change.action for change in self.changes)
        done = {action: changed[action] for action in ("relabel", "drop", "weight")}
        return {"keep": self.kept + self.same, **done, "unsure": self.unsure}

    @property
    def moves(self) -> dict[tuple[str, str], int]:
        """Number of relabels by class before and after, the most frequent first."""
        pairs = Counter((change.before, change.label or "") for change in self.only("relabel"))
        return dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0])))


def make_plan(
    findings: Findings,
    decisions: Decisions,
    *,
    blob: Blob,
    new_class: bool = False,
    weight_column: str | None = None,
    read: Callable[[], Dataset] | None = None,
) -> Plan:
    """Check the decisions against findings and data; `read` reads a changed file as the audit does."""
    require_files(findings)
    known = findings.provenance
    if decisions.run_id and decisions.run_id != known.run_id:
        what = f"the decisions are of run {shown(decisions.run_id)}, the findings of run {known.run_id}"
        raise DataError(what, "name the folder of findings that was reviewed")
    settings: Mapping[str, Any] = known.settings
    label_column = known.target if "label" not in settings else str(settings["label"])
    found = _found(findings, blob, read)
    origin, now = found.origin, {place["row_id"]: place for place in found.rows.iter_rows(named=True)}
    changes, left, missed = list[RowChange](), Counter[str](), dict[str, str]()
    _require_label_inside(found.audited, label_column)
    for decision, place in _places(findings.labels, decisions):
        name, label = decision.row_id, found.relabelled.get(decision.row_id)
        if place["source"] != found.audited:
            left["elsewhere"] += 1
        elif decision.action in ("keep", "unsure"):
            left[decision.action] += 1
        elif decision.action == "relabel" and decision.label == (label or place["label"]):
            left["same"] += 1
        elif name in now:
            changes.append(_change(decision, now[name], known=known, new_class=new_class))
        else:
            missed[name] = found.missed.get(name) or f"its label is {shown(repr(label))} now"
    if missed and not changes and not left["same"]:
        first, reason = next(iter(missed.items()))
        what = f"{blob.name} is not the data that were audited: of row {shown(first)!r}, {reason}"
        raise DataError(what, "give the file as it was, or run audit labels on this one")
    if sum(change.action == "drop" for change in changes) >= int(origin["rows"]):
        raise DataError(f"all {origin['rows']} rows would be dropped", "keep some")
    return Plan(
        format=str(origin["format"]).partition("+")[0],
        rows=int(origin["rows"]),
        label_column=label_column,
        weight_column=weight_column or str(settings.get("weight") or "weight"),
        changes=tuple(sorted(changes, key=lambda change: change.row)),
        kept=left["keep"],
        same=left["same"],
        unsure=left["unsure"],
        elsewhere=left["elsewhere"],
        examples=_examples(found.classes, {change.label for change in changes if change.label}),
        run_id=known.run_id,
        missed=missed,
        new=found.new,
        encoding=origin_encoding(str(origin["format"])),
        no_header=bool(settings.get("no_header")),
    )


def require_files(findings: Findings) -> None:
    """Refuse findings of a query."""
    for origin in findings.provenance.origins:
        if origin["format"] in SQL_FORMATS:
            what = f"these findings are of a query on {origin['path']}, and a database is not changed"
            raise SettingError(what, "export the rows to a CSV or Parquet file, audit that and repair it")


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of the file to repair that the findings speak of."""

    audited: str  # its path in the audit
    origin: Mapping[str, Any]  # what it is now
    rows: pl.DataFrame  # row_id, row, line and label of those that are surely in it
    classes: pl.DataFrame  # row and label of all its labelled rows
    missed: Mapping[str, str] = field(default_factory=dict)
    relabelled: Mapping[str, str] = field(default_factory=dict)
    new: int | None = None


def _found(findings: Findings, blob: Blob, read: Callable[[], Dataset] | None) -> _Found:
    """Return where the audited rows are in the file."""
    origins = findings.provenance.origins
    same = [origin for origin in origins if origin["sha256"] == blob.sha256]
    if not same:
        return _matched(findings, blob, read)
    exact = [origin for origin in same if origin["path"] == blob.name]
    if len(same) > 1 and not exact:
        both = f"{same[0]['path']} and {same[1]['path']}"
        raise DataError(f"{blob.name} has the content of two audited files, {both}", "name one of them")
    origin = _repairable((exact or same)[0], blob)
    here = findings.labels.filter(pl.col("source") == origin["path"]).sort("row")
    return _Found(origin["path"], origin, here, here)


def _matched(findings: Findings, blob: Blob, read: Callable[[], Dataset] | None) -> _Found:
    """Match the rows of a file that has changed since the audit."""
    from dataaudit.repair.match import match_rows  # noqa: PLC0415 - files are seldom changed

    origins = findings.provenance.origins
    named = [o for o in origins if PurePath(str(o["path"])).name == PurePath(blob.name).name]
    exact = [origin for origin in named if origin["path"] == blob.name] or named or list(origins)
    was = f": its content hash differs from that of {named[0]['path']} then" if named else ""
    what, again = f"{blob.name} is not the data that were audited{was}", "run audit labels on this one"
    if len(exact) != 1 or read is None or CONTENT not in findings.labels.columns:
        raise DataError(what, f"give the file as it was, or {again}")
    path = str(exact[0]["path"])
    found = match_rows(findings, read(), audited=path)
    if found.origin["sha256"] != blob.sha256:
        raise DataError(f"{blob.name} was changed while it was read", "try again")
    origin = _repairable(found.origin, blob)
    return _Found(path, origin, found.rows, found.classes, found.missed, found.relabelled, found.new)


def _repairable(origin: Mapping[str, Any], blob: Blob) -> Mapping[str, Any]:
    if not is_repaired(str(origin["format"])):
        what = f"{blob.name} is of a format that is not repaired: {origin['format']}"
        is_zip = str(origin["format"]).endswith("+zip")
        raise SettingError(what, _UNPACK if is_zip else "write it as CSV or Parquet, audit and repair that")
    return origin


def _require_label_inside(path: str, label: str) -> None:
    """Refuse a file whose label is the name of its folder: a row would have to go to another file."""
    if label not in levels_of(path):
        return
    what = f"the labels of {shown(path)} are in its path ({label}=…), so they cannot be changed in the file"
    raise SettingError(what, "write the rows into one file with the label as a column, audit and repair that")


def _places(labels: pl.DataFrame, decisions: Decisions) -> list[tuple[Decision, dict[str, Any]]]:
    """Return every decision with the row it speaks of."""
    names = [decision.row_id for decision in decisions.rows]
    wanted = labels.filter(pl.col("row_id").is_in(names))
    places = {
        place["row_id"]: place for place in wanted.select("row_id", "source", "label").iter_rows(named=True)
    }
    for name in names:
        if name not in places:
            near = closest(name, labels["row_id"]) if len(labels) <= _SEARCHED else None
            hint = f"did you mean {near!r}?" if near else "name rows as labels.parquet does"
            raise DataError(f"row {shown(name)!r} is not in the findings", hint)
    return [(decision, places[decision.row_id]) for decision in decisions.rows]


def _change(decision: Decision, place: Mapping[str, Any], *, known: Provenance, new_class: bool) -> RowChange:
    (action, label, weight), classes = decision.outcome, known.classes
    if label is not None and known.is_number and not known.takes(label):
        kind = "whole number from 0" if known.task == "count" else "number"
        what = f"row {shown(decision.row_id)!r} would get a label that is no {kind}: got {shown(label)!r}"
        raise DataError(what, "write it with digits and a point, as in 12.5")
    if label is not None and not (known.is_number or known.takes(label) or new_class):
        near = closest(label, classes)
        hint = f"did you mean {near!r}? Else add --new-class" if near else "add --new-class if it is meant"
        what = f"row {shown(decision.row_id)!r} would get a class that no row has: got {shown(label)!r}"
        raise DataError(what, hint)
    return RowChange(
        row_id=decision.row_id,
        row=place["row"],
        line=place["line"],
        action=action,
        before=place["label"],
        label=label,
        weight=weight,
    )


def _examples(here: pl.DataFrame, classes: set[str]) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(here.filter(pl.col("label") == name)["row"].head(_EXAMPLES).to_list())
        for name in sorted(classes)
    }
