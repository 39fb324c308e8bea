"""How a review stands, and when it may stop: the rule that the page has too."""

import math
from dataclasses import replace

import pytest
from writers.example import made_up

from dataaudit.repair.decisions import Decision
from dataaudit.review.progress import FEW, FIRST, LAST, progress_of, queue_of, stop_hint

FINDINGS = made_up(60)
QUEUE = queue_of(FINDINGS)


def decisions(actions):
    """Decide the first rows: w wrong, k kept, d dropped, s unsure, = relabelled as it is."""
    label = {"w": QUEUE.suggested, "=": QUEUE.labels}
    names = {"w": "relabel", "=": "relabel", "k": "keep", "d": "drop", "s": "unsure"}
    return [
        Decision(row_id=QUEUE.row_ids[at], action=names[act], label=label[act][at] if act in label else None)
        for at, act in enumerate(actions)
    ]


def test_counts_precision_and_what_is_left():
    found = progress_of(QUEUE, decisions("wwdks="))
    assert dict(found.counts) == {"relabel": 2, "drop": 1, "keep": 2, "unsure": 1}
    assert (found.decided, found.sure, found.wrong) == (6, 5, 3)
    assert found.precision == 3 / 5
    chances = FINDINGS.labels["p_wrong"]
    assert found.left == pytest.approx(
        chances.sum() - chances[:6].sum()
    )  # of all rows, the unsure one decided


def test_nothing_decided_is_no_precision():
    found = progress_of(QUEUE, [])
    assert (found.precision, found.enough, stop_hint(found)) == (None, False, "")


@pytest.mark.parametrize(
    ("actions", "enough"),
    [
        ("k" * (FIRST - 1), False),
        ("k" * FIRST, True),
        ("k" * (FIRST - 1) + "s", False),  # of an unsure row nobody could tell
        ("k" * (FIRST - 1) + "s" + "k", True),
        ("w" * FEW + "k" * (LAST - FEW), True),
        ("w" * FEW + "k" * (LAST - FEW - 1) + "d", False),
        ("w" * 20 + "k" * (LAST - FEW) + "w" * FEW, True),  # only the last ones count
        ("w" * 20 + "k" * (LAST - FEW - 1) + "w" * (FEW + 1), False),
        ("=" * FIRST, True),  # a class that the row has already is no mistake
    ],
)
def test_it_may_stop_when_few_of_the_last_rows_were_wrong(actions, enough):
    assert progress_of(QUEUE, decisions(actions)).enough == enough


def test_the_hint_says_how_many_were_wrong_and_how_many_are_left():
    found = progress_of(QUEUE, decisions("w" * 10 + "k" * 19 + "d"))
    left = FINDINGS.labels["p_wrong"][30:].sum()
    labels = "label is" if round(left) == 1 else "labels are"
    start = f"Of the last 20 rows 1 was wrong; about {round(left)} wrong {labels} expected among the rows"
    assert stop_hint(found).startswith(f"{start} not yet decided. You may stop here.")


def test_the_hint_doubts_an_audit_whose_suspects_are_right():
    assert FINDINGS.labels["p_wrong"][:20].sum() > LAST / 2
    hint = stop_hint(progress_of(QUEUE, decisions("k" * 20)))
    assert "its suggestions do not fit these data" in hint
    assert "do not fit" not in stop_hint(progress_of(QUEUE, decisions("w" * 30 + "k" * 20)))


def test_without_probabilities_nothing_is_expected():
    unknown = replace(QUEUE, p_wrong=QUEUE.p_wrong * math.nan)
    found = progress_of(unknown, decisions("k" * 20))
    assert found.left is None
    assert stop_hint(found) == "Of the last 20 rows 0 were wrong. You may stop here."
