"""What a report shows, as plain typed data.

`summarise` reads the findings of labels once and returns a `Summary`, `summarise_mismatch` those of a
mismatch and returns a `MismatchSummary`; every writer renders the same one, and formats its numbers.
"""

from dataaudit.summary.build import TOP, excerpt, summarise
from dataaudit.summary.mismatch import summarise_mismatch
from dataaudit.summary.mismatch_shapes import (
    Carrier,
    ColumnLevels,
    Concentration,
    Difference,
    FindingCard,
    HarmfulRow,
    LevelShare,
    MismatchSummary,
    NamedRow,
    SliceLine,
    TracedRow,
    TracedTest,
    Tried,
)
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
    "Carrier",
    "Cell",
    "Check",
    "Choice",
    "ColumnLevels",
    "Command",
    "Concentration",
    "Difference",
    "FindingCard",
    "HarmfulRow",
    "LabelCount",
    "LevelShare",
    "MismatchSummary",
    "NamedRow",
    "Neighbour",
    "Rate",
    "Refit",
    "ReviewRow",
    "SliceLine",
    "Summary",
    "Term",
    "TracedRow",
    "TracedTest",
    "Tried",
    "Trust",
    "Verdict",
    "excerpt",
    "summarise",
    "summarise_mismatch",
]
