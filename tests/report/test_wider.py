"""Only those options are offered that would allow more."""

import polars as pl
import pytest

from dataaudit.findings.schemas import DOMAIN
from dataaudit.summary.wider import wider

TYPED = "audit vulnerability a.csv b.csv --label y"


def domain(*kinds, spread=1.0):
    rows = [(f"c{at}", kind, "", spread, None, None, None, None) for at, kind in enumerate(kinds)]
    return pl.DataFrame(rows, schema=DOMAIN, orient="row")


@pytest.mark.parametrize(
    ("command", "frame", "options"),
    [
        (TYPED, domain("number", "category"), "--within .3 --swaps 3"),
        (TYPED, domain("vector", "words"), "--within .3 --words 10"),
        (TYPED, domain("words"), "--words 10"),
        (TYPED, domain("pixels", spread=None), ""),
        (TYPED, domain("fixed"), "--within .3"),  # a number that is too coarse to move so little
        (TYPED, domain("fixed", spread=None), ""),
        (f"{TYPED} --within=.5", domain("number", "category"), "--swaps 3"),
        (f"{TYPED} --within .5 --swaps 2", domain("number", "category"), ""),
    ],
)
def test_what_is_offered(command, frame, options):
    assert wider(command, frame) == options
