"""Tables and provenances behind a veil: every text column and every text is listed, or it is withheld."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import polars as pl

from dataaudit.findings.schemas import AnyFindings, Findings, MismatchFindings
from dataaudit.summary.rewording import BY_ALL, BY_CELLS, advice, flip, shift_level, title, versus
from dataaudit.summary.veil import WITHHELD, WORD, Part, Policy, Veil

SETTING: Final = "redact"  # of the provenance, so that a page that is written anew keeps to it
_OURS: Final = frozenset(
    ("check", "change", "severity", "kind", "measure", "remedy", "part", "basis", "model")
)
_ROWS: Final[Mapping[str, Part]] = {
    "row_id": "train",
    "train_row_id": "train",
    "neighbour_row_id": "train",
    "train_row_ids": "train",
    "test_row_id": "test",
    "test_row_ids": "test",
}
_LABELS: Final = frozenset(
    (
        *("label", "predicted_label", "suggested_label", "explained_label", "neighbour_label"),
        *("truth", "rate_class", "class"),
    )
)
_KEPT: Final = frozenset((("traces", "effect"),))  # only numbers and words of ours
_NAMING: Final = frozenset((*BY_ALL, ("findings", "features")))  # no cells, but labels or columns
_AGAIN: Final = frozenset(("slice", "title", "advice"))  # of the findings of a mismatch: see `_findings`
_FACTS: Final = frozenset(
    ("version", "ranking", "ranking_reason", "model", "basis", "solver", "solver_reason")
)
_DATA: Final = {"dataset": "the data", "train": "the training rows", "test": "the test rows"}
_CHOICES: Final = frozenset(
    ("basis", "rank", "text_features", "model", "versus", "fitted", SETTING)
)  # settings whose words are ours
_CELLS: Final = frozenset(("where", "flip"))  # settings that speak of cells
_OUR_NAME: Final = re.compile(r"[a-z0-9_]{1,40}")


def veil_for(findings: AnyFindings, policy: Policy) -> Veil:
    """Return the veil of a policy, with all names of the findings that have a natural number.

    Parameters
    ----------
    findings : AnyFindings
    policy : {"cells", "all"}

    Returns
    -------
    Veil
    """
    p = findings.provenance
    files = [str(origin["path"]) for name in ("origins", "test_origins") for origin in getattr(p, name, ())]
    files = list(dict.fromkeys(files))
    return Veil(
        policy,
        classes=p.classes,
        columns=[str(role["column"]) for role in p.roles if role["column"] != p.target],
        files=files,
        places=_places(findings, files) if policy == "all" else {},
        target=p.target,
    )


def _places(findings: AnyFindings, files: list[str]) -> dict[Part, dict[str, str]]:
    """Return the numbers of rows in their files, as far as the tables have them."""
    if isinstance(findings, Findings):
        of = {name: f"file {at} " for at, name in enumerate(files, start=1)} if len(files) > 1 else {}
        rows = findings.labels.select("row_id", "row", "source").iter_rows()
        return {"train": {row_id: f"{of.get(source, '')}#{row}" for row_id, row, source in rows}}
    parts: tuple[Part, ...] = ("train", "test")
    places: dict[Part, dict[str, str]] = {part: {} for part in parts}
    for part in parts:
        columns = f"{part}_row_id", f"{part}_row"
        for frame in findings.tables().values():
            if set(columns) <= set(frame.columns):
                places[part] |= {key: f"#{number}" for key, number in frame.select(columns).iter_rows()}
    return places


def veiled_tables(veil: Veil, findings: AnyFindings) -> dict[str, pl.DataFrame]:
    """Return all tables behind a veil; of the cells only labels are left.

    Parameters
    ----------
    veil : Veil
    findings : AnyFindings

    Returns
    -------
    dict of pl.DataFrame
    """
    names = _slice_names(veil, findings.slices) if isinstance(findings, MismatchFindings) else {}
    schemas = type(findings).SCHEMAS
    tables = {
        name: _table(veil, name, frame.select(schemas[name].names()))
        for name, frame in findings.tables().items()
    }
    labels = findings.cells.filter(column=findings.provenance.target)
    tables["cells"] = labels.head(0)
    if isinstance(findings, MismatchFindings):
        tables["cells"] = labels.with_columns(
            pl.Series("row_id", [veil.row(key, part) for key, _, _, part in labels.iter_rows()], pl.String),
            pl.Series("column", [veil.column(name) for name in labels["column"]], pl.String),
            _mapped(labels["cell"], veil.label),
        )
        tables["findings"] = _findings(findings, tables["findings"], names)
    return tables


def _table(veil: Veil, name: str, frame: pl.DataFrame) -> pl.DataFrame:
    texts = [c for c, kind in frame.schema.items() if kind in (pl.String, pl.List(pl.String))]
    return frame.with_columns(_column(veil, name, frame, column) for column in texts)


def _column(veil: Veil, table: str, frame: pl.DataFrame, column: str) -> pl.Series:
    """Return a text column behind the veil; one that is not known is withheld."""
    values, key = frame[column], (table, column)
    again = BY_CELLS.get(key) or (BY_ALL.get(key) if veil.all else None)
    if again:
        return pl.Series(column, [again(veil, row) for row in frame.iter_rows(named=True)], pl.String)
    if column in _OURS or key in _KEPT or (key in _NAMING and not veil.all):
        return values
    if column in _ROWS:
        part = _ROWS[column]
        return _mapped(values, lambda name: veil.row(name, part))
    if column in _LABELS:
        return _mapped(values, veil.label)
    if column in ("column", "second_column"):
        return _mapped(values, veil.column)
    if column in ("level", "second_level"):
        return pl.Series(column, _levels(veil, table, frame, column), pl.String)
    return _mapped(values, veil.file if column == "source" else lambda _: WITHHELD)


def _mapped(values: pl.Series, told: Callable[[str], str]) -> pl.Series:
    if values.dtype == pl.String:
        return pl.Series(values.name, [None if v is None else told(v) for v in values], pl.String)
    lists = [None if some is None else [told(v) for v in some] for some in values.to_list()]
    return pl.Series(values.name, lists, values.dtype)


def _levels(veil: Veil, table: str, frame: pl.DataFrame, column: str) -> Iterable[str | None]:
    """Return levels with a number where they are told apart; a word of a row has none to be known by."""
    if table == "shift":
        return [shift_level(veil, row) for row in frame.iter_rows(named=True)]
    if table == "slices":
        whose = column.replace("level", "column")
        return [veil.level(of, v) if v is not None else None for of, v in frame[whose, column].iter_rows()]
    return [None if v is None else WORD for v in frame[column]]


def _slice_names(veil: Veil, slices: pl.DataFrame) -> dict[str, str]:
    """Return what every slice may be called, the first ones with the first numbers."""
    columns = ("column", "level", "second_column", "second_level")
    names = {}
    for first, level, second, other in slices.sort("rank").select(columns).iter_rows():
        pair = [(first, level)] if second is None else [(first, level), (second, other)]
        plain = " and ".join(f"{column} = {value}" for column, value in pair)
        names[plain] = " and ".join(f"{veil.column(c)} = {veil.level(c, value)}" for c, value in pair)
    return names


def _findings(findings: MismatchFindings, frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Say again what is found: the name of the slice, a title and what to do."""
    cures: dict[int, list[str]] = {}
    for number, remedy in findings.remedies.filter("cures").select("finding", "remedy").iter_rows():
        cures.setdefault(number, []).append(remedy)
    slices = [names.get(name, "") for name in findings.findings["slice"]]
    rows = list(findings.findings.iter_rows(named=True))
    return frame.with_columns(
        pl.Series("slice", slices, pl.String),
        pl.Series("title", [title(row, name) for row, name in zip(rows, slices, strict=True)], pl.String),
        pl.Series("advice", [advice(cures.get(row["finding"], [])) for row in rows], pl.String),
    )


