"""The page of 500 review rows: its size, how long it takes to write, and until a browser lets one decide.

Needs Enron1 and a Chromium: ``python tests/benchmarks/page.py --data ../shared/data``.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import dataaudit
from dataaudit.writers.html import write_report

RUNS = 5


def flipped(path):
    """Return Enron1 with one label in ten the other one."""
    frame = pl.read_parquet(path)
    wrong = np.random.default_rng(0).random(len(frame)) < 0.1
    other = pl.when(pl.col("label") == "spam").then(pl.lit("ham")).otherwise(pl.lit("spam"))
    return frame.with_columns(pl.when(pl.Series(wrong)).then(other).otherwise("label").alias("label"))


def decidable(path):
    """Return the seconds from opening the page to the first row that a key has opened."""
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(RUNS):
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.keyboard.press("j")
            page.wait_for_function("document.querySelector('[aria-current] details[open]') !== null")
            times.append(time.perf_counter() - start)
            page.close()
        browser.close()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    found = dataaudit.audit_labels(
        flipped(parser.parse_args().data / "enron1.parquet"), label="label", text="text"
    )
    with tempfile.TemporaryDirectory() as folder:
        path, times = Path(folder) / "report.html", []
        for _ in range(RUNS):
            start = time.perf_counter()
            write_report(found.tables, path)
            times.append(time.perf_counter() - start)
        print(f"written in {statistics.median(times):.2f} s, {path.stat().st_size / 1e6:.2f} MB")
        print(f"a row can be decided after {statistics.median(decidable(path)):.2f} s (median of {RUNS})")


if __name__ == "__main__":
    main()
