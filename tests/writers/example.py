"""Made-up findings for tests of what reads them: nothing in here was measured."""

import numpy as np
import polars as pl

from dataaudit.findings.levels import by_table
from dataaudit.findings.sample import sample_of
from dataaudit.findings.schemas import Findings, Provenance

WORDS = [
    "meter",
    "deal",
    "gas",
    "price",
    "offer",
    "click",
    "free",
    "winner",
    "money",
    "account",
    "attached",
    "daily",
]


def table(name, rows):
    return pl.DataFrame(rows, schema=Findings.SCHEMAS[name], orient="row")


def made_up(n=40, *, classes=("ham", "spam"), text=True, hostile="", cell=None, seed=0, by=False, **changes):
    """Build findings of n rows; `hostile` goes wherever a string of the user's data goes."""
    rng = np.random.default_rng(seed)
    classes = tuple(name + hostile for name in classes)
    columns = [f"{name}{hostile}" for name in (("text",) if text else ("age", "job", "balance", "note"))]
    labels = _labels(rng, n, classes, hostile)
    texts = [" ".join(rng.choice(WORDS, 12)) + hostile if cell is None else cell for _ in range(n)]
    labels = labels.with_columns(rank_self_influence=pl.Series(rng.permutation(n) + 1, dtype=pl.Int64))
    bases = (f"tf-idf words{hostile}",) if text else (f"tf-idf words{hostile}", "splines")
    return Findings(
        labels=labels.select(Findings.SCHEMAS["labels"].names()),
        **_beside(
            labels["row_id"].to_list(), labels["label"].to_list(), columns, texts, hostile=hostile, text=text
        ),
        **_of_the_audit(labels, classes, bases, hostile),
        sample=sample_of(labels, 20, seed=0) if len(labels) else Findings.empty("sample"),
        **_levels(labels, hostile, by=by),
        provenance=Provenance(
            **_facts(labels, classes, columns, hostile, text=text) | {"basis": bases[0]} | changes
        ),
    )


def _levels(labels, hostile, *, by):
    """Two people, of whom the first has most of the labels that look wrong."""
    if not by:
        return {name: Findings.empty(name) for name in ("by", "without", "levels")}
    who = [f"{'ann' if at < len(labels) // 4 else 'bob'}{hostile}" for at in range(len(labels))]
    column = f"who{hostile}"
    levels = pl.DataFrame({"row_id": labels["row_id"], "column": [column] * len(who), "level": who})
    found = pl.DataFrame({"column": [column] * 2, "level": sorted({*who}), "kind": ["values"] * 2})
    effects = found.with_columns(position=pl.int_range(1, 3), others_predicted=-0.02, others_measured=-0.03)
    by = by_table(labels, levels, effects.with_columns(together=pl.lit(value=False)), interval=(5.0, 15.0))
    return {"by": by, "without": Findings.empty("without"), "levels": levels}


def _labels(rng, n, classes, hostile):
    """The table of labels, but for its last column."""
    p_wrong = np.sort(rng.beta(0.3, 0.9, n))[::-1]
    loss = np.clip(-np.log(1 - p_wrong) + rng.normal(0, 0.1, n), 0.01, None)
    given = rng.integers(0, len(classes), n)
    other = [classes[k] for k in (given + 1) % len(classes)]
    return pl.DataFrame(
        {
            "row_id": [f"mail{hostile}.csv:{2 * i + 2}" for i in range(n)],
            "row": np.arange(n),
            "source": [f"mail{hostile}.csv"] * n,
            "line": 2 * np.arange(n) + 2,
            "label": [classes[k] for k in given],
            "predicted_label": other,
            "p_label": np.exp(-loss / 2),
            "train_loss": loss / 2,
            "self_influence": loss * 10,
            "leverage": np.full(n, 0.02),
            "loo_loss": loss,
            "loo_p_label": np.exp(-loss),
            "delta_loss_if_removed": loss / 2,
            "delta_loss_if_relabelled": -loss / 3,
            "suggested_label": other,
            "p_wrong": p_wrong,
            "rank": np.arange(1, n + 1),
        },
        schema={
            name: kind for name, kind in Findings.SCHEMAS["labels"].items() if name != "rank_self_influence"
        },
    )


