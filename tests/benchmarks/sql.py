"""How long the result of a query takes to become a dataset, sorted and hashed, beside the same table as CSV.

Bar: 1,000,000 rows × 10 columns take at most 10 times as long as from CSV, in 2 GiB, and are the same rows
whatever the database. The server is started here, where PostgreSQL is installed.
"""

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from adbc_driver_postgresql import dbapi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from postgres import running

ROWS, TIMES, GIB = 1_000_000, 10.0, 2.0
CODE = """
import resource, sys, time
from dataaudit.data.sql.query import Query
from dataaudit.data.load import load
start = time.perf_counter()
place = sys.argv[1]
data = load(place if place.endswith(".csv") else Query("select * from big", place), target="y")
seconds = time.perf_counter() - start
print(data.n, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, data.origins[0].sha256)
"""


def table() -> pl.DataFrame:
    """Return five columns of fractions, three of counts, one of texts, and labels."""
    random = np.random.default_rng(0)
    columns = {f"x{i}": random.standard_normal(ROWS) for i in range(5)}
    columns |= {f"k{i}": random.integers(0, 100, ROWS) for i in range(3)}
    text = pl.Series([f"the text of row {i}" for i in range(ROWS)])
    return pl.DataFrame(columns).with_columns(text=text, y=pl.Series(random.choice(["a", "b"], ROWS)))


def fill(frame: pl.DataFrame, folder: Path, address: str) -> dict[str, str]:
    """Put the table into a database of each kind; return their addresses."""
    with sqlite3.connect(folder / "a.db") as lite:
        lite.execute(f"CREATE TABLE big ({', '.join(frame.columns)})")
        lite.executemany(f"INSERT INTO big VALUES ({', '.join('?' * frame.width)})", frame.iter_rows())
    lite.close()
    frame.write_parquet(folder / "a.parquet")
    with duckdb.connect(str(folder / "a.duckdb")) as duck:
        duck.execute(f"CREATE TABLE big AS FROM '{folder / 'a.parquet'}'")
    with dbapi.connect(address) as server, server.cursor() as cursor:
        cursor.adbc_ingest("big", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        server.commit()
    frame.write_csv(folder / "a.csv")
    files = {"CSV": "a.csv", "SQLite": "a.db", "DuckDB": "a.duckdb"}
    return {name: str(folder / file) for name, file in files.items()} | {"PostgreSQL": address}


if __name__ == "__main__":
    with running() as server, tempfile.TemporaryDirectory() as folder:
        base, hashes, bad = 0.0, set(), False
        for name, place in fill(table(), Path(folder), server.address()).items():
            command = [sys.executable, "-c", CODE, place]
            done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            rows, seconds, gib = int(done[0]), float(done[1]), float(done[2])
            base = base or seconds
            print(f"{name:10s} {rows:,} rows × 10: {seconds:5.1f} s, {seconds / base:4.1f} ×, {gib:.1f} GiB")
            bad |= seconds > TIMES * base or gib > GIB
            if name != "CSV":
                hashes.add(done[3])
        if bad or len(hashes) > 1:
            sys.exit("reading a query takes too much, or the databases do not give the same rows")
