"""Wrong labels in tables of many classes, few rows each: the default order against a forest of five folds.

    python tests/benchmarks/classes.py [--tables letter,vowel] [--rows 1040] [--seeds 3]

Tables and flips are those of `tables.py`; the forest has 300 trees. Exits with 1 if the mean of average
precision is below the forest's by more than .02.
"""

import argparse
import sys
import time
import warnings

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from tables import load, numbers, ours, peer

TABLES, LOSS = "letter,vowel,movement_libras,texture", 0.02


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default=TABLES, help="names, separated by commas")
    parser.add_argument("--rows", type=int, default=1040, help="most rows of a table")
    parser.add_argument("--seeds", type=int, default=3, help="draws of rows and flips")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    means = []
    for name in options.tables.split(","):
        scores, spent = [], []
        for seed in range(options.seeds):
            table, y, flipped = load(name, options.rows, seed)
            begin = time.process_time()
            default, left_out, _, basis = ours(table, y, flipped)
            middle = time.process_time()
            forest, _ = peer(lambda: RandomForestClassifier(300, random_state=0), numbers(table), y, flipped)
            scores.append((default, left_out, forest))
            spent.append((middle - begin, time.process_time() - middle))
        mean, cpu = np.mean(scores, axis=0), np.mean(spent, axis=0)
        shown = "  ".join(f"{value:.3f}" for value in mean)
        each = " ".join(f"{default:.3f}" for default, _, _ in scores)
        print(f"{name:16s} {shown}  CPU {cpu[0]:.1f} s, forest {cpu[1]:.1f} s  ({each})  {basis}", flush=True)
        means.append(mean)
    default, left_out, forest = np.mean(means, axis=0)
    kept = default >= forest - LOSS
    print(
        f"{'PASS' if kept else 'FAIL'}: ours {default:.3f}, leave-one-out {left_out:.3f}, forest {forest:.3f}"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
