"""Queries as people type them: the commands on real databases, their words, and what they never say."""

import json

import numpy as np
import polars as pl
import pytest
from audits.mismatch.test_audit import patients
from cli.test_cli import planted
from command import audit
from data.sql.test_query import duckdb_table, fill, sqlite_file
from postgres import PASSWORD, running
from writers.payloads import PAYLOADS

from dataaudit import cli
from dataaudit.cli.sources import PairSource
from dataaudit.data.sql.query import Query

QUICK = "--label", "y", "--basis", "linear", "--l2", "1e-3", "--verify", "2", "--top", "5"


def rows(n=120):
    """Two classes with a few wrong labels, hostile cells, and a name for each row."""
    frame = planted(n, 6).rename({"[red]weight[/]": "weight"})
    cells = [text.replace("\0", "")[:300] for text in PAYLOADS.values()]
    return frame.with_columns(
        note=pl.Series([cells[i % len(cells)] for i in range(n)]), name=pl.Series([f"r{i}" for i in range(n)])
    )


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("adbc_driver_postgresql", reason="pip install 'dataaudit[sql]'")
    with running() as found:
        fill(found.address(), rows())
        fill(found.address(), patients(300, 0, children=5, ill=4), "train")
        fill(found.address(), patients(300, 1, children=30, ill=0), "test")
        yield found


