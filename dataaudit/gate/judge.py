"""One rule on one table of facts: what it measures, over which findings, and whether that is too much.

A finding *gates* unless it is known from the base or accepted by the baseline; values are of what gates::

    without base   broken ⇔ measure > limit
    rows           with a base only new and changed rows gate, and shares are of these
    columns, …     with a base a finding is known if the base has it and it is no worse than there:
                   value ≤ max(limit, value of the base) + hysteresis·|limit|

so that a number that sits at its limit does not flip the build when a row elsewhere comes or goes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from dataaudit.gate.facts.table import FactTable
from dataaudit.gate.found import findings_of, keys_of, place_of, positions_of, prints_of
from dataaudit.gate.material import Material
from dataaudit.gate.predicates import condition
from dataaudit.gate.rule import Rule
from dataaudit.gate.sentences import fill
from dataaudit.gate.settings import HYSTERESIS, SHOWN
from dataaudit.gate.verdict import Outcome

_GATING: Final = ("", "new", "changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a rule is judged on.

    Attributes
    ----------
    material : Material
        Where the facts come from.
    table : FactTable
        Whose facts they are.
    facts, base : pl.DataFrame, pl.DataFrame or None
        The table, and the same of the base; None where there is no base, and for rows, whose state says it.
    hysteresis : float
        Share of a limit by which a value must exceed the base's.
    top : int
        Findings to keep.
    reasons : mapping
        Fingerprint → reason of what the baseline accepts.
    """

    material: Material
    table: FactTable
    facts: pl.DataFrame
    base: pl.DataFrame | None = None
    hysteresis: float = HYSTERESIS
    top: int = SHOWN
    reasons: Mapping[str, str] = field(default_factory=dict)


def judge(rule: Rule, case: Case) -> Outcome:
    """Return what becomes of a rule.

    Parameters
    ----------
    rule : Rule
        With the limit and severity in force; `predicates.check_rule` has passed it.
    case : Case
        The facts.

    Returns
    -------
    Outcome
        ``passed`` or ``broken``.
    """
    began = time.perf_counter()
    hits = _hits(rule, case)
    gating = hits.filter(pl.col("state").is_in(_GATING) & (pl.col("accepted") == ""))
    value = _measure(rule, gating, _population(case))
    broken = value is not None and value > rule.limit
    kept = _sorted(rule, case.table, hits).head(case.top)
    values = {
        "value": value,
        "counted": counted(gating.height, rule),
        "limit": rule.limit,
        "total": gating.height,
        "dataset": case.material.settings.name,
    }
    said = fill(rule.message, values) if broken else _why_not(rule, value, hits.height - gating.height)
    return Outcome(
        rule=rule,
        dataset=case.material.settings.name,
        status="broken" if broken else "passed",
        message=said,
        place=place_of(case.material, case.table),
        value=value,
        base_value=_base_value(rule, case),
        findings=findings_of(rule, kept, case.table, material=case.material),
        total=hits.height,
        seconds=time.perf_counter() - began,
    )


def is_hit(rule: Rule, facts: pl.DataFrame) -> bool:
    """Tell whether a rule has any finding among facts, known or not."""
    return not _filtered(rule, facts).is_empty()


def _filtered(rule: Rule, facts: pl.DataFrame) -> pl.DataFrame:
    """Return the facts that are findings: where a greatest value is measured, those above the limit."""
    hits = facts.filter(condition(rule))
    return hits.filter(pl.col(rule.column) > rule.limit) if rule.measure == "max" else hits


