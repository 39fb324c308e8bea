"""From a review's decisions to repaired data, and back.

::

    decisions   what a reviewer said, JSON lines or CSV
    plan        checked against findings and data: one change a row
    apply ─┬─ delimited, jsontext   spans of bytes to change in a text file ── edits
           ├─ arrowtable            Parquet and Arrow, by slices
           ├─ journal               what undo needs
           └─ disk                  whole files or none
    undo        the way back
    comparison  the model before and after
"""

from __future__ import annotations