def _beside(ids, labels, columns, texts, *, hostile, text):
    """Evidence, neighbours and cells of every row."""
    evidence, neighbours, cells, n = [], [], [], len(ids)
    for i, key in enumerate(ids):
        for position in range(1, 7):
            level = WORDS[(i + position) % len(WORDS)] + hostile if text else None
            value = level if text else f"{position * 7}{hostile}"
            column = columns[(position - 1) % len(columns)]
            evidence.append((key, position, column, level, value, (-1.0) ** (position > 4) * -0.9 / position))
        near = [(i + k) % n for k in range(1, 6)]
        neighbours += [
            (key, k, ids[j], labels[j], 1 - k / 9, labels[i] == labels[j]) for k, j in enumerate(near, 1)
        ]
        cells += [(key, column, texts[(i + k) % n]) for k, column in enumerate(columns)]
    found = {"evidence": evidence, "neighbours": neighbours, "cells": cells}
    return {name: table(name, rows) for name, rows in found.items()}


def _of_the_audit(labels, classes, bases, hostile):
    """The tables that are not of rows."""
    expected, ends = float(labels["p_wrong"].to_numpy().sum()), np.cumsum(labels["p_wrong"].to_numpy())
    rate = 0.1 / max(len(classes) - 1, 1)
    found = {
        "health": [
            ("gradient norm", 3e-11, 1e-8, True, f"The fit is at a minimum.{hostile}"),
            ("calibration", 0.02, None, True, "Left-out probabilities are calibrated."),
        ],
        "selection": [
            (b, l2, 0.3 + 0.02 * k * k + 0.01 * at, 0.004, (at, k) == (0, 1), len(labels))
            for at, b in enumerate(bases)
            for k, l2 in enumerate((1e-5, 1e-4, 1e-3, 1e-2))
        ],
        "verification": [
            (key, change, size * (k + 1), size * (k + 1) * 1.01)
            for k, key in enumerate(labels["row_id"].head(6))
            for change, size in (("removed", 0.2), ("relabelled", -0.5))
        ],
        "noise": [(a, b, 0.9 if a == b else rate) for a in classes for b in classes],
        "budget": [(s, int(np.searchsorted(ends, s * expected) + 1)) for s in (0.5, 0.8, 0.95) if len(ends)],
    }
    return {name: table(name, rows) for name, rows in found.items()}


def _facts(labels, classes, columns, hostile, *, text):
    """The fields of the provenance."""
    n, expected = len(labels), float(labels["p_wrong"].to_numpy().sum())
    role = "text" if text else "numeric"
    return {
        "version": "0.1.0",
        "command": f"audit labels mail{hostile}.csv --label y",
        "dataset": f"mail{hostile}.csv",
        "target": f"y{hostile}",
        "n_rows": n,
        "n_features": 321,
        "n_classes": len(classes),
        "classes": classes,
        "ranking": "p-wrong",
        "ranking_reason": "The noise model is supported by the data, so it orders the list.",
        "expected_wrong": expected,
        "expected_low": expected * 0.9,
        "expected_high": expected * 1.1,
        "l2": 1e-4,
        "solver": "dual Cholesky",
        "solver_reason": "there are fewer rows than features",
        "gradient_norm": 3e-11,
        "seed": 0,
        "settings": {"label": "y", "rank": "auto", "exclude": [f"id{hostile}"], "l2": None},
        "versions": {"python": "3.11.2", "polars": "1.30.0"},
        "origins": ({"path": f"mail{hostile}.csv", "format": "csv", "sha256": "ab" * 32, "rows": n},),
        "roles": (
            *({"column": c, "role": role, "reason": f"made up{hostile}"} for c in columns),
            {"column": "id", "role": "left out", "reason": "every value is another one"},
        ),
        "notes": (f"Two rows have the same text.{hostile}",),
    }
