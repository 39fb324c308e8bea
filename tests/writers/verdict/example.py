"""Verdicts as the gate would give them, of any size, and with anything in their texts."""

import io

from dataaudit.findings.verdict import Finding, Outcome, Rule, Site, Verdict
from dataaudit.writers import get
from dataaudit.writers.places import Surroundings

AROUND = Surroundings(folder="/home/me/repo", root="/home/me/repo")
DOC = """## What it does

Counts rows whose label is *likely wrong*: `p_wrong` is the probability.

## Why it matters

- A model learns **what it is told**.
- So does whoever reads the data.

## How to look at it

1. Run `audit labels` on the file.
2. Read the [first rows](https://example.org/rows).
"""
SUSPECT = Rule(
    code="DA101",
    name="suspect-labels",
    pack="labels",
    title="Labels are likely wrong",
    table="labels",
    where="p_wrong > 0.9",
    severity="error",
    precision="high",
    message="{value} labels are likely wrong, limit {limit}",
    doc=DOC,
)
LEAKED = Rule(
    code="DA301",
    name="leaked-rows",
    pack="leakage",
    title="Test rows stand in the training data too",
    table="pairs",
    severity="error",
    precision="very-high",
    message="{value} test rows are in the training data",
    doc=DOC,
)
MISSING = Rule(
    code="DA501",
    name="missing-cells",
    pack="table",
    title="A column has many missing cells",
    table="columns",
    measure="max",
    column="missing",
    limit=0.2,
    unit="share",
    scope="column",
    message="a column lacks {value} of its cells",
    doc="Counts the cells that are empty.",
)
APART = Rule(
    code="DA401",
    name="train-test-apart",
    pack="domain",
    title="Training and test rows can be told apart",
    table="drift",
    measure="max",
    column="auc",
    limit=0.6,
    unit="AUC",
    severity="note",
    scope="dataset",
    precision="low",
    message="train and test can be told apart",
    doc="Fits a classifier.",
)
TRAVEL = Rule(
    code="DA304",
    name="time-travel",
    pack="leakage",
    title="Test rows are older than training rows",
    table="dates",
    message="{value} test rows are older",
    doc="Looks at the dates.",
)


def suspects(n, *, source="data/train.csv", by_line=True, payload=None):
    """Return so many suspect rows; those of a binary file have no line. A payload replaces texts."""
    found = []
    for i in range(n):
        place = f"{source}:{2 * i + 2}" if by_line else f"{source}#{i}"
        said = f"Labelled “ham”, but the other rows suggest “spam” (p_wrong 0.{999 - i % 99})."
        texts = (said, place, f"mail-{i}") if payload is None else (payload, payload, payload)
        found.append(
            Finding(
                message=texts[0],
                site=Site(source=source, row=i, line=2 * i + 2 if by_line else None, row_id=texts[1]),
                fingerprint=f"{i:032x}",
                score=2.31 - 1e-5 * i,
                details={"row_id": texts[2], "p_wrong": 0.97, "suggested": "spam", "nan": float("nan")},
            )
        )
    return tuple(found)


def outcome(rule, *, status="broken", dataset="spam-train", findings=(), **values):
    """Return what became of a rule, with a message that fits."""
    said = {
        "broken": "is broken",
        "passed": "holds",
        "skipped": "does not apply",
        "failed": "cannot be judged",
    }
    about = {
        "message": f"{'It does not apply: ' * (status == 'skipped')}Rule {rule.code} {said[status]}.",
        "place": Site(source="data/train.csv"),
        "seconds": 0.25,
    }
    judged = status in ("passed", "broken")
    about |= {"value": float(len(findings)) if judged else None, "total": len(findings)}
    return Outcome(rule=rule, dataset=dataset, status=status, findings=tuple(findings), **(about | values))


