"""Queries on real databases: files of SQLite and DuckDB, and a PostgreSQL server of our own."""

import datetime as dt
import re
import sqlite3
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from postgres import PASSWORD, running
from writers.payloads import PAYLOADS

from dataaudit.data.load import load
from dataaudit.data.sql.connection import VARIABLE, connect_to
from dataaudit.data.sql.drivers import BATCH
from dataaudit.data.sql.query import Query, read_statement, read_text
from dataaudit.errors import AuditError, DataError, MissingColumn, SettingError, UnreadableFile
from dataaudit.secrets import masked, masked_words

ROWS = 40
FRAME = pl.DataFrame(
    {
        "id": [f"r{i:02}" for i in range(ROWS)],
        "size": [None if i == 7 else i / 8 for i in range(ROWS)],
        "count": [(i * 7) % 11 for i in range(ROWS)],
        "words": [list(PAYLOADS.values())[i % len(PAYLOADS)].replace("\0", "")[:500] for i in range(ROWS)],
        "y": ["ab"[i % 2] for i in range(ROWS)],
    }
)
KINDS = ("sqlite", "duckdb", "postgresql")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Nothing that the machine says of databases."""
    for name in (VARIABLE, "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGHOST", "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("adbc_driver_postgresql", reason="pip install 'dataaudit[sql]'")
    with running() as found:
        fill(found.address(), FRAME)
        yield found


def fill(address, frame, table="mail"):
    """Put a frame into a table of a server."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        cursor.adbc_ingest(table, arrow, mode="replace")
        connection.commit()


def sqlite_file(path, frame=FRAME, table="mail"):
    connection = sqlite3.connect(path)
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in frame.columns)
    connection.execute(f"CREATE TABLE {table} ({columns})")
    places = ", ".join("?" * frame.width)
    connection.executemany(f"INSERT INTO {table} VALUES ({places})", frame.iter_rows())
    connection.commit()
    connection.close()
    return path


def duckdb_file(path, *statements):
    duckdb = pytest.importorskip("duckdb", reason="pip install 'dataaudit[sql]'")
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def duckdb_table(path, frame=FRAME):
    frame.write_parquet(path.with_suffix(".parquet"))
    return duckdb_file(path, f"CREATE TABLE mail AS FROM '{path.with_suffix('.parquet')}'")


@pytest.fixture
def database(request, tmp_path):
    """The address of a database of some kind with FRAME as its table mail."""
    if request.param == "postgresql":
        return request.getfixturevalue("server").address()
    make = sqlite_file if request.param == "sqlite" else duckdb_table
    return f"{request.param}:///{make(tmp_path / 'mail.db')}"


every_kind = pytest.mark.parametrize("database", KINDS, indirect=True)


def ask(text, address, **options):
    return load(Query(text, str(address)), **{"target": "y", **options})


def one_line(error):
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)
    return str(error.value)


@every_kind
def test_rows_come_as_they_are(database):
    result = ask("select * from mail order by id", database)
    assert_frame_equal(result.frame, FRAME, check_exact=True)
    assert result.row_id.to_list()[:2] == ["query#0", "query#1"]
    assert result.source.unique().to_list() == ["query"]
    assert result.line.null_count() == ROWS
    origin = result.origins[0]
    assert (origin.format, origin.rows) == (database.partition(":")[0], ROWS)
    assert "read-only" in result.notes[0]


def test_the_content_hash_is_that_of_the_content(tmp_path, server):
    files = sqlite_file(tmp_path / "a.db"), duckdb_table(tmp_path / "a.duckdb"), server.address()
    hashes = {ask("select * from mail order by id", file).origins[0].sha256 for file in files}
    assert len(hashes) == 1, "three databases, one content"
    other = {
        ask(query, files[0]).origins[0].sha256
        for query in (
            "select * from mail order by id desc",
            "select id, size, count, words || ' ' as words, y from mail order by id",
            "select id, size, count as counts, words, y from mail order by id",
            "select * from mail where size is not null order by id",
        )
    }
    assert len(other | hashes) == 5


