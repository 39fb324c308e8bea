"""How time and memory of `audit labels` grow with rows, features and classes.

    python tests/benchmarks/scale.py [--kind texts] [--rows 2000,6000,20000] [--classes 2] [--features 0]
                                     [--data FOLDER] [--limit 600] [--save FILE] [--picture FILE] [-- OPTIONS]

The rows are real ones, resampled. `mails` are whole mails of six Enron users, as they are; `texts` are pieces
of two mails of one class, of --words words each, so that there are as many as one likes. Of two classes they
are ham and spam, of more the mails nearest to one of so many mails drawn at random. `table` are hospital
stays, a tenth of the cells taken from other stays; of more than three classes their label is the medical
specialty. `digits` are pictures of 784 pixels, as they are; --classes 10 says what they have. --features
keeps the commonest words, or so many columns; 0 keeps all. 10 % of the labels are flipped to another class,
and average precision tells how well the list finds them.

The command runs as a process, whose seconds, processor seconds and largest memory the kernel counts. Numbers
of rows are tried with the first number of classes and features, and these with the first number of rows;
the exponent is the slope of the logarithms, over all and from the last but one to the last. What follows --
goes to the command. --save adds to what was measured before, and --picture draws all of that.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import average_precision_score

FLIPPED = 0.1
DATA = Path(os.environ.get("DATAAUDIT_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
FROM_ANOTHER = 0.1  # share of the cells of a table
NOT_FEATURES = ("encounter_id", "patient_nbr", "readmitted", "medical_specialty")
FEWEST = 3  # classes that are readmissions


@dataclass(frozen=True)
class Made:
    """Rows with some labels flipped."""

    frame: pl.DataFrame  # id, label, and the columns
    flipped: np.ndarray


@dataclass(frozen=True)
class Spent:
    """What a process took."""

    seconds: float
    processor: float  # seconds of all cores
    peak: float  # MiB
    failed: str = ""  # the last line that it said, if it failed


@dataclass(frozen=True)
class Point:
    """One run."""

    kind: str
    rows: int
    features: int
    classes: int
    seconds: float
    processor: float
    peak: float
    precision: float | None = None
    method: str = "audit labels"


Side = Callable[[Point], float]
SIDES: dict[str, Side] = {
    "processor seconds": lambda point: point.processor,
    "largest memory, MiB": lambda point: point.peak,
}


def flip(frame: pl.DataFrame, seed: int) -> Made:
    """Give a tenth of the rows the label of another class, and each row a name."""
    random = np.random.default_rng((seed, 1))  # not as an audit draws its samples
    classes, y = np.unique(frame["label"].to_numpy(), return_inverse=True)
    flipped = np.zeros(len(y), dtype=bool)
    flipped[random.permutation(len(y))[: int(FLIPPED * len(y))]] = True
    other = (y + random.integers(1, len(classes), len(y))) % len(classes)
    label = pl.Series("label", classes[np.where(flipped, other, y)])
    return Made(frame.with_columns(label).with_row_index("id"), flipped)


def mails(source: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Draw whole mails."""
    return source.select("text", "label").sample(rows, seed=0, shuffle=True)


def texts(source: pl.DataFrame, rows: int, classes: int, *, features: int, words: int) -> pl.DataFrame:
    """Join pieces of two mails of one class."""
    label = source["label"] if classes == 2 else nearest(source["text"], classes)
    tokens = source["text"].str.to_lowercase().str.extract_all(r"\w{2,}")
    if features:
        tokens = _commonest(tokens, features)
    row, start = _pieces(tokens.list.len().to_numpy(), words)
    of_class = {name: np.flatnonzero(label.gather(row).to_numpy() == name) for name in label.unique().sort()}
    random = np.random.default_rng(1)
    drawn = random.choice(list(of_class), rows)
    pair = np.empty((2, rows), dtype=np.int64)
    for name, pieces in of_class.items():
        pair[:, drawn == name] = random.choice(pieces, (2, int((drawn == name).sum())))
    halves = [
        pl.DataFrame({"text": tokens.gather(row[some]), "at": start[some]}).select(
            pl.col("text").list.slice("at", words).list.join(" ")
        )["text"]
        for some in pair
    ]
    return pl.DataFrame({"text": halves[0] + " " + halves[1], "label": drawn})


def nearest(text: pl.Series, classes: int) -> pl.Series:
    """Return for each text the number of the nearest of so many, drawn at random among the longer ones."""
    X = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=20_000).fit_transform(text.to_list())
    long = np.flatnonzero(np.diff(X.indptr) >= np.median(np.diff(X.indptr)))
    centres = X[np.sort(np.random.default_rng(0).permutation(long)[:classes])]
    return pl.Series((X @ centres.T).toarray().argmax(1)).cast(pl.String).str.pad_start(3, "0")


