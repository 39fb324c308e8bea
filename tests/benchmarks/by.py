"""Who mislabels, on answers of 44 people of whom three are mostly wrong: found, left out, and what it brings.

    python tests/benchmarks/by.py FOLDER

FOLDER holds music_long.parquet (`label`, `label_true`, `annotator`, `id`, numbers), of which the audit never
sees the truth, and music_test.parquet, the numbers with true labels. Printed are the first levels with how
many of their labels are wrong in truth, how many levels the intervals cover, what leaving out those that
stand out does to the leave-one-out loss of the others and to the accuracy on the test rows: by the model of
all rows, after one Newton step, after a refit, and with basis and λ chosen anew. The bar is 0.70; a standard
error of the accuracy is 0.027.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

import dataaudit
from dataaudit.audits.levels import others_loss, without
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train

WORST = {"w12", "w36", "w38"}
LEAST = 0.70  # accuracy without them
COLUMNS = ["annotator", "id"]  # that the test rows lack


def coverage(by, truth):
    """Return the share of levels whose true number of wrong labels is within the interval."""
    both = by.join(truth, left_on="level", right_on="annotator")
    return both.select(pl.col("wrong").is_between("low", "high").mean()).item()


def learned(audit, frame):
    """Return the table after somebody who knows the truth has looked at 100 rows."""
    rows = audit.sample(100)
    at = rows["row"].to_list()
    wrong = (frame["label"] != frame["label_true"])[at]
    actions = pl.Series("action", ["relabel" if one else "keep" for one in wrong])
    decisions = rows.select("row_id").with_columns(actions, label=frame["label_true"][at])
    return audit.learn(decisions).by


def accuracy(trained, test):
    """Return the share of test rows that are predicted right."""
    p = trained.probabilities(test.drop("label"))
    return float((np.array(trained.classes)[p.argmax(1)] == test["label"].to_numpy()).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--basis", default="auto")
    given = parser.parse_args()
    folder = given.folder
    frame, test = (pl.read_parquet(folder / f"music_{name}.parquet") for name in ("long", "test"))
    wrong = (pl.col("label") != pl.col("label_true")).sum().alias("wrong")
    truth = frame.group_by("annotator").agg(wrong)
    start = time.perf_counter()
    audit = dataaudit.audit_labels(
        frame, label="label", exclude=["label_true"], by=["annotator"], verify=0, top=0
    )
    print(f"audit with --by annotator: {time.perf_counter() - start:.1f} s")
    for row in (
        audit.by.head(5)
        .join(truth, left_on="level", right_on="annotator", maintain_order="left")
        .iter_rows(named=True)
    ):
        print(
            f"  {row['level']}: {row['expected_wrong']:.0f} [{row['low']:.0f}, {row['high']:.0f}] "
            f"of {row['n']}, {row['wrong']} in truth; {row['times_average']:.1f} times the average, "
            f"p {row['p_value']:.1g}"
        )
    first = set(audit.by["level"].head(3))
    print(f"the first three are those: {first == WORST}; intervals cover {coverage(audit.by, truth):.2f}")
    print(f"after 100 looks they cover {coverage(learned(audit, frame), truth):.2f}")

    options = LabelOptions(
        label="label", exclude=["label_true", *COLUMNS], by=["annotator"], basis=given.basis
    )
    dataset, target = read_labelled(frame, options)
    trained = train(encode_training(dataset, target, options), options)
    rows = np.flatnonzero(dataset.frame["annotator"].is_in(list(first)).to_numpy())
    found, test = without(trained, rows), test.drop("id")
    shares = [accuracy(model, test) for model in (trained, found.predicted, found.measured)]
    predicted, measured = others_loss(trained, rows)
    print(f"loss of the others, nats a row: {predicted:+.3f} predicted, {measured:+.3f} measured")
    others, y = read_labelled(frame.filter(~pl.col("annotator").is_in(list(first))), options)
    shares.append(accuracy(train(encode_training(others, y, options), options), test))
    print("accuracy: {:.3f}; predicted {:.3f}, refitted {:.3f}, chosen anew {:.3f}".format(*shares))
    kept = first == WORST and min(shares[1:]) >= LEAST
    print("bars kept" if kept else "bars missed")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
