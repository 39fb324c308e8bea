"""No password leaves: every command, every format, every file that is written, and every error."""

import itertools
import json
import os
from urllib.parse import quote

import polars as pl
import pytest
from command import audit
from data.sql.test_query import duckdb_table, fill, sqlite_file
from postgres import running

from dataaudit.writers.base import CHECK

SECRET = "s3cret@Hunter2/42"  # @ and / have to be encoded in an address
FORMS = SECRET, quote(SECRET, safe=""), "Hunter2"
MARK = FORMS[1]
QUICK = "--label", "y", "--basis", "linear", "--l2", "1e-3", "-q"
REFUSED = "127.0.0.1:1"
ADDRESSES = {  # none of them leads anywhere
    "user info": f"postgresql://bob:{MARK}@{REFUSED}/x",
    "unencoded": f"postgresql://bob:{SECRET}@{REFUSED}/x",
    "with spaces": f"postgresql://bob:my {SECRET} pw@{REFUSED}/x",
    "password=": f"postgresql://bob@{REFUSED}/x?password={MARK}",
    "pass%77ord=": f"postgresql://bob@{REFUSED}/x?pass%77ord={MARK}",
    "sslpassword=": f"postgresql://bob@{REFUSED}/x?sslmode=require&sslpassword={MARK}",
    "options": f"postgresql://bob@{REFUSED}/x?options=-csecret%3D{MARK}&token={MARK}",
    "keywords": f"host=127.0.0.1 port=1 user=bob password='{SECRET}'",
    "keywords, as one word": f"host=h,password={SECRET}",
    "ado": f"Server=h;User Id=bob;Password=my {SECRET} pw;Database=x",
    "attach": f"postgres:dbname=x user=bob password={SECRET}",
    "another database": f"mysql://bob:{MARK}@h/x",
    "sqlite": f"sqlite:///no.db?password={MARK}",
    "duckdb": f"duckdb:///no.db?motherduck_token={MARK}",
    "md": f"md:x?motherduck_token={MARK}",
    "https": f"https://bob:{MARK}@127.0.0.1:1/x.csv",
    "https token": f"https://{MARK}@127.0.0.1:1/x.csv",
    "sas": f"az://box@account.dfs.core.windows.net/x.csv?sv=1&sig={MARK}",
    "s3": f"s3://key:{MARK}@bucket/x.csv",
    "signed": f"https://127.0.0.1:1/x.csv?X-Amz-Expires=3&X-Amz-Signature={MARK}&X-Amz-Security-Token={MARK}",
    "hostile": f"postgresql://bob:{MARK}@h/x\x1b]0;t\x07\n::error::owned\n##[group]\u202e{9000 * 'y'}",
}


@pytest.fixture
def here(tmp_path):
    (tmp_path / "tmp").mkdir()
    return tmp_path


