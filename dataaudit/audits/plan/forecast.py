"""What an audit of labels would take, before anything runs: by a sample of the rows, and their number.

Sizes grow with the number of rows as they do within the sample. From m/2 to m rows the terms, or levels, of
a column grow from V(m/2) to V(m), so to n rows they grow to V(m) (n/m)^b with b = log2 V(m)/V(m/2) (Heaps
1978), levels up to their limit. Terms that occur in fewer rows than one must grow likewise, and are what a
row's entries lack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from dataaudit.audits.plan.costs import Costs, Shape, Speeds, asked_of, costs, measured
from dataaudit.audits.plan.pairs import pair_costs, searched, sides_of
from dataaudit.audits.plan.sample import RowSample, sample_rows
from dataaudit.data.dataset import Dialect, Wanted
from dataaudit.data.size import size_of
from dataaudit.features import Role
from dataaudit.features.encoding import fit_encoding
from dataaudit.features.roles import infer_roles
from dataaudit.features.target import encode_target
from dataaudit.features.text import choose_units, document_frequencies
from dataaudit.memory import SEARCHED, TRAIN_SHARE, memory_limit
from dataaudit.options import EncoderOptions, LabelOptions, PlanOptions

ENCODED: Final = 4_000  # rows that are encoded
TEXT_BYTES: Final = 4 << 20  # of texts that are cut into terms
FEWEST: Final = 200


@dataclass(frozen=True)
class Planned:
    """What an audit would take."""

    sample: RowSample
    shape: Shape
    roles: tuple[Role, ...]
    costs: Costs
    limit: int  # bytes that it may take
    speeds: Speeds
    test: int = 0  # rows that it is tested on

    @property
    def fits(self) -> bool:
        """Whether it fits into what it may take."""
        return self.costs.method is not None and self.costs.bytes <= self.limit


def plan_labels(source: Any, options: LabelOptions, *, speeds: Speeds | None = None) -> Planned:
    """Look at a sample, and count what an audit of all rows would take."""
    wanted = _wanted(options)
    sample = sample_rows(source, wanted)
    shape, roles = shape_of(sample, options)
    limit, speeds = memory_limit(), speeds or measured()
    table = size_of(sample.names, wanted, limit=limit) if sample.stored else None
    on_disk = table.out_of_core if table and table.in_memory > limit else 0
    found = costs(shape, asked_of(options), limit=limit, speeds=speeds, on_disk=on_disk)
    return Planned(sample, shape, roles, found, limit, speeds)


def plan_pair(source: Any, test: Any, options: PlanOptions) -> Planned:
    """Count what an audit of training and test rows would take."""
    wanted = _wanted(options)
    sides = sides_of(sample_rows(source, wanted), test, wanted=wanted, options=options)
    shape, roles = shape_of(sides.train, options)
    limit, speeds = memory_limit(), measured()
    table = size_of(sides.train.names, wanted, limit=limit) if sides.train.stored else None
    more = SEARCHED * searched(shape.rows, len(roles), shape.features) * len(roles)
    more *= options.audit == "mismatch"
    on_disk = table.out_of_core + more if table and table.in_memory + more > TRAIN_SHARE * limit else 0
    on_disk *= options.audit == "mismatch"  # the others have all rows in memory
    fitted = costs(shape, asked_of(options), limit=limit, speeds=speeds, on_disk=on_disk)
    found = pair_costs(fitted, shape, sides.test, roles=roles, options=options, speeds=speeds)
    return Planned(sides.train, shape, roles, found, limit, speeds, sides.test)


def _wanted(options: LabelOptions) -> Wanted:
    columns = options.columns
    named = tuple(dict.fromkeys((*columns.features, *columns.text, *columns.categorical)))
    return Wanted(
        options.label,
        named if columns.features else None,
        tuple(columns.exclude),
        options.id,
        named=named,
        dialect=Dialect(options.encoding, options.no_header),
    )


def shape_of(sample: RowSample, options: LabelOptions) -> tuple[Shape, tuple[Role, ...]]:
    """Return the sizes of all rows, encoded, and what columns are used as."""
    settings, label = options.columns, options.label
    kept = encode_target(sample.frame[label], options.task).kept
    frame = sample.frame.filter(kept)
    n = round(sample.rows * frame.height / sample.frame.height)
    cells = round(frame.estimated_size() * n / frame.height)
    some = frame if frame.height <= ENCODED else frame.sample(ENCODED, seed=0, shuffle=True)
    roles = infer_roles(some, label, settings=settings)
    plain = tuple(role for role in roles if role.role not in ("text", "left out"))
    texts = [role.column for role in roles if role.role == "text"]
    counts = dict.fromkeys(("numeric", "vectors", "levels"), 0)
    entries = 0
    if plain:
        columns = fit_encoding(some, label, settings=settings, decided=plain).transform(some)
        counts = {
            "numeric": columns.numeric.shape[1],
            "vectors": columns.vectors.shape[1],
            "levels": columns.levels.shape[1] + _more_levels(some, plain, n, settings),
        }
        entries = round(columns.levels.nnz * n / some.height)
    terms = [_terms(some[name], n, settings) for name in texts]
    return (
        Shape(
            rows=n,
            classes=2 if options.is_number else max(2, frame[label].n_unique()),
            cells=cells,
            texts=round(n * sum(_width(some[name].cast(pl.String)) for name in texts)),
            numeric=counts["numeric"],
            vectors=counts["vectors"],
            levels=counts["levels"],
            entries_of_levels=entries,
            terms=sum(one for one, _ in terms),
            entries_of_terms=sum(stored for _, stored in terms),
        ),
        roles,
    )


def _more_levels(frame: pl.DataFrame, roles: tuple[Role, ...], n: int, settings: EncoderOptions) -> int:
    """Return how many levels the other rows have beyond those of a sample, up to those with features."""
    more = 0
    for role in roles:
        if role.role == "categorical":
            column = frame[role.column]
            seen, half = column.n_unique(), column.head(max(1, frame.height // 2)).n_unique()
            most = settings.max_levels
            more += max(0, round(min(_grown(half, seen, n / frame.height), most)) - min(seen, most))
    return more


def _grown(half: float, whole: float, times: float) -> float:
    """Return a number that grew so much from half a sample to all of it, on so many times its rows."""
    if not half or not whole:
        return whole
    return float(whole * times ** max(0.0, math.log2(whole / half)))


def _terms(column: pl.Series, n: int, settings: EncoderOptions) -> tuple[int, int]:
    """Return the terms of a text column of n rows, and the stored numbers."""
    text = column.cast(pl.String).fill_null("")
    some = text.head(max(FEWEST, int(TEXT_BYTES / max(1.0, _width(text)))))
    units, _ = choose_units(some, settings.text_units)
    least = settings.min_df if settings.text_features == "tfidf" else settings.counts_min_df
    times = n / len(some)
    parts = [
        document_frequencies(part, units)["rows"].to_numpy() for part in (some.head(len(some) // 2), some)
    ]
    half, whole = (float((rows >= least).sum()) for rows in parts)
    fewer, rare = (float(rows[rows < least].sum()) for rows in parts)
    stored = float(parts[1].sum()) * times
    if not whole:
        return len(parts[1]), round(stored)
    return round(_grown(half, whole, times)), round(max(0.5 * stored, stored - _grown(fewer, rare, times)))


def _width(text: pl.Series) -> float:
    """Return the mean bytes of a text."""
    mean = text.str.len_bytes().mean()
    return float(mean) if isinstance(mean, float) else 0.0