def veiled_provenance(veil: Veil, findings: AnyFindings) -> Any:
    """Return the provenance behind a veil, of the same class.

    Parameters
    ----------
    veil : Veil
    findings : AnyFindings

    Returns
    -------
    Provenance
        Of the kind of the findings.
    """
    p = findings.provenance
    facts = {field.name: getattr(p, field.name) for field in dataclasses.fields(p)}
    return dataclasses.replace(p, **{name: _fact(veil, name, value) for name, value in facts.items()})


def _fact(veil: Veil, name: str, value: Any) -> Any:
    """Return what may be told of a field."""
    if name in _SPECIAL:
        return _SPECIAL[name](veil, value)
    if name in _DATA:
        return _DATA[name] if veil.all else value
    if isinstance(value, str) and name not in _FACTS:
        return veil.label(value) if name.endswith("label") else WITHHELD
    return value


def _settings(veil: Veil, values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: _setting(veil, name, value) for name, value in values.items() if _OUR_NAME.fullmatch(name)}
    return kept | {SETTING: veil.policy}


def _setting(veil: Veil, name: str, value: Any) -> Any:
    """Return what may be told of a setting: numbers always, words only where they are ours or allowed."""
    if name in _CELLS and value is not None:
        return WITHHELD
    if not veil.all or name in _CHOICES:
        return value
    if isinstance(value, Mapping):
        return {key: _setting(veil, key, one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_setting(veil, "", one) for one in value]
    return WITHHELD if isinstance(value, str) else value


def _origins(veil: Veil, origins: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "path": veil.file(str(origin["path"])),
            "format": origin["format"],
            "sha256": WITHHELD if veil.all else origin["sha256"],  # a file that is known could be recognised
            "rows": origin["rows"],
        }
        for origin in origins
    )


def _roles(veil: Veil, roles: Iterable[Mapping[str, str]]) -> tuple[dict[str, str], ...]:
    return tuple(
        {"column": veil.column(role["column"]), "role": role["role"], "reason": WITHHELD} for role in roles
    )


def _notes(_veil: Veil, notes: tuple[str, ...]) -> tuple[str, ...]:
    """Say only that there are some: a note may quote a cell."""
    n = len(notes)
    return (f"{n} {'note of the audit is' if n == 1 else 'notes of the audit are'} withheld.",) if n else ()


_SPECIAL: Final[Mapping[str, Callable[[Veil, Any], Any]]] = {
    "command": lambda veil, typed: veil.command(typed),
    "target": lambda veil, name: veil.column(name),
    "classes": lambda veil, names: tuple(veil.label(name) for name in names),
    "test_row_id": lambda veil, name: veil.row(name, "test"),
    "settings": _settings,
    "origins": _origins,
    "test_origins": _origins,
    "roles": _roles,
    "notes": _notes,
    "flip": lambda _veil, found: flip(found),
    "versus": lambda _veil, found: versus(found),
}
