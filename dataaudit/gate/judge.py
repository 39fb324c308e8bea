"""One rule on one table of facts: whether it fits the table, what it measures, and whether that is too much.

A finding *blocks* unless it is known from the base or accepted by the baseline; values are of what blocks::

    without base   broken ⇔ measure > limit
    rows           with a base only new and changed rows block, and shares are of these
    columns, …     with a base a finding is known if the base has it and it is no worse than there:
                   value ≤ max(limit, value of the base) + hysteresis·|limit|

so that a number that sits at its limit does not flip the build when a row elsewhere comes or goes.

A finding's identity is a hash of rule, dataset and key. The key of a row is a hash of its id or content: of
the rows only those that are named are read, and those equal to them, which are copies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from dataaudit.errors import SettingError, suggestion
from dataaudit.findings.record import WITHHELD, plain
from dataaudit.findings.verdict import Finding, Outcome, Rule, Site, Status, singular
from dataaudit.gate.baseline import Entry, accepts
from dataaudit.gate.data import Material
from dataaudit.gate.facts import FactTable
from dataaudit.gate.facts.columns import profile
from dataaudit.gate.identity import fingerprint, row_keys
from dataaudit.gate.rules import fields_of, fill
from dataaudit.gate.settings import HYSTERESIS, SHOWN, DatasetSettings

_BLOCKING: Final = ("", "new", "changed")
_INTERNAL: Final = ("state", "accepted", "accepted_at", "position", "print")
_BETWEEN: Final = "\x1f"


def check_rule(rule: Rule, tables: Mapping[str, FactTable]) -> FactTable:
    """Return the table of a rule, after checking that the rule fits it."""
    where = f"rule {rule.code}"
    table = tables.get(rule.table)
    if table is None:
        hint = suggestion(rule.table, tables, f"the tables are {', '.join(sorted(tables))}")
        raise SettingError(f"{where}: there is no table of facts {rule.table!r}", hint)
    if rule.scope != table.scope:
        what = f"{where} is of scope {rule.scope!r}, table {table.name!r} of {table.scope!r}"
        raise SettingError(what, "give both the same scope")
    for key, condition in (("where", rule.where), ("judges", rule.judges)):
        _check_condition(rule, table, key, condition)
    if rule.column:
        _require_column(rule.column, table, f"{where}: column")
        if not table.schema[rule.column].is_numeric():
            what = f"{where}: {rule.measure} of column {rule.column!r}, which is {table.schema[rule.column]}"
            raise SettingError(what, "measure a column of numbers")
    if rule.score:
        _require_column(rule.score.removeprefix("-"), table, f"{where}: score")
    for name in fields_of(rule.each, where):
        _require_column(name, table, f"{where}: each")
    return table


def _check_condition(rule: Rule, table: FactTable, key: str, condition: str) -> None:
    empty = pl.DataFrame(schema=table.schema)
    try:
        # Collected, since a subquery passes as an expression and fails only then.
        dtype = empty.lazy().select(_predicate(condition).alias("condition")).collect().schema["condition"]
    except pl.exceptions.ColumnNotFoundError as error:
        for name in _predicate(condition).meta.root_names():
            _require_column(name, table, f"rule {rule.code}: {key}")
        raise SettingError(f"rule {rule.code}: {key}: {_first_line(error)}", _columns_of(table)) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        what = f"rule {rule.code}: {key} {condition!r}: {_first_line(error)}"
        raise SettingError(what, _columns_of(table)) from error
    if dtype != pl.Boolean:
        what = f"rule {rule.code}: {key} {condition!r} is {dtype}, neither true nor false"
        raise SettingError(what, "compare with something, e.g. rows > 10")


def _predicate(condition: str) -> pl.Expr:
    """Return a condition as an expression; true for all rows if there is none."""
    return pl.sql_expr(condition) if condition else pl.lit(value=True)


def _require_column(column: str, table: FactTable, where: str) -> None:
    if column not in table.schema:
        hint = suggestion(column, table.schema, _columns_of(table))
        raise SettingError(f"{where}: {column!r} is no column of table {table.name!r}", hint)


def _columns_of(table: FactTable) -> str:
    return f"table {table.name!r} has the columns {', '.join(table.schema)}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCase:
    """What a rule is judged on."""

    material: Material  # where the facts come from
    table: FactTable  # whose facts they are
    facts: pl.DataFrame  # the table
    base: pl.DataFrame | None = None  # the same of the base, if there is one and rows have no state
    hysteresis: float = HYSTERESIS  # share of a limit by which a value must exceed the base's
    top: int = SHOWN  # findings to keep
    accepted: Mapping[str, Entry] = field(default_factory=dict)  # fingerprint → entry of the baseline


def judge(rule: Rule, case: RuleCase) -> Outcome:
    """Return what becomes of a rule."""
    began = time.perf_counter()
    if rule.judges and case.facts.filter(_predicate(rule.judges)).is_empty():
        return unjudged(rule, case.material.settings, why=rule.unjudged)
    hits = _hits(rule, case)
    blocking = hits.filter(pl.col("state").is_in(_BLOCKING) & (pl.col("accepted") == ""))
    are_rows = case.table.scope == "row" and case.material.data is not None
    value = _measure(rule, blocking, case.material.fresh if are_rows else case.facts.height)
    base = case.base
    broken = value is not None and value > rule.limit
    kept = _sorted(rule, case.table, hits).head(case.top)
    values = {
        "value": value,
        "counted": _counted(blocking.height, rule),
        "limit": rule.limit,
        "total": blocking.height,
        "dataset": case.material.settings.name,
    }
    message = fill(rule.message, values) if broken else _passed(rule, value, hits.height - blocking.height)
    return Outcome(
        rule=rule,
        dataset=case.material.settings.name,
        status="broken" if broken else "passed",
        message=message,
        place=_place(case.material, case.table),
        value=value,
        base_value=None if base is None else _measure(rule, base.filter(_predicate(rule.where)), base.height),
        findings=_findings(rule, kept, case.table, material=case.material),
        total=hits.height,
        seconds=time.perf_counter() - began,
    )


def unjudged(rule: Rule, settings: DatasetSettings, *, why: str, status: Status = "skipped") -> Outcome:
    """Return the outcome of a rule that was not judged."""
    place = Site(source=settings.names[0])
    return Outcome(rule=rule, dataset=settings.name, status=status, message=why, place=place)


def is_hit(rule: Rule, facts: pl.DataFrame) -> bool:
    """Tell whether a rule has any finding among facts, known or not."""
    return not _filtered(rule, facts).is_empty()


def _filtered(rule: Rule, facts: pl.DataFrame) -> pl.DataFrame:
    """Return the facts that are findings: where a greatest value is measured, those above the limit."""
    hits = facts.filter(_predicate(rule.where))
    return hits.filter(pl.col(rule.column) > rule.limit) if rule.measure == "max" else hits


def _hits(rule: Rule, case: RuleCase) -> pl.DataFrame:
    """Return the facts that are findings, each with ``state``, ``accepted`` and, of rows, ``position``."""
    hits = _filtered(rule, case.facts)
    if case.table.scope == "row":
        at, states = _positions(hits, case.material), case.material.states
        state = pl.repeat("new" if case.material.base_note else "", hits.height, dtype=pl.String, eager=True)
        if states is not None:
            state = states.gather(at.fill_null(0)).set(at.is_null(), "new")
        hits = hits.with_columns(at.alias("position"), state.alias("state"))
    else:
        hits = hits.with_columns(state=_states_by_base(rule, case, hits))
    if not case.accepted:
        return hits.with_columns(accepted=pl.lit(""), accepted_at=pl.lit(None, pl.Float64))
    prints = _fingerprints(rule.code, hits, case.table, material=case.material)
    entries = [case.accepted.get(name) for name in prints]
    reasons = [
        entry.reason if entry and accepts(entry, value, rule, hysteresis=case.hysteresis) else ""
        for entry, value in zip(entries, _accepted_values(rule, case, hits), strict=True)
    ]
    return hits.with_columns(
        pl.Series("accepted", reasons, dtype=pl.String),
        pl.Series("accepted_at", [entry and entry.value for entry in entries], dtype=pl.Float64),
        pl.Series("print", prints, dtype=pl.String),
    )


def _score(rule: Rule, table: FactTable) -> str:
    """Return the column by which findings are ranked; empty if all are alike."""
    return rule.column or rule.score.removeprefix("-") or table.score


def _accepted_values(rule: Rule, case: RuleCase, hits: pl.DataFrame) -> list[float | None]:
    """Return what the baseline accepts of each finding, as `baseline.value_of` has it."""
    score = _score(rule, case.table)
    hidden = case.material.redact and score in case.table.cells
    if hidden or not (rule.column or rule.score):
        return [None] * hits.height
    return hits[score].cast(pl.Float64).to_list()


def _states_by_base(rule: Rule, case: RuleCase, hits: pl.DataFrame) -> pl.Series:
    """Return the state of findings that are no rows, by those of the base."""
    if case.base is None:
        state = "" if case.material.base is None and not case.material.base_note else "new"
        return pl.repeat(state, hits.height, dtype=pl.String, eager=True)
    there = case.base.filter(_predicate(rule.where))
    keys = [_keys(frame, case.table) for frame in (hits, there)]
    if not rule.column:
        was = set(keys[1])
        known = [key in was for key in keys[0]]
    else:
        values = dict(zip(keys[1], there[rule.column], strict=True))
        slack = case.hysteresis * abs(rule.limit)
        known = [
            value is not None
            and values.get(key) is not None
            and value <= max(rule.limit, values[key]) + slack
            for key, value in zip(keys[0], hits[rule.column], strict=True)
        ]
    return pl.Series("state", ["known" if was else "new" for was in known], dtype=pl.String)


def _measure(rule: Rule, hits: pl.DataFrame, population: int) -> float | None:
    """Return what is measured; None where there is nothing to take the greatest or least of."""
    if rule.measure == "count":
        return float(hits.height)
    if rule.measure == "share":
        return hits.height / population if population else 0.0
    column = hits[rule.column].cast(pl.Float64)
    if rule.measure == "sum":
        return float(column.sum())
    extreme = column.max() if rule.measure == "max" else column.min()
    return None if extreme is None else float(extreme)  # type: ignore[arg-type]


def _sorted(rule: Rule, table: FactTable, hits: pl.DataFrame) -> pl.DataFrame:
    """Return the findings, those that block first, then the strongest; equal ones by their key."""
    blocks = pl.col("state").is_in(_BLOCKING) & (pl.col("accepted") == "")
    score, sign = _score(rule, table), 1 if rule.score.startswith("-") else -1
    order = [blocks.not_(), *([sign * pl.col(score).cast(pl.Float64)] if score else []), *table.key]
    return hits.sort(order, nulls_last=True, maintain_order=True) if hits.height else hits


def _passed(rule: Rule, value: float | None, others: int) -> str:
    """Say of a rule that holds what was measured, and how many findings do not count."""
    measured = f"{_with_unit(value, rule)}, limit {_with_unit(rule.limit, rule)}" if value is not None else ""
    known = f"; {others:,} known or accepted" if others else ""
    return f"Kept: {measured or 'nothing of the kind'}{known}."


def _counted(total: int, rule: Rule) -> str:
    """Return a number of findings with its noun: the unit if it is one, else what the rule's table holds."""
    noun = rule.unit if rule.measure == "count" else f"{rule.scope}s"
    return f"{total:,} {singular(noun) if total == 1 else noun}"


