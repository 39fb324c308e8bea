"""From a review's decisions to repaired data, and back.

::

    decisions   what a reviewer decided, JSON lines or CSV
    annotations ── consensus   decisions out of what people chose in other tools
    plan        checked against findings and data: one change a row
    apply ─┬─ csv, json ── edits   spans of bytes to change in a text file
           ├─ arrow ── layout      Parquet and Arrow, by slices, in the layout that the file had
           └─ journal              what undo needs
    undo        the way back
"""

from __future__ import annotations
