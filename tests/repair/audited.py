"""Findings without an audit: the rows as its reader finds them, and nothing else that a repair reads."""

from dataclasses import asdict

import polars as pl

from dataaudit.cells import content_hashes
from dataaudit.data.dataset import USUAL
from dataaudit.data.load import load
from dataaudit.features.target import class_texts
from dataaudit.findings.schemas import CONTENT, Findings, Provenance


def findings_of(path, label="label", *, hashed=False, id_column=None, dialect=USUAL):
    """Findings of the rows that the reader finds, on request with the hashes of what they hold."""
    data = load(str(path), target=label, columns=None if hashed else (), id_column=id_column, dialect=dialect)
    labels = class_texts(data.frame[label])
    kept = labels.is_not_null()
    n = int(kept.sum())
    table = pl.DataFrame(schema=Findings.SCHEMAS["labels"])
    values = {
        "row_id": data.row_id,
        "row": data.row,
        "source": data.source,
        "line": data.line,
        "label": labels,
    }
    values = {name: value.filter(kept) for name, value in values.items()} | {
        "rank": pl.int_range(1, n + 1, eager=True)
    }
    table = pl.DataFrame(
        {
            name: values.get(name, pl.repeat(None, n, dtype=kind, eager=True))
            for name, kind in table.schema.items()
        }
    ).cast(Findings.SCHEMAS["labels"])
    if hashed:
        columns = [name for name in data.frame.columns if name != label]
        hashes = content_hashes(data.frame, columns=columns).filter(kept)
        table = table.with_columns(hashes.alias(CONTENT))
    provenance = Provenance(
        version="0", command="", dataset=str(path), target=label, n_rows=n, n_features=1, n_classes=2,
        classes=tuple(labels.drop_nulls().unique().sort()), ranking="p-wrong", ranking_reason="",
        expected_wrong=0.0, expected_low=0.0, expected_high=0.0, l2=1.0, basis="", solver="",
        solver_reason="", gradient_norm=0.0, seed=0,
        settings={"label": label, "id_column": id_column} | asdict(dialect),
        origins=[asdict(origin) for origin in data.origins],
    )  # fmt: skip
    others = {name: pl.DataFrame(schema=s) for name, s in Findings.SCHEMAS.items() if name != "labels"}
    return Findings(labels=table, **others, provenance=provenance)