def _with_unit(value: float, rule: Rule) -> str:
    """Return a value with the unit of its rule."""
    if rule.measure == "share" or rule.unit == "share":
        return f"{value:.2%}"
    number = f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"
    return f"{number} {singular(rule.unit) if number == '1' else rule.unit}"


def _findings(rule: Rule, hits: pl.DataFrame, table: FactTable, *, material: Material) -> tuple[Finding, ...]:
    """Return the findings in the order of `hits`."""
    if hits.is_empty():
        return ()
    prints = hits["print"].to_list() if "print" in hits.columns else None
    prints = prints or _fingerprints(rule.code, hits, table, material=material)
    score = _score(rule, table)
    found = []
    rows, sites = hits.iter_rows(named=True), _sites(hits, table, material)
    for values, site, name in zip(rows, sites, prints, strict=True):
        details: dict[str, Any] = {key: value for key, value in values.items() if key not in _INTERNAL}
        hidden = table.cells if material.redact else frozenset()
        if details.get("column") != material.settings.label:  # names of classes are no cells
            details |= dict.fromkeys(hidden, WITHHELD)
        strength = None if score in hidden else values.get(score)
        message = fill(rule.each, details) if rule.each else f"{rule.title}."
        if values["accepted_at"] is not None and not values["accepted"]:
            was = values["accepted_at"]
            known = _with_unit(was, rule) if rule.column else f"{was:,.4g}"
            message += f" It was accepted at {known}, and is worse now."
        found.append(
            Finding(
                message=message,
                site=site,
                fingerprint=name,
                state=values["state"],
                accepted=values["accepted"],
                score=None if strength is None else float(strength),
                details=plain(details),
            )
        )
    return tuple(found)