def verdict(n=43, **values):
    """Return a verdict with `n` suspect rows; 0 is one in which nothing is wrong."""
    if n == 0:
        outcomes = (outcome(SUSPECT, status="passed"), outcome(TRAVEL, status="skipped"))
    else:
        message = f"{n:,} labels are likely wrong, where 0 are allowed."
        outcomes = (
            outcome(SUSPECT, findings=suspects(n), message=message),
            outcome(TRAVEL, status="skipped"),
        )
    about = {"datasets": {"spam-train": {"paths": ["data/train.csv"], "rows": 5172}}, "version": "0.1.0"}
    return Verdict(outcomes=outcomes, **(about | values))


def mixed():
    """Return a verdict that has everything: datasets, statuses, states and severities."""
    first, second, third, *rest = suspects(30)
    changed = Finding(**(parts(second) | {"state": "changed"}))
    accepted = Finding(**(parts(first) | {"accepted": "Read by two people, 2026-11-02."}))
    known = Finding(**(parts(third) | {"state": "known"}))
    new = [Finding(**(parts(f) | {"state": "new"})) for f in rest]
    column = Finding(
        message="Column “age” lacks 31.0 % of its cells.",
        site=Site(source="data/train.csv", column="age"),
        fingerprint="a" * 32,
        score=0.31,
    )
    whole = Finding(
        message="A classifier tells them apart with AUC 0.71.",
        site=Site(source="data/test.parquet"),
        fingerprint="b" * 32,
    )
    leaked = suspects(700, source="data/test.parquet", by_line=False)
    test = {"dataset": "mail-test", "place": Site(source="data/test.parquet")}
    outcomes = (
        outcome(
            SUSPECT,
            findings=(accepted, changed, known, *new),
            value=28.0,
            base_value=1.0,
            message="28 labels are likely wrong, where 0 are allowed.",
        ),
        outcome(TRAVEL, status="skipped", message="No date column is named."),
        outcome(MISSING, findings=(column,), value=0.31, message="A column lacks 31.0 % of its cells."),
        outcome(
            LEAKED,
            findings=leaked[:500],
            total=700,
            value=700.0,
            message="700 test rows are in the training data.",
            **test,
        ),
        outcome(APART, findings=(whole,), value=0.71, message="Train and test can be told apart.", **test),
        outcome(
            MISSING,
            status="failed",
            message="The file cannot be read: it ends in the middle.",
            **test,
        ),
    )
    facts = {
        "spam-train": {
            "paths": ["data/train.csv"],
            "rows": 5172,
            "sha256": "5c1d" * 16,
            "base": "origin/main",
        },
        "mail-test": {"paths": ["data/test.parquet"], "declared": "pyproject.toml", "declared_line": 41},
    }
    notes = ("2 entries of the baseline look mended: run audit baseline prune.",)
    return Verdict(outcomes=outcomes, datasets=facts, notes=notes, version="0.1.0")


def hostile(payload):
    """Return a verdict in which every text that may come from outside is the payload."""
    texts = dict.fromkeys(("name", "pack", "title", "unit", "doc"), payload) | {"code": payload or "DA000"}
    rule = Rule(**{name: getattr(SUSPECT, name) for name in SUSPECT.__slots__} | texts)
    row, *rows = suspects(12, source=f"data/{payload}.csv", payload=payload)
    accepted = Finding(**(parts(row) | {"accepted": payload or "read"}))
    binary = suspects(3, source=payload, by_line=False, payload=payload)
    column = Finding(
        message=payload,
        site=Site(source="data/train.csv", column=payload),
        fingerprint=payload or "f" * 32,
        score=0.5,
    )
    about = {"dataset": payload, "message": payload, "place": Site(source=payload)}
    outcomes = (
        outcome(SUSPECT, findings=(accepted, *rows, *binary, column), **about),
        outcome(rule, findings=rows, **about),
        *(outcome(rule, status=status, **about) for status in ("passed", "skipped", "failed")),
    )
    return Verdict(
        outcomes=outcomes, datasets={payload: {payload: payload}}, notes=(payload,), version=payload
    )


def parts(finding):
    """Return the fields of a finding, to make another like it."""
    return {name: getattr(finding, name) for name in finding.__slots__}


def written(name, told, around=AROUND):
    """Return what a format writes."""
    out = io.StringIO()
    get(name, "check").write(told, around, out)
    return out.getvalue()