@every_kind
@pytest.mark.parametrize("id_column", [None, "id"])
def test_without_order_by_rows_have_an_order_of_ours(database, id_column):
    row = "cast(substr(id, 2) as integer)"
    texts = [f"select * from (select * from mail order by ({row} * {k}) % 41) as t" for k in (5, 7)]
    first, second = (ask(text, database, id_column=id_column) for text in texts)  # 41 is prime: permutations
    assert_frame_equal(first.frame, second.frame)
    assert first.origins == second.origins
    assert first.row_id.to_list() == second.row_id.to_list()
    by = "'id'" if id_column else "their content"
    assert f"The query has no ORDER BY: its rows are in the order of {by}." in first.notes
    if id_column:
        assert first.row_id.to_list() == FRAME["id"].to_list()
    else:
        assert_frame_equal(first.frame, FRAME.sort(FRAME.columns))


@every_kind
def test_an_order_that_was_asked_for_is_kept(database):
    result = ask("select * from mail order by count desc, id", database, id_column="id")
    want = FRAME.sort(["count", "id"], descending=[True, False])
    assert result.row_id.to_list() == want["id"].to_list()
    assert not any("ORDER BY" in note for note in result.notes)


def test_a_limit_without_order_is_told(tmp_path):
    file = sqlite_file(tmp_path / "a.db")
    notes = ask("select * from mail limit 20", file).notes
    assert any(note.endswith("With its LIMIT, another run may give other rows.") for note in notes)


def test_lists_and_bytes_can_be_sorted_by(tmp_path):
    statement = (
        "CREATE TABLE mail AS SELECT [i % 3, i] l, ('b' || i)::BLOB b, 'ab'[1 + i % 2] y FROM range(9) t(i)"
    )
    result = ask("select * from mail", duckdb_file(tmp_path / "a.duckdb", statement))
    assert result.frame["l"].to_list() == sorted([i % 3, i] for i in range(9))


@every_kind
def test_only_wanted_columns_are_taken(database):
    result = ask("select * from mail order by id", database, columns=["size"], id_column="id")
    assert result.frame.columns == ["size", "y"]
    left = ask("select * from mail order by id", database, exclude=["words", "count"])
    assert left.frame.columns == ["id", "size", "y"]


