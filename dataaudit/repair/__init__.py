"""From a review's decisions to repaired data, and back.

::

    decisions   what a reviewer decided, JSON lines or CSV
    plan        checked against findings and data: one change a row
    apply ─┬─ csv, json ── edits   spans of bytes to change in a text file
           ├─ arrow                Parquet and Arrow, by slices
           └─ journal              what undo needs
    undo        the way back
"""

from __future__ import annotations
