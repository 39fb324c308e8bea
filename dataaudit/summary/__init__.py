"""What a report shows, as plain typed data.

`summarise` reads findings once and returns a `Summary`; every writer renders the same one, and formats its
numbers.
"""

from dataaudit.summary.build import TOP, excerpt, summarise
from dataaudit.summary.shapes import (
    Bar,
    BudgetPoint,
    BudgetStep,
    CalibrationBin,
    Cell,
    Check,
    Choice,
    Command,
    LabelCount,
    Neighbour,
    Rate,
    Refit,
    ReviewRow,
    Summary,
    Term,
    Trust,
    Verdict,
)

__all__ = [
    "TOP",
    "Bar",
    "BudgetPoint",
    "BudgetStep",
    "CalibrationBin",
    "Cell",
    "Check",
    "Choice",
    "Command",
    "LabelCount",
    "Neighbour",
    "Rate",
    "Refit",
    "ReviewRow",
    "Summary",
    "Term",
    "Trust",
    "Verdict",
    "excerpt",
    "summarise",
]
