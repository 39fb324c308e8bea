"""Decisions come back as they were written, from JSON lines and from CSV."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataaudit.errors import DataError, WriteError
from dataaudit.repair.decisions import Decision, Decisions, read_decisions, write_decisions

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
DECISION = st.one_of(
    st.builds(
        Decision, row_id=TEXT, action=st.sampled_from(["keep", "drop", "unsure"]), reviewer=TEXT, note=TEXT
    ),
    st.builds(Decision, row_id=TEXT, action=st.just("relabel"), label=TEXT),
    st.builds(Decision, row_id=TEXT, action=st.just("weight"), weight=st.floats(0, 1e9)),
)


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv"])
@given(rows=st.lists(DECISION, min_size=1, max_size=5, unique_by=lambda row: row.row_id))
def test_decisions_come_back(name, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("d") / name
    decisions = Decisions(tuple(rows), "0123")
    write_decisions(path, decisions)
    assert read_decisions(path) == decisions


def test_the_same_decision_twice_is_one(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("row_id,action,label,note\na,relabel,x,first\nb,keep,,\na,relabel,x,again\n")
    assert [row.row_id for row in read_decisions(path).rows] == ["a", "b"]


def test_a_bad_csv_line_is_named(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('row_id,action,note\na,keep,"two\nlines"\nb,nothing,\n')
    with pytest.raises(DataError, match=r"d\.csv line 4: unknown action: got 'nothing'"):
        read_decisions(path)


def test_a_file_without_decisions_is_refused_unless_a_review_has_just_begun(tmp_path):
    path = tmp_path / "d.jsonl"
    write_decisions(path, Decisions((), "0123"))
    assert read_decisions(path, may_be_empty=True) == Decisions((), "0123")
    with pytest.raises(DataError, match="holds no decisions"):
        read_decisions(path)


def test_what_cannot_be_written_is_said_with_the_option_that_helps(tmp_path):
    with pytest.raises(WriteError, match="--decisions"):
        write_decisions(tmp_path / "nowhere" / "d.jsonl", Decisions(()))
