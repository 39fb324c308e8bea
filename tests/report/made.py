"""Made-up findings of every kind for snapshots: nothing in here was measured."""

import polars as pl
from writers.example import made_up

from dataaudit.findings.schemas import (
    ExplanationFindings,
    ExplanationProvenance,
    MismatchFindings,
    MismatchProvenance,
    VulnerabilityFindings,
    VulnerabilityProvenance,
)

HEALTH = [
    ("gradient", 3e-11, 1e-8, True, "The fit is at a minimum."),
    ("refit", 0.2, 0.1, False, "They differ."),
]
PAIR = {
    "version": "1.0",
    "target": "y",
    "n_features": 5,
    "classes": ("no", "yes"),
    "l2": 0.01,
    "basis": "standardised numbers + levels",
    "solver": "Cholesky",
    "solver_reason": "there are few features",
    "gradient_norm": 3e-11,
    "seed": 0,
    "settings": {"label": "y", "show_components": True, "limits": {"within": 0.1, "swaps": 1}},
    "versions": {"python": "3.11.2"},
    "origins": ({"path": "train.csv", "format": "csv", "sha256": "ab" * 32, "rows": 40},),
    "test_origins": ({"path": "test.csv", "format": "csv", "sha256": "cd" * 32, "rows": 20},),
    "roles": (
        {"column": "age", "role": "numeric", "reason": "numbers"},
        {"column": "site", "role": "categorical", "reason": "few levels"},
        {"column": "mass", "role": "numeric", "reason": "numbers"},
    ),
    "notes": ("One row is there twice.",),
    "train": "train.csv",
    "test": "test.csv",
    "n_train": 40,
    "n_test": 20,
}


def _tables(kind, rows):
    return {
        name: pl.DataFrame(rows.get(name, []), schema=schema, orient="row")
        for name, schema in kind.SCHEMAS.items()
    }


def _effect(does, change, kind):
    return f"removing this row {does} the loss of test row 3 by {abs(change)} nats: {kind}"


