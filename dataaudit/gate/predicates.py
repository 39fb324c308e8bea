"""A rule's condition against the schema of its table: checked before any data are read."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from dataaudit.errors import SettingError, closest
from dataaudit.gate.facts.table import FactTable
from dataaudit.gate.rule import Rule
from dataaudit.gate.sentences import fields_of


def check_rule(rule: Rule, tables: Mapping[str, FactTable]) -> FactTable:
    """Return the table of a rule, after checking that the rule fits it.

    Parameters
    ----------
    rule : Rule
        From a pack.
    tables : mapping
        All tables of facts by name.

    Returns
    -------
    FactTable

    Raises
    ------
    SettingError
        If there is no such table, or the condition, the measure's column, the scope or a field of ``each`` is
        none of its.
    """
    where = f"rule {rule.code}"
    table = tables.get(rule.table)
    if table is None:
        close = closest(rule.table, tables)
        hint = f"did you mean {close!r}?" if close else f"the tables are {', '.join(sorted(tables))}"
        raise SettingError(f"{where}: there is no table of facts {rule.table!r}", hint)
    if rule.scope != table.scope:
        what = f"{where} is of scope {rule.scope!r}, table {table.name!r} of {table.scope!r}"
        raise SettingError(what, "give both the same scope")
    _check_condition(rule, table)
    if rule.column:
        _known(rule.column, table, f"{where}: column")
        if not table.schema[rule.column].is_numeric():
            what = f"{where}: {rule.measure} of column {rule.column!r}, which is {table.schema[rule.column]}"
            raise SettingError(what, "measure a column of numbers")
    for field in fields_of(rule.each, where):
        _known(field, table, f"{where}: each")
    return table


def condition(rule: Rule) -> pl.Expr:
    """Return the condition of a rule as an expression; true for all rows if there is none."""
    return pl.sql_expr(rule.where) if rule.where else pl.lit(value=True)


def _check_condition(rule: Rule, table: FactTable) -> None:
    empty = pl.DataFrame(schema=table.schema)
    try:
        # Collected, since a subquery passes as an expression and fails only then.
        dtype = empty.lazy().select(condition(rule).alias("condition")).collect().schema["condition"]
    except pl.exceptions.ColumnNotFoundError as error:
        unknown = [name for name in condition(rule).meta.root_names() if name not in table.schema]
        for name in unknown:
            _known(name, table, f"rule {rule.code}: where")
        raise SettingError(f"rule {rule.code}: where: {_line(error)}", _columns(table)) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise SettingError(
            f"rule {rule.code}: where {rule.where!r}: {_line(error)}", _columns(table)
        ) from error
    if dtype != pl.Boolean:
        what = f"rule {rule.code}: where {rule.where!r} is {dtype}, neither true nor false"
        raise SettingError(what, "compare with something, e.g. rows > 10")


def _known(column: str, table: FactTable, where: str) -> None:
    if column in table.schema:
        return
    close = closest(column, table.schema)
    hint = f"did you mean {close!r}?" if close else _columns(table)
    raise SettingError(f"{where}: {column!r} is no column of table {table.name!r}", hint)


def _columns(table: FactTable) -> str:
    return f"table {table.name!r} has the columns {', '.join(table.schema)}"


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