def leaks(folder, *runs):
    """Return where a form of the secret is found: in streams, names of files, bytes and columns."""
    found = [run for run in runs if any(form in run.stdout + run.stderr for form in FORMS)]
    for path in (path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes().decode(errors="replace") + path.name
        if path.suffix == ".parquet":
            text += str(pl.read_parquet(path).rows()) + str(pl.read_parquet_schema(path))
        found += [path for form in FORMS if form in text]
    return found


def run(*words, cwd, **more):
    return audit(*words, cwd=cwd, TMPDIR=str(cwd / "tmp"), **more)


@pytest.mark.parametrize("name", ADDRESSES)
def test_what_fails_says_no_secret(here, name):
    address = ADDRESSES[name]
    outputs = [f"--output={form}={form}.out" for form in CHECK]
    words = "--query", "select 1 as y, 2 as x", "--label", "y"
    (here / "dataaudit.toml").write_text(
        f"[datasets.one]\npath = {json.dumps(address)}\nlabel = 'y'\nquery = 'select 1 as y'\n"
    )
    runs = [
        run("check", "--isolated", "--sql", address, *words, *outputs, cwd=here),
        run("check", "--isolated", address, "--label", "y", cwd=here, GITHUB_ACTIONS="true"),
        run("check", "--base", address, *outputs, cwd=here),
        run("check", "--format", "github", cwd=here, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY="s.md"),
        run("labels", f"--sql={address}", *words, "--debug", cwd=here),
        run("labels", address, "--label", "y", "--debug", cwd=here),
        run("mismatch", "--sql", address, *words, "--test-query", "select 1", cwd=here),
        run("explain", address, address, "--label", "y", "--row", "1", cwd=here),
        run("vulnerability", address, address, "--label", "y", cwd=here),
        run("labels", *words, "--debug", cwd=here, DATAAUDIT_SQL=address),
        run("check", "--isolated", *words, cwd=here, DATAAUDIT_SQL=address),
        run("check", "--sql", "$WAREHOUSE", *words, "--isolated", cwd=here, WAREHOUSE=address),
        run("labels", "--no-such-option", f"--sql={address}", cwd=here),
        run("labels", "--sql", address, "too", "many", "--label", cwd=here),
        run("report", address, cwd=here),
        run("verify", address, cwd=here),
        run("apply", address, address, address, "-o", "x.csv", cwd=here),
    ]
    assert [(i, done) for i, done in enumerate(runs) if done.returncode != 2] == []
    shown = [run("config", "show", "--format", form, cwd=here) for form in ("toml", "json")]
    shown.append(run("baseline", "create", cwd=here))
    (here / "dataaudit.toml").unlink()
    assert leaks(here, *runs, *shown) == []
    for done in (*runs, *shown):
        assert "internal error" not in done.stderr
        lines = done.stderr.splitlines()
        lines = [line for line in lines if not line.startswith("read ")]
        assert done in shown or len(lines) <= 1 or "Traceback" in done.stderr, "an error is one line"
        assert not any(
            line.lstrip().startswith(("::error::", "##[")) for line in lines + done.stdout.splitlines()
        )
        assert not any(mark in done.stdout + done.stderr for mark in ("\x1b", "\x07", "\u202e"))


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("adbc_driver_postgresql", reason="install adbc-driver-postgresql")
    with running() as found:
        rows = pl.DataFrame(
            {"id": range(80), "x": [i % 9 for i in range(80)], "y": ["ab"[i % 9 < 5] for i in range(80)]}
        )
        fill(found.address(), rows)
        fill(found.address(), rows.with_columns(y=pl.lit("a")), "test")
        found.run(f"CREATE ROLE carol LOGIN PASSWORD '{SECRET}'", "GRANT SELECT ON mail, test TO carol")
        yield found


def test_what_is_written_holds_no_secret(server, tmp_path_factory):
    here = tmp_path_factory.mktemp("secrets")
    (here / "tmp").mkdir()
    plain = server.address(user="carol", password=MARK)
    asked = server.address(user="carol", password="") + f"?sslmode=disable&password={MARK}"
    one = "--sql", plain, "--query", "select * from mail order by id", "--id", "id"
    other = "--test-sql", asked, "--test-query", "select * from test order by id"
    outputs = [f"--output={form}={form}.out" for form in CHECK]
    runs = [
        run("labels", *one, *QUICK, "--verify", "1", "--out", "labels", "--format", "json", cwd=here),
        run(
            "mismatch",
            *one,
            *other,
            *QUICK,
            "--prove",
            "0",
            "--out",
            "mismatch",
            "--format",
            "json",
            cwd=here,
        ),
    ]
    assert [done.stderr for done in runs if done.returncode] == []
    folders = "labels", "mismatch"
    for folder, form in itertools.product(folders, ("html", "json", "jsonl", "markdown", "text")):
        runs.append(run("report", folder, "--format", form, "-o", f"{folder}.{form}", cwd=here))
    exports = ("labelstudio", "argilla", "csv")
    runs += [run("export", "labels", "--to", form, "-o", f"{form}.out", cwd=here) for form in exports]
    (here / "dataaudit.toml").write_text(
        f"cache-folder = 'cache'\n[datasets.mail]\npath = {json.dumps(asked)}\nlabel = 'y'\n"
        "query = 'select * from mail'\nid = 'id'\n"
    )
    password = {"PGPASSWORD": SECRET}
    runs += [
        run("check", "--isolated", *one[:4], "--label", "y", *outputs, cwd=here),
        run(
            "check",
            "--limit",
            "DA101=0",
            cwd=here,
            GITHUB_ACTIONS="true",
            GITHUB_STEP_SUMMARY=str(here / "s.md"),
        ),
        run("baseline", "create", cwd=here),
        run(
            "check", "labels", "--isolated", *[word.replace(".out", ".folder") for word in outputs], cwd=here
        ),
        run("config", "show", cwd=here),
        run("verify", "labels", "--top", "1", cwd=here, **password),
        run("report", "labels", "--html-dir", "site", cwd=here),
    ]
    assert [done.stderr for done in runs if done.returncode == 2] == []
    (here / "dataaudit.toml").unlink()
    assert leaks(here, *runs) == []
    assert sum(path.is_file() for path in here.rglob("*")) > 60


@pytest.mark.parametrize("make", [sqlite_file, duckdb_table])
def test_a_query_that_attaches_another_database(here, make):
    rows = pl.DataFrame({"x": [i % 7 for i in range(60)], "y": ["a", "b"] * 30, "token": ["spam"] * 60})
    make(here / "mail.db", rows)
    where = f"token = 'spam' and y <> 'host=h password={SECRET} dbname=x' -- pwd={SECRET} host=h"
    query = f"select x, y from mail where {where}"
    done = [
        run("labels", "--sql", "mail.db", "--query", query, *QUICK, "--out", "found", cwd=here),
        run("check", "--sql", "mail.db", "--query", query, "--label", "y", "--format", "json", cwd=here),
        run(
            "labels",
            "--sql",
            "mail.db",
            "--query",
            query.replace("mail", "nope"),
            *QUICK,
            "--debug",
            cwd=here,
        ),
    ]
    assert [one.returncode for one in done] in ([0, 0, 2], [0, 1, 2]), done
    assert leaks(here, *done[:2]) == []
    assert "Hunter2" not in done[2].stderr
    kept = json.loads((here / "found/provenance.json").read_text())["settings"]["source"][1]
    assert kept == "--query=select x, y from mail where token = 'spam' and y <> 'host=h  dbname=x' --  host=h"


def test_variables_that_are_secret_are_known(here):
    (here / "x.csv").write_text("x,y\n1,a\n")
    done = run(
        "labels",
        "x.csv",
        "--label",
        "Hunter2-of-AWS",
        "--debug",
        cwd=here,
        AWS_SECRET_ACCESS_KEY="Hunter2-of-AWS",
    )
    assert done.returncode == 2
    assert "Hunter2" not in done.stderr
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") != "Hunter2-of-AWS"
