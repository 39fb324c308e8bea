"""Keys and what they do to a review, in any order."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from writers.example import made_up

from dataaudit.repair.decisions import Decision
from dataaudit.report.rows import class_keys, review_rows
from dataaudit.review.progress import queue_of
from dataaudit.review.rows import RowReader
from dataaudit.review.session import Desk, begin, press

N = 12
FINDINGS = made_up(N, classes=("ham", "spam", "news"))
QUEUE = queue_of(FINDINGS)


def find(text):
    return frozenset(name for name in QUEUE.row_ids if text in name)


def pressed(keys, desk=None):
    desk = desk or Desk(begin(QUEUE))
    for key in keys:
        desk = press(desk, key, find=find)
    return desk


KEYS = st.lists(st.sampled_from([*"axdsu123 jkbfq0?9é", "up", "down", "enter", "escape", ""]), max_size=40)


@given(keys=KEYS)
def test_undo_takes_back_everything_one_by_one(keys):
    desk = pressed(keys)
    for _ in desk.review.history:
        before = desk.review
        desk = press(Desk(before), "u", find=find)
        name, earlier = before.history[-1]
        assert desk.review.decisions.get(name) == earlier
        assert desk.review.row_id == name
    assert desk.review.decisions == {}


@given(keys=KEYS)
def test_one_is_always_at_a_row_and_decides_only_by_the_keys_that_do(keys):
    desk = pressed(keys)
    assert 0 <= desk.review.at < N
    again = pressed(["j", "k", "down", "up", "b", " ", "f", "é"], Desk(desk.review))
    assert again.review.decisions == desk.review.decisions
    assert desk.review.progress.decided == len(desk.review.decisions)


def test_a_decision_goes_to_the_next_open_row_and_round_to_those_above():
    desk = pressed("jjx")
    assert desk.review.at == 3
    desk = pressed("k", desk)
    assert desk.review.decision.action == "keep"
    desk = pressed("j" + "x" * (N - 3), desk)
    assert desk.review.at == 0
    desk = pressed("xx", desk)
    assert "Every row shown is decided." in desk.review.message
    assert len(desk.review.decisions) == N


def test_a_row_that_is_decided_again_is_the_last_one():
    desk = pressed("axkkd")
    made = list(desk.review.decisions.values())
    assert [decision.action for decision in made] == ["keep", "drop"]
    assert made[-1].row_id == QUEUE.row_ids[0]


@pytest.mark.parametrize(
    ("classes", "keys"),
    [
        (("ham", "news", "spam"), "123"),
        (tuple("0123456789"), "0123456789"),
        (tuple("1359"), "1359"),
        (("1", "2", "unknown"), "123"),
        (("2", "a", "b"), "213"),
        (("0", "10", "11"), "012"),
    ],
)
def test_a_class_that_is_a_digit_has_its_own_key(classes, keys):
    assert class_keys(classes) == tuple(keys)


def test_the_eleventh_class_has_no_key():
    assert class_keys([f"class {at}" for at in range(12)]) == (*"1234567890", "", "")
    assert class_keys(["!", *"0123456789"]) == ("", *"0123456789")


def test_digits_give_the_class_of_that_name():
    queue = queue_of(made_up(N, classes=tuple("0123456789")))
    for digit in "0379":
        after = press(Desk(begin(queue)), digit, find=find).review.decisions[queue.row_ids[0]]
        assert (after.label if after.action == "relabel" else queue.labels[0]) == digit
    queue = queue_of(made_up(N, classes=("1", "3", "5")))
    desk = press(Desk(begin(queue)), "2", find=find)
    assert desk.review.decisions == {}
    assert desk.review.message == "No class has the key 2. There are 3 classes."


def test_a_note_is_kept_through_a_change_of_mind():
    desk = pressed(["n", *"why", "backspace", "o", "enter", "s", "k", "d", "k"])
    assert desk.review.decision.action == "drop"
    assert desk.review.decision.note == "who"
    assert pressed(["n", "!", "enter"], desk).review.decision.note == "who!"


def test_a_filter_keeps_to_its_rows_and_says_so():
    wanted = [name for name in QUEUE.row_ids if ":2" in name]
    desk = pressed(["/", *":2", "enter"])
    assert desk.review.message == f"{len(wanted)} rows have “:2”; / and Enter shows all again."
    desk = pressed("x" * len(wanted), desk)
    assert list(desk.review.decisions) == wanted
    assert "Every row shown is decided." in desk.review.message
    assert pressed(["/", *"none", "enter"], desk).review.message == "No row has “none”."


def test_a_review_goes_on_at_the_first_open_row():
    made = [Decision(row_id=QUEUE.row_ids[at], action="keep") for at in (1, 0, 4)]
    review = begin(QUEUE, made)
    assert review.at == 2
    assert review.undo().row_id == QUEUE.row_ids[4]


def test_a_new_order_leaves_the_row_that_is_looked_at_and_puts_what_is_decided_first():
    desk = pressed("xxjj")  # at the row of place 4
    order = np.arange(N)[::-1]
    review = desk.review.reordered(order)
    assert review.at == desk.review.at
    assert review.queue.order.tolist() == [0, 1, 4, 11, 10, 9, 8, 7, 6, 5, 3, 2]
    assert review.number == 3
    assert review.decide("keep").at == 11
    only = desk.review.only(find(":2")).reordered(order)
    assert set(only.shown.tolist()) == {QUEUE.places[name] for name in find(":2")}


@pytest.mark.parametrize(("typed", "says"), [("h", "1"), ("xyz", "No classes begin with"), ("spam", "1")])
def test_a_class_is_named_by_its_beginning(typed, says):
    desk = pressed(["c", *typed, "enter"])
    assert says in (str(len(desk.review.decisions)) if says == "1" else desk.review.message)


def test_rows_are_those_that_the_summary_shows():
    from dataaudit.errors import DataError

    def gone():
        raise DataError("the data are gone", "look for them")

    rows = RowReader(FINDINGS, gone)
    assert [rows.row(at) for at in range(N)] == list(review_rows(FINDINGS, N))
    assert rows.trouble == ""
    assert rows.row(0, whole=True) == rows.row(0)  # the tables are all there is, and why is said
    assert "the data are gone" in rows.trouble
    word = FINDINGS.cells["cell"][0].split()[0]
    has = FINDINGS.cells.filter(FINDINGS.cells["cell"].str.contains(word, literal=True))
    assert rows.containing(word.upper()) == set(has["row_id"])


def test_reading_the_data_again_needs_no_torch():
    """The first look at whole cells answers at once: nothing is trained for it."""
    code = "import sys, dataaudit.audits.rerun; print(sorted({'torch', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
