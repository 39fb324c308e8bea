"""From what the user has (a file, a folder, a pipe, a query, a frame) to one table with a name for every row.

::

    load ─┬─ paths      which files are meant; class folders of texts
          ├─ blob       their bytes: unpacked, hashed, or left on disk to be scanned
          ├─ csv, json  delimited text, NDJSON and JSON; `lines` finds where each record starts
          ├─ arrow      Parquet and Arrow
          ├─ texts      a folder of text files by class
          ├─ sql        a query: `sql_connection` says where, `sql_drivers` read it; `fingerprint` hashes
          ├─ frames     Polars and pandas frames
          └─ dataset    what each of these gives, a Part, and the Dataset that `load` makes of all parts
"""