def explanation():
    """Three rows behind a prediction of one model, compared with another one."""
    rows = {
        "influences": [
            (
                "q3",
                3,
                f"t{at}",
                at,
                label,
                -40 * change,
                change,
                0.5,
                kind,
                _effect(does, change, kind),
                at,
                0.1,
                0.2,
                at,
                at + 3,
                at + 1,
                None,
            )
            for at, label, change, kind, does in (
                (1, "yes", -0.03, "harmful", "lowers"),
                (2, "no", 0.02, "helpful", "raises"),
                (3, "no", 0.01, "helpful", "raises"),
            )
        ],
        "neighbours": [
            ("q3", measure, 1, "t2", 2, "no", value, -0.8, 0.02, _effect("raises", 0.02, "helpful"))
            for measure, value in (("cosine", 0.98), ("euclidean", 0.4))
        ],
        "contributions": [
            ("age", None, "41.5", 0.9, "age = 41.5 raises the log-odds of “yes” over “no” by 0.9", 1),
            ("site", "north", "north", -0.2, "site = north lowers the log-odds of “yes” over “no” by 0.2", 2),
        ],
        "features": [
            ("t1", "age", None, "40.0", -0.02, 0.1, "", 1),
            ("t1", "site", "north", "north", 0.01, 0.1, "", 2),
            ("t2", "age", None, "43.0", 0.01, 0.1, "", 1),
        ],
        "probabilities": [("yes", 0.671), ("no", 0.329)],
        "cells": [
            (row, column, cell, part)
            for row, part in (("q3", "test"), ("t1", "train"), ("t2", "train"), ("t3", "train"))
            for column, cell in (("age", "41.5"), ("site", "north"))
        ],
        "flip": [(1, "t1", 1, "yes", "no")],
        "without": [
            ("prediction", 1, 1, 0, 0, 1.11, 0.6, 0.62),
            ("slice", 8, 3, 2, 2, 0.7, 0.61, 0.6),
            ("test", 20, 6, 5, 4, 0.52, 0.505, 0.5),
        ],
        "without_classes": [("no", 21, 2), ("yes", 19, 5)],
        "turned": [
            ("q3", 3, "no", True, "yes", "no", "no", 0.329, 0.55, 0.54, 1.11, 0.6, 0.62),
            ("q7", 7, "yes", False, "yes", "yes", "no", 0.6, 0.51, 0.49, 0.51, 0.67, 0.71),
        ],
        "models": [
            ("logistic", "yes", 0.671, "no", 0.329, 1.11, 0.01, "levels", 5, -0.7, 0.25),
            ("svm", "yes", 0.8, "no", 0.2, 1.7, 0.02, "levels", 5, -0.6, 0.3),
        ],
        "versus": [
            (
                f"t{at}",
                at,
                "no",
                at > 1,
                0.5 * at,
                model,
                4.0 * sign / at,
                -0.1 * sign / at,
                at if model == "svm" else 4 - at,
            )
            for model in ("logistic", "svm")
            for at, sign in ((1, 1), (2, -1), (3, 1))
        ],
        "trust": [
            ("helpful", 4.0, 2.5, 3, 19, 0.2),
            ("harmful", 6.0, 7.0, 12, 19, 0.65),
            ("nearest", 0.5, 0.4, 7, 19, 0.4),
        ],
        "health": HEALTH,
    }
    p = ExplanationProvenance(
        **PAIR | {"command": "audit explain train.csv test.csv --label y --row 3"},
        test_row_id="q3",
        test_row=3,
        label="no",
        predicted_label="yes",
        rival_label="no",
        explained_label="no",
        probability=0.329,
        loss=1.11,
        flip={"sentence": "Relabelling 1 row flips this prediction.", "found": True, "relabel": True},
        without={
            "condition": "site = 'north'",
            "where": "age > 60",
            "sentence": "Without 7 training rows (18 %) where site = 'north', this row is predicted “no”.",
            "predictions": ["yes", "no"],
            "rows": 7,
            "share": 0.175,
            "changes": True,
            "p": 0.671,
            "p_after": 0.54,
            "tests": 20,
            "before": 6,
            "after": 4,
        },
        trust={
            "rows": 3,
            "n_train": 40,
            "n_others": 19,
            "helpful": 4.0,
            "usual": 2.5,
            "as_far": 3,
            "p_value": 0.6,
            "unusual": False,
            "farthest": 0,
            "sentence": "The prediction rests on its neighbours as is usual.",
        },
        versus={"models": ["logistic", "svm"], "order_correlation": 0.9, "shared": 2, "of": 3},
    )
    return ExplanationFindings(**_tables(ExplanationFindings, rows), provenance=p)


