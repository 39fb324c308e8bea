"""Audits of small generated data, and the same findings with hostile strings where the user's data stand."""

import dataclasses
from functools import cache

import polars as pl
from audits.mismatch.test_audit import patients

import dataaudit

# Columns of the tables that hold words of ours, or names that are no text of the user's.
OURS = {"severity", "kind", "cause", "fix", "part", "measure", "change", "effect", "check"}


@cache
def real(*, labelled=True):
    """Return the findings of five children whose labels decide over forty."""
    train, test = patients(600, 0, children=5, ill=4), patients(900, 1, children=40, ill=0)
    if not labelled:
        test = test.drop("y")
    found = dataaudit.audit_mismatch(
        train,
        test,
        label="y",
        id="id",
        l2=1e-4,
        prove=4,
        command="audit mismatch train.csv test.csv --label y",
    )
    return found.tables


def spoilt(payload, *, labelled=True, tables=None):
    """Return the findings, or others, with a payload behind every string of the user's."""
    tables = tables or real(labelled=labelled)
    frames = {name: spoil(frame, payload) for name, frame in tables.tables().items()}
    p = tables.provenance
    facts = {
        "train": f"train{payload}.csv",
        "test": f"test{payload}.csv",
        "target": p.target + payload,
        "classes": tuple(name + payload for name in p.classes),
        "basis": p.basis + payload,
        "command": f"audit mismatch train{payload}.csv test.csv --label y",
        "settings": {**p.settings, f"a{payload}": [payload]},
        "origins": ({"path": f"train{payload}.csv", "format": "csv", "sha256": "ab" * 32, "rows": 600},),
        "roles": tuple({**role, "column": role["column"] + payload} for role in p.roles),
        "notes": (f"A note.{payload}",),
    }
    return dataclasses.replace(tables, **frames, provenance=dataclasses.replace(p, **facts))


def spoil(frame, payload):
    texts = [c for c, kind in frame.schema.items() if kind == pl.String and c not in OURS]
    lists = [c for c, kind in frame.schema.items() if kind == pl.List(pl.String)]
    return frame.with_columns(
        *(pl.col(c) + pl.lit(payload) for c in texts),
        *(pl.col(c).list.eval(pl.element() + pl.lit(payload)) for c in lists),
    )


def wide(columns):
    """Return the findings of rows with so many columns more, each of which differs in test."""
    train, test = patients(300, 0, children=5, ill=4), patients(300, 1, children=40, ill=0)
    for frame in (0, 1):
        rows = (train, test)[frame]
        more = {f"a rather long name {k}": (rows["x"] * (k % 7) + k * frame).round(1) for k in range(columns)}
        train, test = (rows.with_columns(**more), test) if not frame else (train, rows.with_columns(**more))
    return dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-2, prove=2, verify=2).tables
