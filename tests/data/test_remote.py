"""Files on the web and in stores."""

import http.server
import io
import threading

import fsspec
import polars as pl
import pytest

from dataaudit.data.load import load
from dataaudit.data.paths import files_meant
from dataaudit.errors import DataError, UnreadableFile

CSV = b"x,y\n1,p\n2,q\n"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve a table, a page, and what is only for those who log in."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        login = self.headers.get("Authorization")
        if path == "/private.csv" and login != "Basic Ym9iOnMzY3JldA==":
            self.send_error(401)
            return
        if path not in ("/t.csv", "/private.csv", "/page.csv", "/t.csv.gz"):
            self.send_error(404)
            return
        body = b"<html>no</html>" if path == "/page.csv" else CSV
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if path == "/page.csv" else "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def store():
    memory = fsspec.filesystem("memory")
    memory.pipe("/data/t.csv", CSV)
    for name in ("p", "q"):
        out = io.BytesIO()
        pl.DataFrame({"x": [1, 2]}).write_parquet(out)
        memory.pipe(f"/hive/y={name}/part-0.parquet", out.getvalue())
    memory.pipe("/hive/_SUCCESS", b"")
    memory.pipe("/hive/_temporary/0.parquet", b"")
    yield memory
    memory.rm("/", recursive=True)


def test_a_file_on_the_web(web, tmp_path):
    (tmp_path / "t.csv").write_bytes(CSV)
    local = load(tmp_path / "t.csv", target="y")
    result = load(f"http://{web}/t.csv?month=7", target="y")
    assert result.frame.equals(local.frame)
    assert result.origins[0].sha256 == local.origins[0].sha256
    assert result.origins[0].format == "csv"
    assert result.row_id.to_list() == [f"http://{web}/t.csv?month=7:{line}" for line in (2, 3)]


def test_secrets_are_sent_and_not_shown(web):
    result = load(f"http://bob:s3cret@{web}/private.csv?sig=abc&a=1", target="y")
    assert result.n == 2
    said = repr((result.origins, result.row_id.to_list(), result.source.to_list(), result.given))
    assert "s3cret" not in said
    assert "abc" not in said
    with pytest.raises(UnreadableFile, match="401") as caught:
        load(f"http://bob:wr0ng@{web}/private.csv?token=hidden", target="y")
    assert not {"wr0ng", "hidden"} & set(str(caught.value).replace("=", " ").split())


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("gone.csv", UnreadableFile, r"gone.csv cannot be read: 404 .*. Hint: check the address"),
        ("page.csv", DataError, r"page.csv is a web page, not a table. Hint: give the address of the file"),
        ("t.csv.gz", DataError, "column 'z' is not in"),
    ],
)
def test_what_the_web_does_not_have(web, path, error, message):
    with pytest.raises(error, match=message):
        load(f"http://{web}/{path}", target="z")


def test_a_server_that_is_not_there():
    with pytest.raises(UnreadableFile, match=r"http://127.0.0.1:9/t.csv cannot be read: .*refused"):
        load("http://127.0.0.1:9/t.csv", target="y")


def test_a_file_in_a_store(store):
    result = load("memory://data/t.csv", target="y")
    assert result.frame.rows() == [(1, "p"), (2, "q")]
    assert result.row_id.to_list() == ["memory://data/t.csv:2", "memory://data/t.csv:3"]
    assert load("memory://data/*.csv", target="y").n == 2
    assert list(files_meant(["memory://data/t.csv"], "y")) == ["memory://data/t.csv"]


@pytest.mark.parametrize("given", ["memory://hive", "memory://hive/", "memory://hive/y=*/*.parquet"])
def test_a_folder_in_a_store(store, given):
    result = load(given, target="y")
    assert result.frame.rows() == [(1, "p"), (2, "p"), (1, "q"), (2, "q")]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://data/gone.csv", r"memory://data/gone.csv cannot be read: there is no such file"),
        ("memory://data/*.parquet", r"no file is at 'memory://data/\*.parquet'"),
        ("s3://bucket/t.csv", r"s3://bucket/t.csv needs a package for s3://. Hint: pip install s3fs"),
        ("gs://bucket/t.csv", r"pip install gcsfs"),
        ("abfs://box@bob.dfs.core.windows.net/t.csv", r"pip install adlfs"),
        ("s4://bucket/t.csv", r"addresses of s4:// are not read. Hint: download the file"),
        ("postgresql://bob:pw@host/db", r"an address is no file. Hint: a database is read by --sql"),
    ],
)
def test_what_no_store_has(store, address, message):
    with pytest.raises(UnreadableFile, match=message) as caught:
        load(address, target="y")
    assert "pw" not in str(caught.value)
