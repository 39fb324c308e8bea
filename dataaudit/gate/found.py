"""From rows of facts to findings: their place, their identity, their sentence.

A finding's identity is a hash of rule, dataset and key; of a row the key is a hash of its id or content, so
it takes reading the row. Only the rows that are named are read, and those equal to them, which are copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from dataaudit.gate.facts.profile import profile
from dataaudit.gate.facts.table import FactTable
from dataaudit.gate.identity import fingerprint, row_keys
from dataaudit.gate.material import Material
from dataaudit.gate.rule import Rule
from dataaudit.gate.sentences import fill
from dataaudit.gate.verdict import Finding, Site
from dataaudit.tablefolder import plain

_BETWEEN: Final = "\x1f"
WITHHELD: Final = "(withheld)"
_OURS: Final = ("state", "accepted", "position", "print")


def positions_of(facts: pl.DataFrame, material: Material) -> pl.Series:
    """Return the positions in the data of rows of facts, Int64 (m,); null for a row that is not there."""
    if "source" not in facts.columns:
        return facts["row"].alias("position")
    if material.data is None:
        return pl.repeat(None, facts.height, dtype=pl.Int64, eager=True)
    return material.data.positions(facts["source"], facts["row"])


def place_of(material: Material, table: FactTable) -> Site:
    """Return where an outcome as a whole points to."""
    data = material.test if table.place == "test" and material.test else material.data
    return Site(source=data.pieces[0].path if data else material.settings.paths[0])


def keys_of(facts: pl.DataFrame, table: FactTable) -> list[tuple[Any, ...]]:
    """Return what tells the rows of a table apart; nothing, for a table of one row."""
    return list(facts.select(table.key).iter_rows()) if table.key else [()] * facts.height


def prints_of(code: str, hits: pl.DataFrame, table: FactTable, *, material: Material) -> list[str]:
    """Return the fingerprint of each finding."""
    name = material.settings.name
    if table.scope != "row":
        keys = [_BETWEEN.join(map(str, key)) for key in keys_of(hits, table)]
    elif material.data is None:
        keys = hits["row_id"].to_list()
    else:
        keys = _row_keys(hits["position"], material)
    rest = [key for key in table.key if key != "row"] if table.scope == "row" else []
    if rest:  # several findings a row: with another row, or in a column
        more = hits.select(rest).iter_rows()
        keys = [_BETWEEN.join([key, *map(str, values)]) for key, values in zip(keys, more, strict=True)]
    return [fingerprint(code, name, key) for key in keys]


def findings_of(
    rule: Rule, hits: pl.DataFrame, table: FactTable, *, material: Material
) -> tuple[Finding, ...]:
    """Return the findings in the order of `hits`."""
    if hits.is_empty():
        return ()
    prints = hits["print"].to_list() if "print" in hits.columns else None
    prints = prints or prints_of(rule.code, hits, table, material=material)
    score = rule.column or table.score
    found = []
    for values, site, name in zip(
        hits.iter_rows(named=True), _sites(hits, table, material), prints, strict=True
    ):
        details: dict[str, Any] = {key: value for key, value in values.items() if key not in _OURS}
        hidden = table.cells if material.redact else frozenset()
        if details.get("column") != material.settings.label:  # names of classes are no cells
            details |= dict.fromkeys(hidden, WITHHELD)
        strength = None if score in hidden else values.get(score)
        found.append(
            Finding(
                message=fill(rule.each, details) if rule.each else f"{rule.title}.",
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
        source = place_of(material, table).source
        yield from (Site(source=source, column=column) for column in columns)
        return
    rows, names = hits["row"].to_list(), [""] * hits.height
    if material.settings.id and material.settings.id in data.schema:
        ids = data.at(rows, [material.settings.id]).to_series().cast(pl.String)
        names = ids.fill_null("").to_list()
    for row, name, column in zip(rows, names, columns, strict=True):
        yield data.site(row, row_id=name, column=column)


def _row_keys(positions: pl.Series, material: Material) -> list[str]:
    """Return the keys of some rows, as `Material.keys` has them for all."""
    data, id_column = material.rows, material.settings.id
    if id_column:
        ids = data.read([id_column]).with_row_index("position")
        same = ids.filter(
            pl.col(id_column).is_in(ids[id_column].gather(positions).implode(), nulls_equal=True)
        )
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
