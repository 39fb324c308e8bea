"""Reviewing the ranked rows one by one, without a word on how it looks.

::

    queue     the rows in the order in which they are looked at
    standing  how far a review is, what it has found, and whether it may stop
    review    queue + decisions + where one is; decide, undo, move, find: each gives a new one
    keys      from a key to the next state of the desk
    book      the file of decisions, whole after every one
    rows      what is shown of a row, from the tables or from the data
    learning  the model that learns from decisions, on a thread of its own
"""

from __future__ import annotations
