"""Reviewing the ranked rows one by one in a terminal.

::

    progress  the queue of rows; how far a review is, what it has found, and whether it may stop
    session   queue + decisions + where one is; from a key to the next state
    rows      what is shown of a row, from the tables or from the data
    learning  the count and the order that decisions teach
    keyboard, screen, loop    keys, lines, and look, press, save the whole file of decisions, again
"""

from __future__ import annotations