def _sites(hits: pl.DataFrame, table: FactTable, material: Material) -> Iterator[Site]:
    if "source" in hits.columns:
        for source, row, line, row_id in hits.select("source", "row", "line", "row_id").iter_rows():
            yield Site(source=source, row=row, line=line, row_id=row_id)
        return
    data = material.test if table.place == "test" else material.data
    columns = hits["column"].to_list() if "column" in hits.columns else [""] * hits.height
    if "row" not in hits.columns or data is None:
        source = _place(material, table).source
        yield from (Site(source=source, column=column) for column in columns)
        return
    rows, names = hits["row"].to_list(), [""] * hits.height
    if material.settings.id and material.settings.id in data.schema:
        ids = data.at(rows, [material.settings.id]).to_series().cast(pl.String)
        names = ids.fill_null("").to_list()
    for row, name, column in zip(rows, names, columns, strict=True):
        yield data.site(row, row_id=name, column=column)


def _place(material: Material, table: FactTable) -> Site:
    """Return where an outcome as a whole points to."""
    data = material.test if table.place == "test" and material.test else material.data
    return Site(source=data.pieces[0].path if data else material.settings.names[0])


def _positions(facts: pl.DataFrame, material: Material) -> pl.Series:
    """Return the positions in the data of rows of facts, Int64 (m,); null for a row that is not there."""
    if "source" not in facts.columns:
        return facts["row"].alias("position")
    if material.data is None:
        return pl.repeat(None, facts.height, dtype=pl.Int64, eager=True)
    return material.data.positions(facts["source"], facts["row"])