def vulnerability():
    """Two attacks, one of which flips a prediction by three cells of two rows."""
    attack = ("no", "yes", 2, True, 0.5, 0.8, 0.9, 0.6, 0.45, 0.41, 3, 2, 0.08, 9, True, False, False, True)
    held = ("yes", "yes", 2, False, 0.2, 0.3, 0.31, 0.8, 0.75, 0.74, 2, 2, None, 9, False, False, True, False)
    rows = {
        "shares": [
            (1, 2, 0, 0.0, 0.0, 0.7, None, None, None, 0, 0, 0, 0),
            (2, 2, 1, 0.5, 0.1, 0.9, 3.0, 2.0, 0.08, 1, 0, 0, 1),
        ],
        "attacks": [("q1", 1, *attack, 0.405, -0.364), ("q2", 2, *held, 1.386, 1.046)],
        "together": [
            (1, None, 1, 2, 0, 0.35, 0.4, 0.41, 1, 1, 0.08, 4, False, False, False, True),
            (1, None, 2, 2, 1, 0.35, 0.6, 0.62, 3, 2, 0.08, 9, True, False, False, True),
        ],
        "together_rows": [
            (1, 2, "q1", 1, "no", "yes", True, 0.405, -0.1, 0.6, 0.48, 0.47, 0.5, 0.7, 0.75),
            (1, 2, "q2", 2, "yes", "yes", False, 1.386, 0.9, 0.8, 0.72, 0.71, 0.2, 0.3, 0.34),
        ],
        "together_changes": [
            (1, 2, "t4", 4, "no", "age", "number", "41", "43", 0.08),
            (1, 2, "t5", 5, "no", "note", "word added", None, "team", None),
        ],
        "changes": [
            ("q1", 1, 2, "t4", 4, "no", "age", "number", "41", "43", 0.08),
            ("q1", 1, 2, "t5", 5, "no", "site", "category", "north", "south", None),
            ("q1", 1, 2, "t5", 5, "no", "note", "word added", None, "team", None),
        ],
        "fragile": [
            ("t4", 4, "no", 0.03, 1.0, "age", 2, 0.2, 1),
            ("t5", 5, "no", 0.01, 0.5, "site", 1, 0.1, 2),
        ],
        "parts": [
            ("t4", "age", None, "number", 0.02, 0.1, 1),
            ("t5", "site", None, "category", 0.01, 0.1, 1),
        ],
        "domain": [
            ("age", "number", "within 10 % of its spread", 20.0, 1.0, 90.0, 0, None),
            ("site", "category", "2 known levels", None, None, None, None, 2),
        ],
        "cells": [("t4", "age", "41", "train")],
        "health": HEALTH,
    }
    p = VulnerabilityProvenance(
        **PAIR | {"command": "audit vulnerability train.csv test.csv --label y"},
        n_correct=15,
        n_attacked=2,
        leverage_limit=0.4,
    )
    return VulnerabilityFindings(**_tables(VulnerabilityFindings, rows), provenance=p)


