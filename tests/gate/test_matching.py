"""Rows of a base are met by id, by content, and by content without what was rewritten; strangers are not."""

import datetime as dt

import polars as pl
import pytest
from gate.tables import plain

from dataaudit.gate.matching import match

BASE = plain(200, seed=3)
KEYED = BASE.with_columns(key=pl.int_range(pl.len()))


def met(now, was=BASE, **named):
    return match(now, was, label="y", **named)


def test_rows_that_are_there_are_known_wherever_they_move():
    found = met(pl.concat([plain(10, seed=9), BASE.reverse()]))
    assert found.states.to_list() == ["new"] * 10 + ["known"] * 200
    assert found.at.to_list() == [None] * 10 + list(range(199, -1, -1))
    assert found.rewritten == ()


def test_a_second_copy_is_new():
    found = met(pl.concat([BASE, BASE.head(3)]))
    assert found.states.to_list() == ["known"] * 200 + ["new"] * 3


@pytest.mark.parametrize("column", ["x", "z", "note", "colour"])
def test_a_column_that_was_rewritten_is_left_out(column):
    cells = {"red": "blue", "blue": "green", "green": "red"}
    new = pl.col(column).replace(cells) if column == "colour" else pl.col(column).cast(pl.String) + "1"
    found = met(BASE.with_columns(new.alias(column)).reverse())
    assert found.rewritten == (column,)
    assert found.at.to_list() == list(range(199, -1, -1))
    assert set(found.states) == {"changed"}
    assert found.alike.all()


def test_two_columns_that_were_rewritten_are_left_out():
    found = met(BASE.with_columns(pl.col("x") * 2, pl.col("z") + 0.5))
    assert set(found.rewritten) == {"x", "z"}
    assert found.alike.all()


def test_new_labels_are_no_new_rows():
    found = met(BASE.with_columns(y=pl.col("y") + "!"))
    assert (found.rewritten, set(found.states)) == ((), {"changed"})
    assert found.at.to_list() == list(range(200))
    assert found.alike.all()


def test_rows_of_a_batch_of_its_own_meet_nobody():
    found = met(plain(160, seed=77))
    assert found.at.null_count() == 160
    assert (found.rewritten, set(found.states), found.alike.any()) == ((), {"new"}, False)
    assert "No row is in the base" in found.notes[0]


def test_columns_that_hardly_tell_rows_apart_introduce_no_strangers():
    few = BASE.select("colour", "x", "y")
    found = met(few.with_columns(x=pl.col("x") + 100.0), few)
    assert found.at.null_count() == 200


def test_ids_meet_rows_whatever_they_hold():
    now = KEYED.with_columns(z=pl.when(pl.col("key") == 3).then(-1.0).otherwise("z")).reverse()
    found = met(now, KEYED, id_column="key")
    assert [i for i, state in enumerate(found.states) if state == "changed"] == [196]
    assert found.alike.to_list() == [i != 196 for i in range(200)]
    all_new = met(KEYED.with_columns(pl.col("z") + 1), KEYED, id_column="key")
    assert (all_new.rewritten, all_new.alike.all()) == (("z",), True)


def test_ids_that_were_given_anew_are_rewritten_too():
    found = met(KEYED.with_columns(pl.col("key") + 1000), KEYED, id_column="key")
    assert found.rewritten == ("key",)
    assert found.at.to_list() == list(range(200))


def test_a_time_that_became_utc_is_the_same_time():
    times = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(200)]
    utc = BASE.with_columns(t=pl.Series(times, dtype=pl.Datetime("us", "UTC")))
    naive = utc.with_columns(pl.col("t").dt.replace_time_zone(None))
    assert set(met(utc, naive).states) == {"known"}
    local = utc.with_columns(pl.col("t").dt.convert_time_zone("Europe/Berlin").dt.replace_time_zone(None))
    found = met(utc, local)
    assert (found.rewritten, found.at.null_count()) == (("t",), 0)


def test_tables_without_a_column_in_common_share_no_row():
    found = met(BASE.rename(lambda name: name + "2"), BASE)
    assert set(found.states) == {"new"}


def test_equal_ids_of_other_rows_introduce_nobody():
    other = plain(200, seed=8).with_columns(key=pl.int_range(pl.len()))
    found = met(other, KEYED, id_column="key")
    assert set(found.states) == {"changed"}  # it is the id that says so
    assert (found.at.null_count(), found.alike.any(), found.rewritten) == (200, False, ())


def test_few_ids_in_common_are_no_sign_of_new_ids():
    other = plain(200, seed=8).with_columns(key=pl.int_range(pl.len()) + 190)
    found = met(other, KEYED, id_column="key")
    assert (found.rewritten, found.alike.any()) == ((), False)


def test_tables_without_content_are_met_by_what_they_have():
    few = KEYED.select("key", "y")
    found = met(few.head(150).with_columns(y=pl.lit("eggs")), few, id_column="key")
    assert (found.at.to_list(), found.alike.all()) == (list(range(150)), True)
    alone = met(BASE.select("y").head(9).vstack(pl.DataFrame({"y": ["eggs"]})), BASE.select("y"))
    assert alone.states.to_list() == ["known"] * 9 + ["new"]
