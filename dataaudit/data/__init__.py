"""From what the user has (a file, a folder, a pipe, a query, a frame) to one table with a name for every row.

::

    load ─┬─ find       which files are meant; class folders of texts
          ├─ blob       their bytes: unpacked, hashed, or left on disk to be scanned
          ├─ tables     which format a file is ─┬─ delimited (+ physical, cells)   CSV and its kin
          │                                     ├─ jsonrecords (+ physical)        NDJSON, JSON
          │                                     └─ binary                          Parquet, Arrow
          ├─ sql        a query: sql_text, sql_connection ─┬─ sql_postgres, sql_duckdb     Arrow batches
          │             in a stable order, hashed          └─ sql_sqlite                  blocks of rows
          ├─ texts      a folder of text files by class
          ├─ frames     Polars and pandas frames
          └─ combine    parts → Dataset: one schema, one row_id per row
"""

from __future__ import annotations

from dataaudit.data.dataset import Dataset, Origin
from dataaudit.data.load import load
from dataaudit.data.sql import Query

__all__ = ["Dataset", "Origin", "Query", "load"]
