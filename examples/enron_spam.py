"""The paper's spam case: flip 10 % of the labels of Enron1, audit it, count the flips found.

    python examples/enron_spam.py --data enron1.parquet
    python examples/enron_spam.py                          # downloads the public corpus, 1.8 MB

Koh & Liang (2017), section 5.4, ranks by self-influence on a bag of words; the default order here is the
probability that a label is wrong. Both are shown. A fifth of the rows is set aside, as in the paper.

The corpus (Metsis, Androutsopoulos, Paliouras 2006) is checked by its contents: SHA-256 over identifier,
label and printable ASCII text of every message in the order of identifiers. Hence one figure covers the
archive and a Parquet file made of it, whatever encoding or line ends the latter was read with.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import sys
import tarfile
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl

import dataaudit

URL = "https://www2.aueb.gr/users/ion/data/enron-spam/preprocessed/enron1.tar.gz"
CONTENTS = "b3cace9125f7409c877316226a29f8d1a70bf3728d46180c2fc1a4abb27885b9"
FLIPPED, SET_ASIDE = 0.1, 0.2


def main() -> None:
    """Read, flip, audit twice, print."""
    parser = argparse.ArgumentParser(description="The paper's spam case.")
    parser.add_argument("--data", type=Path, help="a table with the columns id, text and label")
    parser.add_argument("--seed", type=int, default=0, help="which rows are flipped")
    arguments = parser.parse_args()
    frame = pl.read_parquet(arguments.data) if arguments.data else downloaded()
    if checksum(frame) != CONTENTS:
        print("note: these are not the 5,172 messages of Enron1, so other figures are to be expected")
    train, wrong = flipped(frame, arguments.seed)
    print(f"{train.height:,} messages, {wrong.sum():,} labels flipped\n")
    print(f"{'order':16s} {'found at 5 %':>12s} {'10 %':>7s} {'20 %':>7s} {'AP':>7s}")
    for rank in ("auto", "self-influence"):
        audit = dataaudit.audit_labels(train, label="label", text="text", id="id", rank=rank, verify=0)
        found = audit.labels.join(train.select("id", wrong=wrong), left_on="row_id", right_on="id")
        hits = found.sort("rank")["wrong"].to_numpy()
        shares = [hits[: round(share * len(hits))].sum() / hits.sum() for share in (0.05, 0.1, 0.2)]
        figures = f"{shares[0]:12.3f} {shares[1]:7.3f} {shares[2]:7.3f} {average_precision(hits):7.3f}"
        print(f"{audit.findings.provenance.ranking:16s} {figures}")


def flipped(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.Series]:
    """Return the training rows with a share of wrong labels, and which those are."""
    random = np.random.default_rng(seed)
    rows = random.permutation(frame.height)[: round((1 - SET_ASIDE) * frame.height)]
    train = frame[np.sort(rows)]
    wrong = np.zeros(train.height, dtype=bool)
    wrong[random.permutation(train.height)[: round(FLIPPED * train.height)]] = True
    other = pl.when(pl.col("label") == "spam").then(pl.lit("ham")).otherwise(pl.lit("spam"))
    label = pl.when(pl.Series(wrong)).then(other).otherwise(pl.col("label"))
    return train.with_columns(label=label), pl.Series("wrong", wrong)


def average_precision(hits: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """Return the mean, over the wrong rows, of the precision down to each."""
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def downloaded() -> pl.DataFrame:
    """Return the corpus from its authors' page; refuse it if it is not what it was."""
    print(f"downloading {URL}", file=sys.stderr)
    with urllib.request.urlopen(URL, timeout=60) as answer:
        archive = io.BytesIO(answer.read())
    rows = []
    with tarfile.open(fileobj=archive) as files:
        for member in files:
            content = files.extractfile(member)
            if content and re.fullmatch(r"enron1/(ham|spam)/.+\.txt", member.name):
                text = content.read().decode("latin-1").replace("\r\n", "\n")
                rows.append((member.name, text, member.name.split("/")[1]))
    frame = pl.DataFrame(sorted(rows), schema=["id", "text", "label"], orient="row")
    if checksum(frame) != CONTENTS:
        sys.exit(f"error: {URL} does not hold the messages it held: got {checksum(frame)}. Hint: use --data.")
    return frame


def checksum(frame: pl.DataFrame) -> str:
    """Return SHA-256 over identifier, label and printable ASCII text of all rows, sorted by identifier."""
    digest = hashlib.sha256()
    for fields in frame.select("id", "label", "text").sort("id").iter_rows():
        digest.update("\n".join(re.sub(r"[^!-~]", "", field) for field in fields).encode() + b"\n")
    return digest.hexdigest()


if __name__ == "__main__":
    main()
