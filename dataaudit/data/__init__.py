"""From what the user has (a file, a folder, a pipe, a query, a frame) to one table with a name for every row.

::

    load ─┬─ paths      which files are meant; class folders of texts
          ├─ blob       their bytes: unpacked, hashed, or left on disk to be scanned; `pointers` are none
          ├─ archive    a zip file with one table; `remote` has what lies in a store or on the web
          ├─ hive       columns that stand in paths: ``y=yes/part-0.parquet``
          ├─ formats    delimited text, JSON, Parquet, Arrow, ARFF, spreadsheets, texts: a module each
          ├─ sql        a query: `connection` says where, `drivers` read it; `fingerprint` hashes
          ├─ frames     Polars and pandas frames; `objects` has Arrow streams, dicts and lists
          └─ dataset    what each of these gives, a Part, and the Dataset that `load` makes of all parts
"""