def mismatch():
    """Three findings, a slice, its by-product and a column that moved, with fixes and a traced test row."""
    nothing = {"train_row_ids": [], "n_train_rows": 0, "levels": [], "slice": "", "features": ""}
    slice_ = {
        "finding": 1,
        "kind": "slice",
        "cause": "labels",
        "severity": "high",
        "title": "age = child: 4 of 8 test rows are wrong",
        "columns": ["age"],
        "levels": ["child"],
        "slice": "age = child",
        "n_train_rows": 2,
        "train_row_ids": ["t1", "t2"],
        "n_test_rows": 8,
        "n_errors": 4,
        "test_row_ids": ["q1"],
        "fix": "remove",
        "advice": "Look at these 2 training rows: without them 3 instead of 6 of 20 test rows are wrong.",
        "worth": 6.4,
        "worth_low": 3.2,
        "worth_high": 9.6,
        "share": 0.45,
        "errors_before": 6,
        "errors_after": 3,
        "z": 3.9,
        "p_value": 0.01,
        "predicted_delta_loss": -0.34,
        "measured_delta_loss": -0.32,
        "features": "age",
        "larger": 3,
    }
    moved = {
        "finding": 3,
        "kind": "column",
        "cause": "scaled",
        "severity": "medium",
        "title": "“mass” is 2.2 times as large in test at every quantile: pounds for kilograms?",
        "columns": ["mass"],
        "n_test_rows": 20,
        "n_errors": 6,
        "test_row_ids": ["q1"],
        "fix": "scale",
        "advice": "Divide “mass” of the test rows by 2.2: 5 instead of 6 of 20 test rows are then wrong.",
        "worth": 3.4,
        "worth_low": 0.2,
        "worth_high": 6.6,
        "share": 0.24,
        "errors_before": 6,
        "errors_after": 5,
        "z": 2.1,
        "p_value": 1e-6,
    }
    folded = {"finding": 2, "columns": ["mass"], "levels": ["< 40"], "slice": "mass < 40", "left": 0.1}
    tried = {"finding": 1, "errors_before": 6, "loss_before": 0.7, "rows": 20, "own_rows": 8}
    tried |= {"own_errors_before": 4, "own_errors_after": 1, "own_loss_before": 1.1, "own_loss_after": 0.4}
    bins = [
        {"finding": 3, "column": "mass", "position": at, "level": level, "part": part, "share": share}
        for at, level in enumerate(("(missing)", "20 to 40", "40 to 60"))
        for part, share in (("train", (0.1, 0.8, 0.1)[at]), ("test", (0, 0.2, 0.8)[at]), ("fixed", 0.3))
    ]
    fixes = [
        {
            "fix": "remove",
            "detail": "2 training rows removed",
            "worth": 6.4,
            "errors_after": 3,
            "loss_after": 0.38,
            "predicted": -0.34,
            "measured": -0.32,
            "best": True,
        },
        {
            "fix": "relabel",
            "detail": "2 training rows relabelled as no",
            "worth": 2.0,
            "errors_after": 4,
            "loss_after": 0.6,
            "predicted": -0.1,
            "best": False,
        },
    ]
    scaled = {
        "finding": 3,
        "fix": "scale",
        "detail": "“mass” of the test rows divided by 2.2",
        "worth": 3.4,
        "errors_after": 5,
        "loss_after": 0.53,
        "best": True,
    }
    rates = {f"rate_{part}{end}": 0.5 for part in ("train", "test") for end in ("", "_low", "_high")}
    rows = {
        "findings": [slice_, slice_ | folded | {"severity": "medium", "under": 1}, nothing | moved],
        "fixes": [*(tried | one for one in fixes), tried | fixes[0] | {"finding": 2}, tried | scaled],
        "profiles": bins,
        "slices": [
            rates
            | {
                "column": "age",
                "level": "child",
                "n_train": 4,
                "n_test": 8,
                "n_errors": 4,
                "influence_share": 0.3,
                "lift": 3.0,
                "rank": 1,
                "rate_class": "yes",
                "loss": 1.2,
                "harm": 0.1,
                "errors_without": 1,
                "p_value": 0.01,
            }
        ],
        "features": [
            {"train_row_id": "t1", "column": "age", "value": "child", "finite_effect": -0.5, "finding": 1}
        ],
        "traces": [
            {
                "test_row_id": "q1",
                "test_row": 1,
                "train_row_id": name,
                "delta_loss_if_removed": change,
                "rank": rank,
            }
            for rank, (name, change) in enumerate((("t1", -0.2), ("t2", 0.1)), 1)
        ],
        "responsible": [
            {
                "test_row_id": "q1",
                "test_row": 1,
                "label": "no",
                "predicted_label": "yes",
                "p_label": 0.2,
                "loss": 1.6,
                "effective_rows": 5.0,
                "top_share": 0.4,
            }
        ],
        "harmful": [
            {"train_row_id": "t1", "label": "yes", "harm_on_errors": 0.5, "harm_on_test": 0.4, "rank": 1}
        ],
        "shift": [
            {
                "measure": "two-sample",
                "value": 0.6,
                "significant": True,
                "message": "Train and test differ (AUC 0.6).",
            },
            {
                "column": "age",
                "measure": "covariate",
                "value": 0.3,
                "p_value": 0.001,
                "significant": True,
                "message": "“age” differs.",
            },
        ],
        "health": HEALTH,
        "cells": [
            (row, column, cell, part)
            for row, part in (("q1", "test"), ("t1", "train"), ("t2", "train"))
            for column, cell in (("age", "child"), ("site", "north"), ("y", "yes"))
        ],
        "verification": [("q1", "t1", "removed", -0.2, -0.21)],
    }
    p = MismatchProvenance(
        **PAIR | {"command": "audit mismatch train.csv test.csv --label y"},
        n_errors=6,
        train_loss=0.3,
        test_loss=0.7,
    )
    return MismatchFindings(**_tables(MismatchFindings, rows), provenance=p)


MADE = {
    "explanation": explanation,
    "labels": lambda: made_up(n=12, text=False),
    "mismatch": mismatch,
    "vulnerability": vulnerability,
}