@pytest.fixture(scope="module")
def done(server, tmp_path_factory):
    """One plain run on the server, the password in the address."""
    folder = tmp_path_factory.mktemp("sql")
    words = "--sql", server.address(), "--query", "select * from mail", "--id", "name", *QUICK
    return folder, audit("labels", *words, "--out", "found", "--format", "json", "-v", cwd=folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATAAUDIT_SQL", raising=False)
    return tmp_path


def everything(folder):
    """Return the bytes of all files below a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_findings_are_of_the_query(done, server):
    folder, run = done
    assert run.returncode == 0, run.stderr
    known = json.loads((folder / "found" / "provenance.json").read_text(encoding="utf-8"))
    public = server.address(password="")
    assert known["dataset"] == public
    assert known["origins"][0] | {"sha256": ""} == {
        "path": public, "format": "postgresql", "sha256": "", "rows": 120
    }  # fmt: skip
    assert known["settings"]["source"] == [f"--sql={public}", "--query=select * from mail"]
    assert f"--sql {public} --query 'select * from mail'" in known["command"]
    assert f"The rows are those of a query on {public}, read in a read-only transaction." in known["notes"]
    labels = pl.read_parquet(folder / "found" / "labels.parquet")
    assert set(labels["row_id"]) == {f"r{i}" for i in range(120)}
    assert len(set(labels["row_id"].head(12)) & {f"r{i}" for i in range(6)}) >= 5, (
        "the labels that were flipped"
    )
    assert "audit apply" not in run.stderr


def test_the_password_is_nowhere(done):
    folder, run = done
    assert PASSWORD not in run.stdout + run.stderr
    assert PASSWORD.encode() not in everything(folder)
    labels = pl.concat(
        [pl.read_parquet(path).select(pl.all().cast(pl.String)) for path in folder.rglob("labels.parquet")]
    )
    assert not labels.select(pl.any_horizontal(pl.all().str.contains(PASSWORD, literal=True)).any()).item()


def test_hostile_cells_reach_no_terminal_and_no_page(done):
    folder, run = done
    assert "\x1b" not in run.stderr
    assert max(map(len, run.stderr.splitlines())) <= 400
    page = (folder / "found" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "onerror=alert(1)>" not in page


@pytest.mark.parametrize(
    "more",
    [
        ["--query", "select nope from mail"],
        ["--query", "select * from mail", "--label", "nope"],
        ["--query", "select * from mail", "--no-such-option"],
        ["another", "--query", "select * from mail"],
        ["--query", "select * from mail where id = $1", "--debug"],
    ],
)
def test_no_error_has_the_password(server, here, capfd, more):
    assert cli.main(["labels", "--sql", server.address(), *QUICK, *more]) == 2
    out, error = capfd.readouterr()
    assert error.splitlines()[-1].startswith("error: ")
    assert PASSWORD not in out + error


def test_an_address_in_the_place_of_a_file(server, here, capfd):
    assert cli.main(["labels", server.address(), *QUICK, "-q"]) == 2
    said = capfd.readouterr().err
    assert (
        said
        == "error: an address is no file. Hint: a database is read by --sql ADDRESS --query 'select …'.\n"
    )


def test_verify_asks_the_query_again(done, server, monkeypatch, capfd):
    folder, _ = done
    monkeypatch.chdir(folder)
    words = ["verify", "found", "--top", "1", "-q"]
    assert cli.main(words) == 2
    said = capfd.readouterr().err
    assert "no password supplied. Hint: give the password by PGPASSWORD or ~/.pgpass." in said
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    server.run("UPDATE mail SET size = size WHERE name = 'r7'")  # the row moves to the end of the table
    assert cli.main(words) != 2
    assert "The predictions on disk came out again" in capfd.readouterr().err
    server.run("UPDATE mail SET size = size + 1 WHERE name = 'r7'")
    assert cli.main(words) == 2
    assert "has changed since it was audited: its content hash differs" in capfd.readouterr().err
    server.run("UPDATE mail SET size = size - 1 WHERE name = 'r7'")


def test_apply_says_that_a_database_is_not_changed(done, server, monkeypatch, capfd):
    folder, _ = done
    monkeypatch.chdir(folder)
    (folder / "decisions.jsonl").write_text('{"row_id": "r1", "action": "drop"}\n')
    for data in ("mail.csv", server.address()):
        assert cli.main(["apply", "found", "decisions.jsonl", data, "-o", "fixed.csv"]) == 2
        error = capfd.readouterr().err
        assert "a database is not changed. Hint: export the rows to a CSV or Parquet file" in error
        assert PASSWORD not in error
    (folder / "decisions.jsonl").unlink()


@pytest.mark.parametrize("make", [sqlite_file, duckdb_table])
def test_the_same_findings_from_files(here, make, capfd):
    rows().write_csv("mail.csv")
    make(here / "mail.db", rows())
    (here / "q.sql").write_text("-- all of it\nselect *\nfrom mail\norder by size;\n")
    words = *QUICK, "--id", "name", "-qq"
    assert cli.main(["labels", "--sql", "mail.db", "--query", "@q.sql", *words, "--out", "db"]) == 0
    assert cli.main(["labels", "mail.csv", *words, "--out", "csv"]) == 0
    assert capfd.readouterr() == ("", "")
    columns = "row_id", "label", "suggested_label", "loo_loss"
    one, other = (
        pl.read_parquet(f"{folder}/labels.parquet").select(columns).sort("row_id") for folder in ("db", "csv")
    )
    assert one.drop("loo_loss").equals(other.drop("loo_loss"))
    assert np.allclose(one["loo_loss"], other["loo_loss"], atol=1e-8)


def test_a_query_from_stdin_and_a_database_from_a_variable(tmp_path):
    file = sqlite_file(tmp_path / "mail.db", rows())
    words = "labels", "--query", "-", *QUICK, "--format", "jsonl", "-qq"
    run = audit(*words, cwd=tmp_path, stdin="select * from mail;\n", DATAAUDIT_SQL=f"sqlite:///{file}")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[0])["row_id"].startswith("query#")


def test_mismatch_of_two_queries(server, here, capfd, monkeypatch):
    words = "--sql", server.address(), "--query", "select * from train", "--test-query", "select * from test"
    fast = "--label", "y", "--id", "id", "--l2", "1e-4", "--prove", "1", "--out", "found"
    assert cli.main(["mismatch", *words, *fast]) == 0
    said = capfd.readouterr().err
    assert "age = child" in said
    assert PASSWORD not in said
    assert PASSWORD.encode() not in everything(here)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert cli.main(["verify", "found", "--top", "1", "-q"]) != 2
    assert "came out again" in capfd.readouterr().err


A, B, OTHER = Query("select 1", "a.db"), Query("select 2", "a.db"), Query("select 2", "b.db")


@pytest.mark.parametrize(
    ("files", "asked", "found"),
    [
        (["x", "y"], {}, ("x", "y")),
        (["x"], {}, ("x", None)),
        ([], {"sql": "a.db", "query": "select 1"}, (A, None)),
        ([], {"sql": "a.db", "query": "select 1", "test_query": "select 2"}, (A, B)),
        (["y"], {"sql": "a.db", "query": "select 1"}, (A, "y")),
        (["x"], {"sql": "a.db", "test_query": "select 2"}, ("x", B)),
        (["x"], {"test_sql": "b.db", "test_query": "select 2"}, ("x", OTHER)),
        (
            [],
            {"sql": "a.db", "query": "select 1", "test_sql": "b.db", "test_query": "select 2"},
            (A, OTHER),
        ),
        (["x"], {"test_query": "select 2"}, ("x", Query("select 2"))),
    ],
)
def test_queries_take_the_places_of_files(files, asked, found):
    named = dict(zip(("train", "test"), files, strict=False))
    assert PairSource(**named, **asked).resolved() == found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["labels"], "no data were named. Hint: give a SOURCE, or --sql"),
        (["mismatch"], "no data were named"),
        (["labels", "--sql", "a.db"], "--sql names a database and nothing asks it. Hint: add --query"),
        (["labels", "--query", "select 1"], "a query was given and no database"),
        (["labels", "x.csv", "--sql", "a.db", "--query", "select 1"], "both a file and a query"),
        (["mismatch", "x.csv", "--sql", "a.db"], "--sql names a database and nothing asks it"),
        (["mismatch", "x.csv", "--test-sql", "a.db"], "--test-sql names a database and nothing asks it"),
        (["mismatch", "--test-query", "select 1", "--sql", "a.db"], "no data were named"),
        (
            ["mismatch", "x.csv", "y.csv", "--sql", "a.db", "--query", "select 1"],
            "more than training and test",
        ),
        (["mismatch", "--sql", "a.db", "--query", "-", "--test-query", "-"], "cannot both come from stdin"),
    ],
)
def test_options_that_do_not_go_together(here, capfd, words, says):
    sqlite_file(here / "a.db", rows())
    assert cli.main([*words, "--label", "y", "-q"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert says in error