def _keys(facts: pl.DataFrame, table: FactTable) -> list[tuple[Any, ...]]:
    """Return what tells the rows of a table apart; nothing, for a table of one row."""
    return list(facts.select(table.key).iter_rows()) if table.key else [()] * facts.height


def _fingerprints(code: str, hits: pl.DataFrame, table: FactTable, *, material: Material) -> list[str]:
    """Return the fingerprint of each finding."""
    name = material.settings.name
    if table.scope != "row":
        keys = [_BETWEEN.join(map(str, key)) for key in _keys(hits, table)]
    elif material.data is None:
        keys = hits["row_id"].to_list()
    else:
        keys = _row_keys(hits["position"], material)
    rest = [key for key in table.key if key != "row"] if table.scope == "row" else []
    if rest:  # several findings a row: with another row, or in a column
        more = hits.select(rest).iter_rows()
        keys = [_BETWEEN.join([key, *map(str, values)]) for key, values in zip(keys, more, strict=True)]
    return [fingerprint(code, name, key) for key in keys]


def _row_keys(positions: pl.Series, material: Material) -> list[str]:
    """Return the keys of some rows, as `identity.row_keys` has them for all."""
    data, id_column = material.rows, material.settings.id
    if id_column:
        ids = data.read([id_column]).with_row_index("position")
        named = ids[id_column].gather(positions)
        same = ids.filter(pl.col(id_column).is_in(named.implode(), nulls_equal=True))
        near, frame, columns = same["position"], same.select(id_column), [id_column]
    else:
        hashes = profile(material).hashes
        named = hashes.gather(positions) if len(hashes) else hashes
        near = hashes.is_in(named.implode()).arg_true() if len(hashes) else pl.int_range(data.n, eager=True)
        columns = list(data.schema)
        frame = data.at(near.to_list(), columns)
    keys = row_keys(frame, columns=columns, id_column=id_column, secret=material.secret)
    at = near.cast(pl.Int64).search_sorted(positions.cast(pl.Int64))
    return keys.gather(at).to_list()
