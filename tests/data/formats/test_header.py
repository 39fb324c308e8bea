"""How delimited texts begin: ``sep=;``, comments, empty lines, no header, one separator too many."""

import pytest

from dataaudit.data.dataset import Dialect
from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn, UnreadableFile

ROWS = [(1, "u", "p"), (2, "v", "q"), (3, "w", "p")]


@pytest.fixture
def table(tmp_path):
    def write(text, name="x.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("sep=;\r\na;t;y\r\n1;u;p\r\n2;v;q\r\n3;w;p\r\n", [3, 4, 5]),
        ('"sep=;"\na;t;y\n1;u;p\n2;v;q\n3;w;p\n', [3, 4, 5]),
        ("\ufeffSEP=\t\na\tt\ty\n1\tu\tp\n2\tv\tq\n3\tw\tp\n", [3, 4, 5]),
        ("# made by hand\n# 2026, for you\na,t,y\n1,u,p\n2,v,q\n3,w,p\n", [4, 5, 6]),
        ("# one, two, three\na,t,y\n1,u,p\n2,v,q\n3,w,p\n", [3, 4, 5]),  # as many commas as the header
        ("# a note;\na;t;y\n1;u;p\n2;v;q\n3;w;p\n", [3, 4, 5]),
        ("#a,t,y\n1,u,p\n2,v,q\n3,w,p\n", [2, 3, 4]),  # as numpy.savetxt and bioinformatics write a header
        ("# made by hand\n# a,t,y\n1,u,p\n2,v,q\n3,w,p\n", [3, 4, 5]),
        ("\n\r\n  \na,t,y\n1,u,p\n\n2,v,q\n3,w,p\n", [5, 7, 8]),
        (",,\n,,\na,t,y\n1,u,p\n2,v,q\n3,w,p\n", [4, 5, 6]),  # empty rows of a spreadsheet
        ('\n# a\n\na,t,y\n1,"u",p\n2,v,q\n3,w,p', [5, 6, 7]),
        ('# 5" pipes\na,t,y\n1,u,p\n2,v,q\n3,w,p', [3, 4, 5]),
        ("a,t,y,\n1,u,p,\n2,v,q,\n3,w,p,\n", [2, 3, 4]),
        ("a,t,y\n1,u,p,\n2,v,q,\n3,w,p,\n", [2, 3, 4]),
        ("a,t,y,\n1,u,p\n2,v,q\n3,w,p\n", [2, 3, 4]),
    ],
)
def test_the_header_is_found(table, text, lines):
    data = load(table(text), target="y")
    assert data.frame.columns == ["a", "t", "y"]
    assert data.frame.rows() == ROWS
    assert data.line.to_list() == lines


def test_quoted_newlines_below_a_comment_keep_their_lines(table):
    text = '# "quoted\n\na,t,y\n1,"u\nu",p\n2,"v ""v""",q\n3,5" pipe,p\n'
    data = load(table(text), target="y")
    assert data.frame["t"].to_list() == ["u\nu", 'v "v"', '5" pipe']
    assert data.line.to_list() == [4, 6, 7]


@pytest.mark.parametrize("start", ["", "\n", "# a comment, of two\n", "sep=,\n"])
def test_a_file_without_a_header(table, start):
    data = load(table(start + "1,u,p\n2,v,q\n3,w,p\n"), target="column_3", dialect=Dialect(no_header=True))
    assert data.frame.columns == ["column_1", "column_2", "column_3"]
    assert data.frame.rows() == ROWS
    assert data.line.to_list() == [start.count("\n") + i for i in (1, 2, 3)]
    assert data.row.to_list() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "target", "error", "message"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "species", MissingColumn, "data.*--no-header; the label"),
        ("buy now,spam\nhello,ham\nbuy,spam\n", "y", MissingColumn, "looks like data: .*then be column_2"),
        ("1,1,p\n2,3,q\n", "y", DataError, "'1' stands twice in the header of .*add --no-header"),
        ("#c\n\n5,p\n6,q\n", "y", MissingColumn, "line 3 looks like data"),
        ("a,b\n1,p\n", "y", MissingColumn, "the columns are a, b"),
    ],
)  # fmt: skip
def test_no_header_is_offered_where_the_first_line_looks_like_data(table, text, target, error, message):
    with pytest.raises(error, match=message):
        load(table(text), target=target)


def test_a_label_that_is_a_cell_is_remarked_on(table):
    (note,) = load(table("5.1,setosa\n4.9,setosa\n4.8,virginica\n"), target="setosa").notes
    assert "looks like data" in note
    assert not load(table("0,1\n5,p\n6,q\n"), target="1").notes  # columns numbered by pandas


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# c\n\na,y\n1,p,x\n", "line 4 has 3 fields where the header has 2"),
        ('# c\na,y\n1,"p\n', "line 3 opens a quote that never closes"),
        ('# c\na,y\n1,p\n2,5" x\n"a"b,q\n', "line 5 has text after a closing quote"),
        ("# only\n# comments\n", "has a header but no rows"),
        ("sep=;\n", "no rows|no records"),
    ],
)
def test_faults_are_on_the_line_of_the_file(table, text, message):
    with pytest.raises((UnreadableFile, DataError), match=message):
        load(table(text), target="")


def test_a_number_longer_than_any_integer_is_text(table):
    long = "1" * 60
    data = load(table(f"a,b,y\n{long},1.5,p\n2,2,q\n"), target="y")
    assert data.frame["a"].to_list() == [long, "2"]
    assert data.frame["b"].to_list() == [1.5, 2.0]
    assert "'a' is kept as text" in data.notes[0]
