"""Reviewing the ranked rows one by one in a terminal.

::

    queue     the rows in the order in which they are looked at
    progress  how far a review is, what it has found, and whether it may stop
    session   queue + decisions + where one is; from a key to the next state
    file      the file of decisions, whole after every one
    rows      what is shown of a row, from the tables or from the data
    learning  the count and the order that decisions teach
    keyboard, screen, loop    keys, lines, and look, press, save, again
"""

from __future__ import annotations