TYPES = {
    "true": (pl.Boolean, True),
    "1::int2": (pl.Int16, 1),
    "1::int8": (pl.Int64, 1),
    "12.5::numeric(10, 3)": (pl.Float64, 12.5),
    "sum(2::int8)": (pl.Float64, 2.0),
    "'12.5'::money": (pl.Float64, 12.5),
    "0.5::float4": (pl.Float32, 0.5),
    "date '2020-02-01'": (pl.Date, dt.date(2020, 2, 1)),
    "date '-infinity'": (pl.Date, None),
    "timestamp '2020-02-01 10:00'": (pl.Datetime("us"), dt.datetime.fromisoformat("2020-02-01T10:00")),
    "timestamptz '2020-02-01 10:00+02'": (
        pl.Datetime("us", "UTC"), dt.datetime(2020, 2, 1, 8, tzinfo=dt.UTC)
    ),
    "timestamptz 'infinity'": (pl.Datetime("us", "UTC"), None),
    "interval '1 day 2 hours'": (pl.Float64, 93_600.0),
    "time '10:00'": (pl.Time, dt.time(10)),
    """'{"a":  1}'::json""": (pl.String, '{"a":  1}'),
    """'{"a":  1}'::jsonb""": (pl.String, '{"a": 1}'),
    "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid": (pl.String, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "'\\x00ff'::bytea": (pl.Binary, b"\x00\xff"),
    "'ok'::mood": (pl.String, "ok"),
    "'ok'::mood_word": (pl.String, "ok"),
    "'ab'::char(5)": (pl.String, "ab"),
    "array[1, null, 3]": (pl.List(pl.Int32), [1, None, 3]),
    "array[1.5, 2]::numeric[]": (pl.List(pl.Float64), [1.5, 2.0]),
    "array['x', null]": (pl.List(pl.String), ["x", None]),
    "array['ok']::mood[]": (pl.List(pl.String), ["ok"]),
    "inet '10.0.0.1'": (pl.String, "10.0.0.1/32"),
    "row(1, 'x')": (pl.String, "(1,x)"),
    "int4range(1, 3)": (pl.String, "[1,3)"),
    "b'101'": (pl.String, "101"),
    "null::numeric": (pl.Float64, None),
    "null": (pl.String, None),
}  # fmt: skip


@pytest.fixture(scope="module")
def typed(server):
    server.run("CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN mood_word AS text")
    columns = ", ".join(f"{expression} AS t{i}" for i, expression in enumerate(TYPES))
    return ask(f"select {columns}, 'a' as y", server.address())


@pytest.mark.parametrize(("at", "expression"), list(enumerate(TYPES)), ids=list(TYPES))
def test_types_of_postgresql(typed, at, expression):
    dtype, value = TYPES[expression]
    column = typed.frame[f"t{at}"]
    assert (
        column.dtype,
        column[0] if value is None or not isinstance(value, list) else column.to_list()[0],
    ) == (
        dtype,
        value,
    )


def test_an_interval_is_told(typed):
    assert sum("is an interval: it is read as seconds." in note for note in typed.notes) == 1


DUCKDB_TYPES = {
    "true": (pl.Boolean, True),
    "12.5::DECIMAL(10, 3)": (pl.Float64, 12.5),
    "7::HUGEINT": (pl.Float64, 7.0),
    "7::UTINYINT": (pl.UInt8, 7),
    "DATE 'infinity'": (pl.Date, None),
    "TIMESTAMPTZ '2020-02-01 10:00+02'": TYPES["timestamptz '2020-02-01 10:00+02'"],
    "TIMESTAMP_NS '2020-02-01 10:00'": TYPES["timestamp '2020-02-01 10:00'"],
    "TIMESTAMP_S '2020-02-01 10:00'": TYPES["timestamp '2020-02-01 10:00'"],
    "INTERVAL 1 DAY": (pl.Float64, 86_400.0),
    "'ok'::ENUM ('sad', 'ok')": (pl.String, "ok"),
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID": (pl.String, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "'x'::BLOB": (pl.Binary, b"x"),
    "[1.5, 2]::DECIMAL(3, 1)[]": (pl.List(pl.Float64), [1.5, 2.0]),
    "[1, 2]::INTEGER[2]": (pl.Array(pl.Int32, 2), [1, 2]),
    "['ok']::ENUM ('sad', 'ok')[]": (pl.List(pl.String), ["ok"]),
    "{'a (x': 1}": (pl.String, "{'a (x': 1}"),
    "'101'::BIT": (pl.String, "101"),
    "null": (pl.String, None),
}


def test_types_of_duckdb(tmp_path):
    file = duckdb_file(tmp_path / "a.duckdb")
    columns = ", ".join(f"{expression} AS t{i}" for i, expression in enumerate(DUCKDB_TYPES))
    frame = ask(f"select {columns}, 'a' as y", file).frame
    got = {
        expression: (frame.schema[f"t{i}"], frame[f"t{i}"].to_list()[0])
        for i, expression in enumerate(DUCKDB_TYPES)
    }
    assert got == DUCKDB_TYPES


def test_a_column_of_sqlite_is_what_all_its_cells_are(tmp_path):
    cells = {
        "whole": (1, 2**62), "mixed": (1, 2.5), "text": ("1", "007"), "both": (1, "n/a"),
        "bytes": (b"\0", b"b"), "none": (None, None), "y": ("a", "b"),
    }  # fmt: skip
    file = sqlite_file(tmp_path / "a.db", pl.DataFrame({name: [0, 0] for name in cells}).clear())
    connection = sqlite3.connect(file)
    connection.executemany("insert into mail values (?, ?, ?, ?, ?, ?, ?)", zip(*cells.values(), strict=True))
    connection.commit()
    connection.close()
    result = ask("select * from mail order by rowid", file)
    assert result.frame.schema == {
        "whole": pl.Int64, "mixed": pl.Float64, "text": pl.String, "both": pl.String, "bytes": pl.Binary,
        "none": pl.String, "y": pl.String,
    }  # fmt: skip
    assert result.frame["both"].to_list() == ["1", "n/a"]
    assert "column 'both' holds numbers and text: it is read as text." in result.notes


def test_a_column_of_sqlite_may_turn_in_a_later_block(tmp_path):
    file = sqlite_file(tmp_path / "a.db", FRAME.clear())
    series = f"with recursive n(i) as (select 0 union all select i + 1 from n where i < {BATCH})"
    cell = f"case when i < {BATCH} then i else 'last' end"
    result = ask(f"{series} select i, {cell} as turned, i * 0.5 as y from n order by i", file)
    assert result.frame["turned"].to_list()[-2:] == [str(BATCH - 1), "last"]
    assert (result.n, result.frame.schema["i"]) == (BATCH + 1, pl.Int64)
    with pytest.raises(DataError, match="'t' of the query's result holds both bytes and other values"):
        ask(f"{series} select case when i < {BATCH} then i else x'00' end as t, 1 as y from n", file)


def test_names_of_rows_keep_every_digit(server):
    big = "123456789012345678901234567890"
    for query in (f"select {big}::numeric as id, 'a' as y", f"select '{big}'::text as id, 'a' as y"):
        assert ask(query, server.address(), id_column="id").row_id.to_list() == [big]


@every_kind
def test_hostile_names_of_columns(database):
    name = "x\"); drop table mail; --\x1b[31m\n'{0}*^.*$"
    quoted = '"' + name.replace('"', '""') + '"'
    result = ask(f"select size as {quoted}, y, id from mail", database, id_column="id")
    assert result.frame[name].to_list() == FRAME["size"].to_list()
    with pytest.raises(DataError, match="stands twice in the query's result") as caught:
        ask(f"select size as {quoted}, count as {quoted}, y from mail", database)
    assert "\x1b" not in one_line(caught)


def test_text_that_is_not_utf8(tmp_path, server):
    server.run("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
    server.run(
        "SET client_encoding = 'SQL_ASCII'", "CREATE TABLE t AS SELECT E'caf\\xe9' AS x", database="bytes"
    )
    places = [
        ("select x, 'a' as y from t", server.address(database="bytes")),
        ("select cast(x'636166e9' as text) as x, 'a' as y", sqlite_file(tmp_path / "a.db")),
    ]
    for query, address in places:
        with pytest.raises(DataError, match="text that is not UTF-8"):
            ask(query, address)


REFUSED = {
    "select * from nope": r"says: .*nope.*Hint: (check|did you mean)",
    "select nope from mail": r"says: .*nope",
    "select size, y from mail where": r"(syntax error|incomplete input).*: correct the query there",
    "select * from mail where 1 = 0": r"the query on .* gives no rows",
    "select size from mail": r"column 'y' is not in the query's result. Hint: the columns are size",
    "select *, 1 as y from mail": r"column 'y' stands twice in the query's result",
    "select 1; select 2": r"several statements",
    " -- nothing\n ; ": r"the query is empty",
    "delete from mail": r"no query: it begins with 'delete'",
    "drop table mail": r"no query: it begins with 'drop'",
    "with x as (select 1 as i) insert into mail (size) select i from x": r"only rows are|a select|no columns",
}


@every_kind
@pytest.mark.parametrize("query", REFUSED)
def test_a_query_that_cannot_be_is_one_line(database, query):
    with pytest.raises(AuditError, match=REFUSED[query]) as caught:
        ask(query, database)
    assert "Query was" not in one_line(caught)
    assert ask("select * from mail", database).n == ROWS


def test_the_line_of_a_mistake_is_that_of_the_query(server):
    with pytest.raises(DataError, match=r"\(line 3 of the query\)"):
        ask("\nselect *,\n nope from mail", server.address())


def test_a_query_cannot_write(tmp_path, server):
    server.run("CREATE SEQUENCE counter")
    server.run(
        "CREATE FUNCTION bump() RETURNS int LANGUAGE sql AS 'DELETE FROM mail; SELECT 1'",
    )
    for query in (
        "with gone as (delete from mail returning *) select * from gone",
        "select nextval('counter') as x, 'a' as y",
        "select bump() as x, 'a' as y",
    ):
        with pytest.raises(DataError, match="Hint: only rows are read"):
            ask(query, server.address())
    assert ask("select * from mail", server.address()).n == ROWS
    file, target = duckdb_table(tmp_path / "a.duckdb"), tmp_path / "out.csv"
    for query in (f"copy mail to '{target}'", f"with x as (select 1) copy mail to '{target}'"):
        with pytest.raises(AuditError):
            ask(query, file)
    assert not target.exists()


def test_files_are_not_touched(tmp_path):
    file = sqlite_file(tmp_path / "a.db")
    before = file.read_bytes()
    for query in ("select * from mail", "pragma journal_mode = wal", f"attach '{tmp_path / 'b.db'}' as b"):
        try:
            ask(query, file)
        except SettingError:
            assert "select" not in query
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_files_that_are_none(tmp_path):
    (tmp_path / "rows.csv").write_text("x,y\n1,a\n")
    duck = duckdb_table(tmp_path / "a.duckdb")
    for address, says in (
        (tmp_path / "rows.db", "there is no database"),
        (tmp_path / "a.duckd", r"did you mean '.*a\.duckdb'"),
        (tmp_path / "rows.csv", "neither of SQLite nor of DuckDB"),
        (tmp_path, "cannot be read: Is a directory"),
        (f"sqlite:///{duck}", "not a database of SQLite. Hint: write duckdb:///"),
        ("sqlite:///:memory:", "three slashes and a path"),
    ):
        with pytest.raises(AuditError, match=says) as caught:
            ask("select 1", address)
        one_line(caught)
    assert not (tmp_path / "rows.db").exists()


def test_a_damaged_file(tmp_path):
    file = sqlite_file(tmp_path / "a.db")
    data = bytearray(file.read_bytes())
    data[100:2000] = b"\xff" * 1900
    file.write_bytes(data)
    with pytest.raises(DataError, match="Hint: the file is damaged"):
        ask("select * from mail", file)


def test_a_file_that_another_program_has_open(tmp_path):
    file = duckdb_table(tmp_path / "a.duckdb")
    code = f"import duckdb, sys; c = duckdb.connect({str(file)!r}); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(DataError, match="Hint: another program has it open"):
            ask("select * from mail", file)
        other.stdin.close()


def test_servers_that_say_no(server):
    for address, says in (
        (server.address(password="wrong-pw"), "password authentication failed for user .alice.*PGPASSWORD"),
        (server.address(password=""), "no password supplied. Hint: give the password by PGPASSWORD"),
        (server.address(user="bob"), "authentication failed"),
        (
            server.address(database="nope"),
            'database "nope" does not exist. Hint: check the name after the last',
        ),
        (server.address() + "?sslmode=require", "SSL, but SSL was required. Hint: add .sslmode"),
        (f"postgresql://alice:{PASSWORD}@127.0.0.1:1/x", "Connection refused. Hint: is the server running"),
        (f"postgresql://alice:{PASSWORD}@no.invalid/x", "translate host name.*is the server running"),
        (f"postgresql:///x?host=/no/where&password={PASSWORD}", "No such file.*is the server running"),
        (f"postgresql://alice:{PASSWORD}%zz@h/x", "percent-encoded token: .….. Hint: check the address"),
        ("mysql://alice:pw-pw@h/x", "databases of mysql are not read"),
        ("host=h password=pw-pw", "neither an address nor a file"),
        ("alice:pw-pw@h", "neither an address nor a file"),
    ):
        with pytest.raises(AuditError, match=says) as caught:
            ask("select * from mail", address)
        assert "wrong-pw" not in one_line(caught)
        assert "pw-pw" not in one_line(caught)
        assert caught.value.__cause__ is None, "a traceback would show the driver's message"


def test_passwords_may_come_from_where_the_driver_looks(server, monkeypatch, tmp_path):
    bare, query = server.address(password=""), "select * from mail"
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert ask(query, bare).n == ROWS
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pass").write_text(f"127.0.0.1:{server.port}:*:alice:{PASSWORD}\n")
    (tmp_path / "pass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    assert ask(query, bare).n == ROWS


def test_the_address_may_come_from_a_variable(server, monkeypatch):
    with pytest.raises(SettingError, match=r"no database\. Hint: name one with --sql or DATAAUDIT_SQL"):
        load(Query("select 1"), target="y")
    with pytest.raises(SettingError, match="variable WAREHOUSE is not set"):
        ask("select 1", "$WAREHOUSE")
    monkeypatch.setenv(VARIABLE, server.address())
    monkeypatch.setenv("WAREHOUSE", server.address())
    for query, word in (
        (Query("select * from mail"), f"--sql=${VARIABLE}"),
        (Query("select * from mail", "$WAREHOUSE"), "--sql=$WAREHOUSE"),
        (Query("select * from mail", "${WAREHOUSE}"), "--sql=${WAREHOUSE}"),
    ):
        result = load(query, target="y")
        assert result.given == (word, "--query=select * from mail")
        assert result.origins[0].path == server.address(password="")
        assert_frame_equal(load(list(result.given), target="y").frame, result.frame)


@pytest.mark.parametrize("library", ["adbc_driver_postgresql", "duckdb"])
def test_a_driver_that_is_not_installed(library, tmp_path):
    address = "postgresql://h/x" if library.startswith("adbc") else str(duckdb_table(tmp_path / "a.duckdb"))
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from dataaudit.data.load import load\nfrom dataaudit.data.sql.query import Query\n"
        f"load(Query('select 1', {address!r}), target='y')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    says = done.stderr.splitlines()[-1]
    assert says.startswith("dataaudit.errors.SettingError: ")
    assert re.search(r"which is not installed\. Hint: pip install (adbc-driver-postgresql|duckdb)\.$", says)


@pytest.mark.parametrize(
    ("text", "ordered", "limited"),
    [
        ("select * from t", False, False),
        ("SELECT * FROM t ORDER\n BY x -- c", True, False),
        ("select * from t order /* by */ by x limit 3;", True, True),
        ("select * from (select * from t order by x limit 1) q", False, False),
        ("select rank() over (order by x) from t", False, False),
        ("select 'order by x' || \"order by\" from t -- order by x", False, False),
        ("select $$ order by ; $$ || $a$ order by $a$, e'it\\'s order by' from t", False, False),
        ("select 'it''s' from t order by 1", True, False),
        ("with a as (select 1 order by 1) select * from a", False, False),
        ("(select 1) union (select 2) order by 1 fetch first 1 row only", True, True),
        ("/* order by */ values (1)", False, False),
        ("select border, by_x from t", False, False),
    ],
)
def test_order_is_seen_outside_all_parentheses(text, ordered, limited):
    found = read_statement(text)
    assert (found.ordered, found.limited) == (ordered, limited)
    assert text.startswith(found.text)
    assert not found.text.endswith((";", " -- c"))


def test_texts_come_from_files_and_stdin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.sql").write_bytes(b"\xef\xbb\xbfselect 'caf\xc3\xa9'\r\n")
    assert read_text("@q.sql") == "select 'café'\r\n"
    assert read_text("select 1") == "select 1"
    (tmp_path / "bad.sql").write_bytes(b"select 'caf\xe9'")
    with pytest.raises(UnreadableFile, match=r"the query in bad.sql is not UTF-8"):
        read_text("@bad.sql")
    with pytest.raises(UnreadableFile, match=r"the query in nope.sql cannot be read: No such file"):
        read_text("@nope.sql")


@given(st.lists(st.text(max_size=4), min_size=2, max_size=3))
def test_no_password_is_ever_shown(parts):
    password = "hunter2".join(parts)
    address = f"postgresql://alice:{password}@db.example:5432/mail?sslmode=require"
    public = "postgresql://alice@db.example:5432/mail?sslmode=require"
    try:
        connection = connect_to(address)
        shown = [connection.name, repr(connection), connection.quiet(f'bad token "{password}"')]
        assert connection.name == public
    except AuditError as error:
        shown = [str(error)]
    query = Query("select 1", address)
    shown += [repr(query), *query.given, *masked_words(["--sql", address, f"--test-sql={address}"])]
    if not re.search(r"\s", password):
        shown.append(masked(f"it says {address} is wrong"))
    assert not [text for text in shown if "hunter2" in text]
    assert query.given[0] == f"--sql={public}"


@pytest.mark.parametrize(
    ("words", "public"),
    [
        (["--sql", "host=h password='a b' user=me"], ["--sql", "host=h  user=me"]),
        (["--sql=postgresql://h/x?password=pw&user=me"], ["--sql=postgresql://h/x?user=me"]),
        (["--sql", "postgresql://h/x?user=me&password=pw"], ["--sql", "postgresql://h/x?user=me"]),
        (["--sql", "postgresql://me:p w/@#@h/x"], ["--sql", "postgresql://me@h/x"]),
        (["a.csv", "--where", "password = 'x' and mail = 'me@h'"],) * 2,
        (["--query", "select 'http://h:80/' as url, 'me@h' as mail"],) * 2,
    ],
)
def test_a_command_is_kept_without_passwords(words, public):
    assert masked_words(words) == public


def test_missing_columns_are_told_before_rows_are_read(server):
    with pytest.raises(MissingColumn, match="column 'z' is not in the query's result"):
        ask("select 1 / (id is null)::int as x, 'a' as y from mail", server.address(), target="z")
    with pytest.raises(DataError, match="division by zero"):
        ask("select 1 / (id is null)::int as x, 'a' as y from mail", server.address())
