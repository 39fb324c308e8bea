"""Bytes from a real pipe, their format told from themselves."""

import gzip
import io
import os
import subprocess
import sys

import polars as pl
import pytest

FRAME = pl.DataFrame({"x": [1, 2], "y": ["p", "q"]})
CODE = """
import sys
from dataaudit.errors import AuditError
from dataaudit.data.load import load
try:
    data = load("-", target="y")
    print(data.frame.rows(), data.row_id.to_list(), data.origins[0].format, len(data.origins[0].sha256))
except AuditError as error:
    print(type(error).__name__, error)
"""


def binary(method):
    buffer = io.BytesIO()
    getattr(FRAME, method)(buffer)
    return buffer.getvalue()


def piped(root, data):
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], input=data, env=environment, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    ("data", "kind", "ids"),
    [
        (FRAME.write_csv().encode(), "csv", ":2,:3"),
        (gzip.compress(FRAME.write_csv(separator="\t").encode()), "tsv+gzip", ":2,:3"),
        (FRAME.write_ndjson().encode(), "ndjson", ":1,:2"),
        (b'\xef\xbb\xbf [\n{"x":1,"y":"p"},\n{"x":2,"y":"q"}]', "json", ":2,:3"),
        (binary("write_parquet"), "parquet", "#0,#1"),
        (binary("write_ipc"), "arrow", "#0,#1"),
        (binary("write_ipc_stream"), "arrow", "#0,#1"),
    ],
    # Named by hand: pytest would put the bytes in the name, and those of gzip hold the time of the
    # compression, so that two workers would collect different tests.
    ids=["csv", "gzip", "ndjson", "json", "parquet", "arrow", "arrow-stream"],
)
def test_format_is_told_from_the_bytes(root, data, kind, ids):
    names = [f"<stdin>{mark}" for mark in ids.split(",")]
    assert piped(root, data) == f"{FRAME.rows()} {names} {kind} 64"


def test_nothing_comes(root):
    assert piped(root, b"").startswith("UnreadableFile <stdin> is empty: got 0 bytes")
