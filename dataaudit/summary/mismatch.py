"""From the tables of a mismatch to a summary: grouping, choosing and cutting, no formats."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl

from dataaudit.findings.schemas import MismatchFindings
from dataaudit.statistics import FEWEST, agreement
from dataaudit.summary.build import order_cells
from dataaudit.summary.mismatch_shapes import (
    Carrier,
    ColumnLevels,
    Concentration,
    Difference,
    FindingCard,
    HarmfulRow,
    LevelShare,
    MismatchSummary,
    NamedRow,
    SliceLine,
    TracedRow,
    TracedTest,
    Tried,
)
from dataaudit.summary.mismatch_verdict import labelled, mismatch_verdict
from dataaudit.summary.shapes import Bar, Cell, Check, Choice, Command, Refit, Trust, cell_of

_ROWS: Final = 10  # training rows of a finding that are shown with their cells
_CARRIERS: Final = 5
_PAIRS, _PARTNERS = 12, 2  # test rows traced side by side; harmful and helpful training rows of each
_SLICES: Final = 40
_HARMFUL: Final = 20
_COLUMNS, _LEVELS = 4, 8  # columns that differ most, drawn by level
_TYPED: Final = 300  # characters of a command that people would type again
_ELSEWHERE: Final = frozenset(("--out", "-o", "--format"))  # options that another command has its own of
_BARS: Final = 20  # of the histogram of effective rows

Shape = TypeVar("Shape")
Rows = Mapping[tuple[str, str], NamedRow]


def summarise_mismatch(tables: MismatchFindings, *, folder: str = "") -> MismatchSummary:
    """Gather what a report shows.

    Parameters
    ----------
    tables : MismatchFindings
    folder : str
        Where the findings are written, for the commands to type next; empty if nowhere.

    Returns
    -------
    MismatchSummary
    """
    provenance = tables.provenance
    rows = _named_rows(tables)
    slices = _shaped(SliceLine, tables.slices.sort("rank"))
    findings = _findings(tables, rows, slices)
    shift = _shaped(Difference, tables.shift)
    trust = _trust(tables)
    return MismatchSummary(
        verdict=mismatch_verdict(provenance, findings=findings, shift=shift, trust=trust),
        labelled=labelled(provenance),
        findings=findings,
        slices=slices[:_SLICES],
        n_slices=len(slices),
        shift=shift,
        columns=_columns(slices, shift),
        concentration=_concentration(tables.responsible["effective_rows"]),
        traces=_traces(tables, rows),
        harmful=_shaped(HarmfulRow, tables.harmful.sort("rank").head(_HARMFUL)),
        trust=trust,
        selection=tuple(Choice(*row) for row in tables.selection.iter_rows()),
        next_commands=_commands(tables, findings, folder),
        provenance=provenance.to_dict(),
    )


def _shaped(shape: type[Shape], frame: pl.DataFrame) -> tuple[Shape, ...]:
    """Return the rows of a table as a dataclass whose fields are columns of the table."""
    names = [field.name for field in dataclasses.fields(shape)]  # type: ignore[arg-type]
    return tuple(shape(**row) for row in frame.select(names).iter_rows(named=True))


def _named_rows(tables: MismatchFindings) -> dict[tuple[str, str], NamedRow]:
    """Return the rows whose cells were kept, by part and name; the cell of the target is the label."""
    target = tables.provenance.target
    cells: dict[tuple[str, str], list[Cell]] = {}
    for row_id, column, text, part in tables.cells.iter_rows():
        cells.setdefault((part, row_id), []).append(cell_of(column, text))
    return {
        key: NamedRow(
            key[1],
            next((cell.text for cell in found if cell.column == target), ""),
            tuple(cell for cell in found if cell.column != target),
        )
        for key, found in cells.items()
    }


def _findings(tables: MismatchFindings, rows: Rows, slices: tuple[SliceLine, ...]) -> tuple[FindingCard, ...]:
    """Return every finding with its rows, columns and remedies."""
    lines = {line.name: line for line in slices}
    tried: dict[int, list[Tried]] = {}
    names = [field.name for field in dataclasses.fields(Tried)]
    for number, *values in tables.remedies.select("finding", *names).iter_rows():
        tried.setdefault(number, []).append(Tried(**dict(zip(names, values, strict=True))))
    carriers = _carriers(tables)
    cards = []
    for one in tables.findings.iter_rows(named=True):
        number, carried = one["finding"], carriers.get(one["finding"], ())
        line = lines.get(one["slice"])
        first = [carrier.column for carrier in carried]
        if line is not None:
            first = [line.column, *([line.second_column] if line.second_column else []), *first]
        cards.append(
            FindingCard(
                finding=number,
                severity=one["severity"],
                title=one["title"],
                slice=one["slice"],
                n_errors=one["n_errors"],
                n_train_rows=one["n_train_rows"],
                row_ids=tuple(one["train_row_ids"]),
                rows=tuple(_row(rows, "train", key, first) for key in one["train_row_ids"][:_ROWS]),
                test_row_ids=tuple(one["test_row_ids"]),
                carriers=carried,
                advice=one["advice"],
                predicted=one["predicted_delta_loss"],
                measured=one["measured_delta_loss"],
                p_value=one["p_value"],
                remedies=tuple(tried.get(number, ())),
                line=line,
            )
        )
    return tuple(cards)


def _row(rows: Rows, part: str, key: str, first: Iterable[str] = ()) -> NamedRow:
    """Return a row, the cells of some columns first."""
    found = rows.get((part, key), NamedRow(key, "", ()))
    return dataclasses.replace(found, cells=order_cells(found.cells, tuple(dict.fromkeys(first))))


def _carriers(tables: MismatchFindings) -> dict[int, tuple[Carrier, ...]]:
    """Sum the effects of whole columns over the training rows of each finding, the strongest first."""
    whole = tables.features.filter(pl.col("level").is_null())
    sums = whole.group_by("finding", "column").agg(pl.col("finite_effect").sum().alias("effect"))
    sums = sums.sort(pl.col("effect").abs(), "column", descending=[True, False])
    found: dict[int, list[Carrier]] = {}
    for number, column, effect in sums.select("finding", "column", "effect").iter_rows():
        found.setdefault(number, []).append(Carrier(column, effect))
    return {number: tuple(carriers[:_CARRIERS]) for number, carriers in found.items()}


def _columns(slices: tuple[SliceLine, ...], shift: tuple[Difference, ...]) -> tuple[ColumnLevels, ...]:
    """Return the levels of the columns that differ most between training and test."""
    apart = [d for d in shift if d.measure == "covariate" and d.significant and d.column is not None]
    apart.sort(key=lambda d: -(d.value or 0.0))
    names = dict.fromkeys(d.column for d in apart)
    found = []
    for name in names:
        levels = [s for s in slices if s.column == name and s.second_column is None]
        levels.sort(key=lambda s: (-s.n_test, s.level))
        if levels:
            shares = tuple(LevelShare(s.level, s.n_train, s.n_test) for s in levels[:_LEVELS])
            found.append(ColumnLevels(levels[0].column, shares))
    return tuple(found[:_COLUMNS])


def _concentration(effective: pl.Series) -> Concentration | None:
    numbers = np.asarray(effective.drop_nulls().to_numpy(), dtype=np.float64)
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not len(numbers):
        return None
    low, high = max(1.0, float(numbers.min()) * 0.999), float(numbers.max()) * 1.001
    edges = np.geomspace(low, max(high, low * 1.5), _BARS + 1)
    counts, _ = np.histogram(np.maximum(numbers, low), edges)
    bars = tuple(
        Bar(float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)
    )
    return Concentration(bars, len(numbers), float(numbers.min()), float(np.median(numbers)))


def _traces(tables: MismatchFindings, rows: Rows) -> tuple[TracedTest, ...]:
    """Return test rows beside the training rows behind them: first those of findings, in their order."""
    about = {
        key: number
        for number, keys in tables.findings.sort("finding", descending=True)
        .select("finding", "test_row_ids")
        .iter_rows()
        for key in keys
    }
    kept = {key for part, key in rows if part == "test"}
    facts = tables.responsible.filter(pl.col("test_row_id").is_in(kept))
    ordered = sorted(
        facts.iter_rows(named=True),
        key=lambda fact: (about.get(fact["test_row_id"], math.inf), -fact["loss"], fact["test_row"]),
    )
    chosen = _spread(ordered, about)
    behind = _behind(tables, [fact["test_row_id"] for fact in chosen])
    traces = []
    for fact in chosen:
        key = fact["test_row_id"]
        test = _row(rows, "test", key)
        sides = [
            tuple(TracedRow(_row(rows, "train", row_id), change, said) for row_id, change, said in found)
            for found in behind.get(key, ([], []))
        ]
        traces.append(
            TracedTest(
                test=dataclasses.replace(test, label=fact["label"]),
                harmful=sides[0],
                helpful=sides[1],
                finding=about.get(key),
                **{
                    name: fact[name]
                    for name in ("predicted_label", "p_label", "loss", "effective_rows", "top_share")
                },
            )
        )
    return tuple(traces)


def _spread(facts: list[dict[str, Any]], about: Mapping[str, int]) -> list[dict[str, Any]]:
    """Take one test row of every finding, then second ones, then the rest, up to the number shown."""
    seen: dict[int | None, int] = {}
    turns = []
    for fact in facts:
        group = about.get(fact["test_row_id"])
        seen[group] = seen.get(group, 0) + 1
        turns.append(seen[group] + (_PAIRS if group is None else 0))
    order = sorted(range(len(facts)), key=lambda i: (turns[i], i))[:_PAIRS]
    return [facts[i] for i in sorted(order)]


Side = list[tuple[str, float, str]]


def _behind(tables: MismatchFindings, keys: list[str]) -> dict[str, tuple[Side, Side]]:
    """Return the most harmful and the most helpful training rows of some test rows."""
    columns = ("test_row_id", "train_row_id", "delta_loss_if_removed", "effect")
    found: dict[str, tuple[Side, Side]] = {}
    some = tables.traces.filter(pl.col("test_row_id").is_in(keys)).sort("test_row", "rank")
    for key, row_id, change, said in some.select(columns).iter_rows():
        side = found.setdefault(key, ([], []))[0 if change < 0 else 1]
        if len(side) < _PARTNERS:
            side.append((row_id, change, said))
    return found


def _trust(tables: MismatchFindings) -> Trust:
    """Return the checks, and predictions beside refits: of findings first, then of single rows."""
    refits = [
        Refit(f"finding {number}", "finding", predicted, measured)
        for number, predicted, measured in tables.findings.select(
            "finding", "predicted_delta_loss", "measured_delta_loss"
        ).iter_rows()
        if predicted is not None and measured is not None
    ]
    refits += [
        Refit(f"{test} without {train}", "removed", predicted, measured)
        for test, train, _, predicted, measured in tables.verification.iter_rows()
    ]
    found = agreement(refits)
    known = len(refits) >= FEWEST
    return Trust(
        checks=tuple(Check(*row) for row in tables.health.iter_rows()),
        refits=tuple(refits),
        slope=found.slope if known and math.isfinite(found.slope) else None,
        pearson=found.pearson if known and math.isfinite(found.pearson) else None,
        calibration=(),
    )


def _commands(
    tables: MismatchFindings, findings: tuple[FindingCard, ...], folder: str
) -> tuple[Command, ...]:
    commands = [Command("Open the page", f"{folder.rstrip('/')}/report.html")] if folder else []
    if not tables.provenance.command.startswith("audit "):
        return tuple(commands)
    command, asked = _repeatable(tables.provenance.command)
    condition = next((said for f in findings if (said := _condition(tables, f))), "")
    if folder and labelled(tables.provenance):
        prove = f"audit verify {shlex.quote(folder)} --top 50"
        commands.append(Command("Retrain without the rows that were found, and compare", prove))
    if condition and not asked and len(command) <= _TYPED:
        out = shlex.quote(f"{folder or 'audit-mismatch'}-slice")
        traced = f"{command} --where {_quoted(condition)} --out {out}"
        commands.append(
            Command("Trace every test row of the first slice, also those predicted right", traced)
        )
    return tuple(commands)


def _repeatable(command: str) -> tuple[str, bool]:
    """Return a command without where it wrote and in which format, and whether it chose rows itself."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed: it was not typed
        return command, True
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word.partition("=")[0] not in _ELSEWHERE:
            kept.append(word)
        skip = not skip and word in _ELSEWHERE
    return shlex.join(kept), any(word.partition("=")[0] in ("--where", "--rows") for word in kept)


def _condition(tables: MismatchFindings, finding: FindingCard) -> str:
    """Write a finding's slice as SQL, where it is one level of a column of names."""
    line = finding.line
    roles = {role.get("column"): role.get("role") for role in tables.provenance.roles}
    if line is None or line.second_column or roles.get(line.column) != "categorical":
        return ""
    if line.level.startswith("("):  # missing, or the rest
        return ""
    column = line.column if line.column.isidentifier() else '"' + line.column.replace('"', '""') + '"'
    level = line.level.replace("'", "''")
    return f"{column} = '{level}'"


def _quoted(condition: str) -> str:
    """Quote for a shell, as a person would where nothing in it means something to a shell."""
    plainly = set('"$`\\!').isdisjoint(condition)
    return f'"{condition}"' if plainly else shlex.quote(condition)
