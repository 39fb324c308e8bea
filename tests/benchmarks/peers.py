"""The same rows with planted wrong labels, by this tool and by its peers, one after the other.

    python tests/benchmarks/peers.py [--kind mails] [--rows 5000,20000] [--classes 2] [--threads 1]
                                     [--data FOLDER] [--limit 1200]
                                     [--save FILE] [--picture FILE] [-- OPTIONS]

Rows and flips are those of `scale.py`. `folds` is what cleanlab asks of its users: probabilities by five
folds of scikit-learn's logistic regression, on tf-idf, on standardised and one-hot columns, or on pixels from
0 to 1, made once; the order is cleanlab's self-confidence, and `cleanlab` puts its own label issues first.
`boosting` takes scikit-learn's histograms instead, where there is no text. Each is a process of its own;
printed are its seconds, processor seconds, largest memory and the average precision of the flips in its
order. --threads says how many threads the linear algebra of all of them has: where others work too, threads
that wait for each other are counted as work.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scale import (
    SIDES,
    Made,
    Point,
    Side,
    Spent,
    audit,
    made_apart,
    options_of,
    read,
    run,
    saved,
    write_picture,
)

OURS = "audit labels"
PEERS = ("folds", "cleanlab", "boosting")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def features_of(frame: pl.DataFrame) -> Any:
    """Return what the peers fit: tf-idf of a text, or columns as numbers, strings one-hot."""
    if "text" in frame.columns:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(frame["text"].to_list())
    if "pixels" in frame.columns:
        return frame["pixels"].to_numpy() / 255.0
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = frame.drop("id", "label").to_pandas()
    words = make_column_selector(dtype_exclude="number")
    levels = (OneHotEncoder(min_frequency=2, handle_unknown="ignore"), words)
    return make_column_transformer(levels, remainder=StandardScaler()).fit_transform(columns)


def peer(name: str, rows: Path, out: Path) -> None:
    """Write how suspect each row is: what a process of a peer does."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    frame = pl.read_parquet(rows)
    X, y = features_of(frame), np.unique(frame["label"].to_numpy(), return_inverse=True)[1]
    if name == "boosting":
        X, model = X.toarray() if hasattr(X, "toarray") else X, HistGradientBoostingClassifier(random_state=0)
    else:
        model = LogisticRegression(max_iter=1000)
    p = cross_val_predict(model, X, y, cv=5, method="predict_proba")
    suspect = 1.0 - p[np.arange(len(y)), y]
    if name == "cleanlab":
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores

        suspect = 1.0 - get_label_quality_scores(y, p) + find_label_issues(y, p)  # its issues come first
    np.save(out, suspect)


def by_peer(name: str, rows: Made, folder: Path, limit: float) -> tuple[Spent, float, int]:
    """Run a peer as a process; return what it took and the average precision."""
    from sklearn.metrics import average_precision_score

    path, out = folder / "rows.parquet", folder / f"{name}.npy"
    rows.frame.write_parquet(path)
    spent = run([sys.executable, __file__, "--peer", name, str(path), str(out)], limit)
    return spent, 0.0 if spent.failed else float(average_precision_score(rows.flipped, np.load(out))), 0


def compare(kind: str, size: tuple[int, int, int], methods: list[str], options: Any) -> list[Point]:
    """Run all methods on rows of one size, and print what each took."""
    n, p, k = size
    rows, points = made_apart(kind, n, k, p, words=options.words, data=options.data), list[Point]()
    print(f"{kind}: {n:,} rows, {k} classes", flush=True)
    for name in methods:
        with tempfile.TemporaryDirectory() as folder:
            if name == OURS:
                found = audit(rows, Path(folder), limit=options.limit, options=options.passed)
            else:
                found = by_peer(name, rows, Path(folder), options.limit)
        spent, precision, features = found
        if spent.failed:
            print(f"  {name:14s} {spent.failed}", flush=True)
            continue
        points.append(
            Point(kind, n, features, k, spent.seconds, spent.processor, spent.peak, precision, name)
        )
        print(
            f"  {name:14s} {spent.seconds:8.1f} s {spent.processor:8.1f} processor s {spent.peak:8,.0f} MiB  "
            f"average precision {precision:.4f}",
            flush=True,
        )
    return points


def draw(points: list[Point], path: Path) -> None:
    """Draw bars of every method side by side, a group for each kind and size."""
    groups = sorted({(point.kind, point.classes, point.rows) for point in points})
    methods = [name for name in (OURS, *PEERS) if any(point.method == name for point in points)]
    middle = (len(methods) - 1) / (2 * (len(methods) + 1))

    def side(panel: Any, value: Side) -> None:
        for at, name in enumerate(methods):
            bars = {(p.kind, p.classes, p.rows): value(p) for p in points if p.method == name}
            x = [groups.index(group) + at / (len(methods) + 1) for group in bars]
            panel.bar(x, list(bars.values()), width=1 / (len(methods) + 1), label=name)
        names = [f"{n:,} {kind}\n{k} classes" for kind, k, n in groups]
        panel.set_xticks([at + middle for at in range(len(groups))], names, fontsize=7)

    write_picture({**SIDES, "average precision": lambda point: point.precision or 0.0}, side, path)


def arguments(given: list[str]) -> Any:
    """Read the command line."""
    parser = options_of(__doc__, kind="mails", rows=[5_000, 20_000], limit=1200.0)
    parser.add_argument("--peers", default="folds,cleanlab", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--threads", type=int, help="of linear algebra, in all processes")
    return read(parser, given, quick=[300])


def main() -> int:
    """Compare all methods at all sizes."""
    if sys.argv[1:2] == ["--peer"]:
        warnings.simplefilter("ignore")
        peer(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return 0
    options = arguments(sys.argv[1:])
    if options.threads:
        os.environ.update(dict.fromkeys(THREADS, str(options.threads)))
    methods, points = [OURS, *filter(None, options.peers.split(","))], list[Point]()
    for k in options.classes:
        for n in options.rows:
            points += compare(options.kind, (n, options.features[0], k), methods, options)
    every = saved(options.save, points)
    if options.picture:
        draw(every, options.picture)
    return int(len(points) < len(methods) * len(options.classes) * len(options.rows))


if __name__ == "__main__":
    sys.exit(main())