def _commonest(tokens: pl.Series, features: int) -> pl.Series:
    """Return the texts without words that are not among the commonest."""
    counts = tokens.explode().drop_nulls().alias("word").value_counts()
    kept = counts.sort("count", "word", descending=[True, False]).head(features)["word"]
    inside = pl.element().filter(pl.element().is_in(kept.implode()))
    return tokens.to_frame("t").select(pl.col("t").list.eval(inside))["t"]


def _pieces(lengths: np.ndarray, words: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mail and the first word of every piece."""
    counts = np.maximum(lengths // words, 1)
    row = np.repeat(np.arange(len(lengths)), counts)
    return row, words * (np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts))


def table(source: pl.DataFrame, rows: int, classes: int, *, features: int) -> pl.DataFrame:
    """Draw hospital stays, a tenth of their cells from other ones."""
    random = np.random.default_rng(1)
    if classes <= FEWEST:
        label = source["readmitted"] if classes == FEWEST else source["readmitted"].replace("<30", ">30")
    else:
        label = source["medical_specialty"]
    counts = label.alias("label").value_counts().filter(pl.col("label") != "?").sort("count", "label")
    kept = label.is_in(counts["label"].tail(classes).implode())
    source, label = source.filter(kept), label.filter(kept)
    names = [name for name in source.columns if name not in NOT_FEATURES]
    drawn = random.integers(source.height, size=rows)
    columns = {}
    for at in range(features or len(names)):
        name = names[at % len(names)]
        moved = random.random(rows) < (FROM_ANOTHER if at < len(names) else 1.0)
        which = np.where(moved, random.integers(source.height, size=rows), drawn)
        columns[name if at < len(names) else f"{name} {at}"] = source[name].gather(which)
    return pl.DataFrame(columns).with_columns(label=label.gather(drawn))


def made(kind: str, rows: int, classes: int, features: int, *, words: int, data: Path) -> Made:
    """Make rows of a kind."""
    if kind == "digits":
        return flip(pl.read_parquet(data / "mnist_test.parquet").sample(rows, seed=0), 0)
    if kind == "table":
        return flip(table(pl.read_parquet(data / "diabetes130.parquet"), rows, classes, features=features), 0)
    source = pl.read_parquet(data / "enron_all.parquet")
    if kind == "mails":
        return flip(mails(source, rows), 0)
    return flip(texts(source, rows, classes, features=features, words=words), 0)


def made_apart(*given: Any, **named: Any) -> Made:
    """Make rows in a process of its own: what this one held would be the peak of all that it starts."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(made, *given, **named).result()


def run(command: list[str], limit: float) -> Spent:
    """Run a process to its end, or to the limit in seconds."""
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        # A new group, so that the limit ends its children as well.
        process = subprocess.Popen(
            ["timeout", "--signal=KILL", f"{limit:g}", *command],
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    failed = "" if process.returncode == 0 else (lines or [f"ended after {limit:g} s"])[-1]
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, failed)


def audit(rows: Made, folder: Path, *, limit: float, options: list[str]) -> tuple[Spent, float, int]:
    """Audit rows by the command; return what it took, the average precision, and the number of features."""
    path, out = folder / "rows.parquet", folder / "found"
    rows.frame.write_parquet(path)
    asked = [str(path), "--label", "label", "--id", "id", "--out", str(out), "-qq", *options]
    spent = run([sys.executable, "-m", "dataaudit", "labels", *asked], limit)
    if spent.failed:
        return spent, math.nan, 0
    ranks = pl.read_parquet(out / "labels.parquet", columns=["row", "rank"]).sort("row")["rank"]
    features = json.loads((out / "provenance.json").read_text(encoding="utf-8"))["n_features"]
    return spent, float(average_precision_score(rows.flipped, -ranks.to_numpy())), features


def measure(size: tuple[int, int, int], options: argparse.Namespace) -> Point | None:
    """Audit rows of one size, and print what it took."""
    n, p, k = size
    rows = made_apart(options.kind, n, k, p, words=options.words, data=options.data)
    with tempfile.TemporaryDirectory() as folder:
        spent, precision, features = audit(rows, Path(folder), limit=options.limit, options=options.passed)
    asked = f"{options.kind} {n:>9,} rows, {k:>3} classes"
    if spent.failed:
        print(f"{asked}: {spent.failed}", flush=True)
        return None
    print(
        f"{asked}, {features:>7,} features: {spent.seconds:8.1f} s, {spent.processor:8.1f} processor s, "
        f"{spent.peak:7,.0f} MiB, average precision {precision:.4f}",
        flush=True,
    )
    return Point(options.kind, n, features, k, spent.seconds, spent.processor, spent.peak, precision)


def sizes(rows: list[int], features: list[int], classes: list[int]) -> dict[str, list[tuple[int, int, int]]]:
    """Return the sizes along which each number grows."""
    n, p, k = rows[0], features[0], classes[0]
    lines = {
        "rows": [(n, p, k) for n in rows],
        "features": [(n, p, k) for p in features],
        "classes": [(n, p, k) for k in classes],
    }
    return {name: line for name, line in lines.items() if len(line) > 1} or {"rows": lines["rows"]}


def exponents(x: list[float], y: list[float]) -> tuple[float, float]:
    """Return the slope of log y in log x, over all and in the last step."""
    u, v = np.log(x), np.log(y)
    return float(np.polyfit(u, v, 1)[0]), float((v[-1] - v[-2]) / (u[-1] - u[-2]))


def report(name: str, points: list[Point]) -> None:
    """Print the exponents along one number."""
    x = [float(getattr(point, name)) for point in points]
    if len(set(x)) < 2:
        return
    for what, unit in (("processor", "processor seconds"), ("seconds", "seconds"), ("peak", "memory")):
        over_all, last = exponents(x, [getattr(point, what) for point in points])
        print(f"{unit} grow with {name} by the power {over_all:.2f}, at last {last:.2f}")


def saved(path: Path | None, points: list[Point]) -> list[Point]:
    """Add points to those in a file, in the place of older ones of their size, and return all."""
    if path is None:
        return points
    old = [Point(**found) for found in json.loads(path.read_text())] if path.exists() else []

    def size(point: Point) -> tuple[Any, ...]:
        return point.method, point.kind, point.classes, point.rows, point.features

    every = {size(point): point for point in [*old, *points]}
    kept = [every[key] for key in sorted(every)]
    lines = ",\n  ".join(json.dumps(asdict(point)) for point in kept)
    path.write_text(f"[\n  {lines}\n]\n", encoding="utf-8")
    return kept


def draw(points: list[Point], path: Path) -> None:
    """Draw processor seconds and memory against rows, a line for each kind and number of classes."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    lines: dict[tuple[str, int], list[Point]] = {}
    for point in points:
        lines.setdefault((point.kind, point.classes), []).append(point)

    def side(panel: Any, value: Side) -> None:
        for (kind, classes), found in sorted(lines.items()):
            line = sorted(found, key=lambda point: point.rows)
            x, y = [point.rows for point in line], [value(point) for point in line]
            panel.loglog(x, y, "o-", markersize=4, label=f"{kind}, {classes} classes")
        panel.set(xlabel="rows")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.set_minor_locator(NullLocator())
        panel.grid(alpha=0.3)

    write_picture(SIDES, side, path)


def write_picture(sides: dict[str, Side], side: Callable[[Any, Side], None], path: Path) -> None:
    """Draw what was measured side by side; the picture is the same to the byte where the figures are."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 3.5 * len(sides), 3.8), layout="constrained")
    for panel, (label, value) in zip(figure.subplots(1, len(sides)), sides.items(), strict=True):
        side(panel, value)
        panel.set(ylabel=label)
        panel.spines[["top", "right"]].set_visible(False)
    named = figure.axes[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    with rc_context({"svg.hashsalt": "dataaudit", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=120)


def arguments(given: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = options_of(__doc__, kind="texts", rows=[2_000, 6_000, 20_000], limit=600.0)
    return read(parser, given, quick=[200, 400])


def options_of(description: str, *, kind: str, rows: list[int], limit: float) -> argparse.ArgumentParser:
    """Return what a command line may ask for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("mails", "texts", "table", "digits"), default=kind)
    parser.add_argument("--rows", type=numbers, default=rows)
    parser.add_argument("--classes", type=numbers, default=[2])
    parser.add_argument("--features", type=numbers, default=[0])
    parser.add_argument("--words", type=int, default=20, help="of each of the two pieces of a text")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--limit", type=float, default=limit, help="seconds of one run")
    parser.add_argument("--save", type=Path, help="JSON file to add what is measured to")
    parser.add_argument("--picture", type=Path, help="SVG or PNG file")
    parser.add_argument("--quick", action="store_true", help="a few hundred rows, to see that all is there")
    return parser


def read(parser: argparse.ArgumentParser, given: list[str], *, quick: list[int]) -> argparse.Namespace:
    """Read the command line; what follows -- goes to the command."""
    at = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:at])
    options.passed = given[at + 1 :]
    if options.quick:
        options.rows, options.classes, options.features = quick, [2], [0]
    return options


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> int:
    """Measure all sizes, then print how they grow."""
    options = arguments(sys.argv[1:])
    points, failed = list[Point](), False
    for name, line in sizes(options.rows, options.features, options.classes).items():
        found = [point for size in line if (point := measure(size, options))]
        report(name, found)
        points += found
        failed |= len(found) < len(line)
    every = saved(options.save, points)
    if options.picture:
        draw(every, options.picture)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
