"""Wrong labels by out-of-sample probabilities of three models: this order beside three of cleanlab's.

    python tests/benchmarks/pred_probs.py

Three tables of scikit-learn, at most 900 rows; 10 % of the labels flipped at random, or a quarter of a class.
Average precision of each order; exits with 1 if the mean by `p_wrong` is below any other.
"""

import sys
import warnings

import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dataaudit

TABLES = {"cancer": load_breast_cancer, "wine": load_wine, "digits": load_digits}
MODELS = {
    "forest": RandomForestClassifier(100, random_state=0),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "boosting": HistGradientBoostingClassifier(max_iter=30, random_state=0),
}
THEIRS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def flipped(y, kind, seed=1):
    """Return labels of which some are wrong, and which."""
    random, K, given = np.random.default_rng(seed), y.max() + 1, y.copy()
    pool = np.arange(len(y)) if kind == "random" else np.flatnonzero(y == 0)
    rows = random.permutation(pool)[: len(y) // 10 if kind == "random" else len(pool) // 4]
    given[rows] = (given[rows] + random.integers(1, K, len(rows))) % K if kind == "random" else 1
    return given, np.isin(np.arange(len(y)), rows)


def main():
    """Print a line a table, kind of noise and model, and the means."""
    warnings.simplefilter("ignore")
    found = []
    print(f"{'':28}{'p_wrong':>9}" + "".join(f"{name[:16]:>18}" for name in THEIRS))
    for name, load in TABLES.items():
        X, y = (part[:900] for part in load(return_X_y=True))
        for kind in ("random", "one way"):
            given, wrong = flipped(y, kind)
            for model, estimator in MODELS.items():
                P = cross_val_predict(estimator, X, given, method="predict_proba")
                labels = dataaudit.audit_labels({"y": given}, label="y", pred_probs=P).labels.sort("row")
                scores = [-labels["rank"].to_numpy()]
                scores += [-get_label_quality_scores(given, P, method=method) for method in THEIRS]
                found.append([average_precision_score(wrong, score) for score in scores])
                line = "".join(f"{value:{9 + 9 * (at > 0)}.3f}" for at, value in enumerate(found[-1]))
                print(f"{name:8}{kind:10}{model:10}{line}", flush=True)
    means = np.mean(found, axis=0)
    print(f"{'mean':28}" + "".join(f"{value:{9 + 9 * (at > 0)}.3f}" for at, value in enumerate(means)))
    sys.exit(int(means[0] < means.max()))


if __name__ == "__main__":
    main()