def _hits(rule: Rule, case: Case) -> pl.DataFrame:
    """Return the facts that are findings, each with ``state``, ``accepted`` and, of rows, ``position``."""
    hits = _filtered(rule, case.facts)
    if case.table.scope == "row":
        hits = hits.with_columns(position=positions_of(hits, case.material))
        states = case.material.states
        state = pl.repeat("", hits.height, dtype=pl.String, eager=True)
        if states is not None:
            state = states.gather(hits["position"].fill_null(0)).set(hits["position"].is_null(), "new")
        hits = hits.with_columns(state.alias("state"))
    else:
        hits = hits.with_columns(state=_known(rule, case, hits))
    if not case.reasons:
        return hits.with_columns(accepted=pl.lit(""))
    prints = prints_of(rule.code, hits, case.table, material=case.material)
    reasons = [case.reasons.get(name, "") for name in prints]
    return hits.with_columns(pl.Series("accepted", reasons, dtype=pl.String), pl.Series("print", prints))


def _known(rule: Rule, case: Case, hits: pl.DataFrame) -> pl.Series:
    """Return the state of findings that are no rows, by those of the base."""
    if case.base is None:
        return pl.repeat(
            "" if case.material.base is None else "new", hits.height, dtype=pl.String, eager=True
        )
    there = case.base.filter(condition(rule))
    keys = [keys_of(frame, case.table) for frame in (hits, there)]
    if not rule.column:
        was = set(keys[1])
        known = [key in was for key in keys[0]]
    else:
        values = dict(zip(keys[1], there[rule.column], strict=True))
        slack = case.hysteresis * abs(rule.limit)
        bounds = [
            max(rule.limit, values[key]) + slack if values.get(key) is not None else None for key in keys[0]
        ]
        known = [
            bound is not None and value is not None and value <= bound
            for bound, value in zip(bounds, hits[rule.column], strict=True)
        ]
    return pl.Series("state", ["known" if was else "new" for was in known], dtype=pl.String)


def _population(case: Case) -> int:
    """Return the number of rows, or columns, that a share is of."""
    material = case.material
    if case.table.scope != "row" or material.data is None:
        return case.facts.height
    if material.states is None:
        return material.data.n
    return int((material.states != "known").sum())


def _measure(rule: Rule, hits: pl.DataFrame, population: int) -> float | None:
    """Return what is measured; None where there is nothing to take the greatest or least of."""
    if rule.measure == "count":
        return float(hits.height)
    if rule.measure == "share":
        return hits.height / population if population else 0.0
    column = hits[rule.column].cast(pl.Float64)
    if rule.measure == "sum":
        return float(column.sum())
    found = column.max() if rule.measure == "max" else column.min()
    return None if found is None else float(found)  # type: ignore[arg-type]


def _base_value(rule: Rule, case: Case) -> float | None:
    if case.base is None:
        return None
    return _measure(rule, case.base.filter(condition(rule)), case.base.height)


def _sorted(rule: Rule, table: FactTable, hits: pl.DataFrame) -> pl.DataFrame:
    """Return the findings, those that gate first, then the strongest; equal ones by their key."""
    gates = pl.col("state").is_in(_GATING) & (pl.col("accepted") == "")
    score = rule.column or table.score
    order = [gates.not_(), *([-pl.col(score).cast(pl.Float64)] if score else []), *table.key]
    return hits.sort(order, nulls_last=True, maintain_order=True) if hits.height else hits


def _why_not(rule: Rule, value: float | None, others: int) -> str:
    """Say of a rule that holds what was measured, and how many findings do not count."""
    said = (
        "nothing of the kind" if value is None else f"{shown(value, rule)}, limit {shown(rule.limit, rule)}"
    )
    return f"Kept: {said}" + (f"; {others:,} known or accepted" if others else "") + "."


def counted(total: int, rule: Rule) -> str:
    """Return a number of findings with its noun: the unit if it is one, else what the rule's table holds."""
    noun = rule.unit if rule.measure == "count" else f"{rule.scope}s"
    return f"{total:,} {noun.removesuffix('es' if noun.endswith('sses') else 's') if total == 1 else noun}"


def shown(value: float, rule: Rule) -> str:
    """Return a value with the unit of its rule."""
    if rule.measure == "share" or rule.unit == "share":
        return f"{value:.2%}"
    number = f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"
    return f"{number} {rule.unit}"
