"""Paths, globs, folders, lists of them, texts by class; and no result is written over what was read."""

import gzip
import os
import re
import threading
from pathlib import Path

import polars as pl
import pytest

from dataaudit import Query
from dataaudit.data.load import load
from dataaudit.data.paths import files_meant, require_apart
from dataaudit.errors import DataError, UnreadableFile, WriteError


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.fixture
def mail(tmp_path):
    """The layout of Enron-Spam."""
    for name, text in {
        "ham/2.txt": "two\nlines",
        "ham/10.txt": "ten",
        "spam/1.txt": b"caf\xe9 \x80",
        "spam/deep/3.txt": "\ufeffdeep",
        "Summary.txt": "what this is",
        ".hidden/4.txt": "no",
    }.items():
        write(tmp_path / "mail" / name, text)
    return tmp_path / "mail"


ROWS = {"ham/10.txt": "ten", "ham/2.txt": "two\nlines", "spam/1.txt": "café €", "spam/deep/3.txt": "deep"}


@pytest.mark.parametrize("given", ["{}", "{}/*", ["{}/ham", "{}/spam"]])
def test_texts_by_class(mail, given):
    source = [item.format(mail) for item in given] if isinstance(given, list) else given.format(mail)
    result = load(source, target="label")
    assert result.frame.columns == ["text", "label"]
    base = mail.as_posix()
    assert dict(zip(result.source, result.frame["text"], strict=True)) == {
        f"{base}/{name}": text for name, text in ROWS.items()
    }
    assert result.frame["label"].to_list() == ["ham", "ham", "spam", "spam"]
    assert result.row_id.to_list() == [f"{base}/{name}:1" for name in ROWS]
    assert [(o.path, o.format, o.rows) for o in result.origins] == [
        (f"{base}/ham", "text", 2),
        (f"{base}/spam", "text", 2),
    ]
    assert f"{base}/spam: 1 of 2 files are not UTF-8; they were read as Windows-1252." in result.notes
    assert any("Summary.txt: left out" in note for note in result.notes) == (not isinstance(given, list))


def test_texts_by_globs_of_files(mail):
    result = load([f"{mail}/ham/*.txt", f"{mail}/spam/*.txt"], target="label")
    assert result.frame["label"].to_list() == ["ham", "ham", "spam"]
    assert load(f"{mail}/*/*.txt", target="label").frame.equals(result.frame)


def test_texts_hash_tells_every_change(mail):
    before = load(mail, target="label").origins
    write(mail / "ham" / "2.txt", "two\nlines.")
    after = load(mail, target="label").origins
    assert before[0].sha256 != after[0].sha256
    assert before[1] == after[1]


def test_texts_take_no_other_columns(mail):
    with pytest.raises(DataError, match="the label cannot be called 'text'"):
        load(mail, target="text")
    with pytest.raises(DataError, match="column 'id' is not in a folder of texts"):
        load(mail, target="label", id_column="id")


def test_one_class_folder_is_refused(mail):
    with pytest.raises(UnreadableFile, match=r"holds no table, and texts of one class only: got deep"):
        load(mail / "spam", target="label")


def test_tables_called_txt_in_two_folders_are_tables(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name / "rows.txt", f"x,y\n1,{name}\n")
    result = load(f"{tmp_path}/*/rows.txt", target="y")
    assert result.frame.rows() == [(1, "a"), (1, "b")]


def test_globs_and_folders_are_sorted_and_concatenated(tmp_path):
    for name, value in (
        ("b.csv", "2"),
        ("a.csv", "1"),
        ("sub/c.csv.gz", None),
        ("_tmp.csv", "9"),
        (".x.csv", "9"),
    ):
        data = f"x,y\n{value},p\n{value}.5,q\n" if value else gzip.compress(b"y,x\nq,3\n")
        write(tmp_path / name, data)
    result = load(tmp_path, target="y")
    assert result.frame["x"].to_list() == [1.0, 1.5, 2.0, 2.5, 3.0]  # 3 widened, and found by name
    base = tmp_path.as_posix()
    assert result.row_id.to_list()[1:4] == [f"{base}/a.csv:3", f"{base}/b.csv:2", f"{base}/b.csv:3"]
    assert result.row.to_list() == [0, 1, 0, 1, 0]
    assert [origin.rows for origin in result.origins] == [2, 2, 1]
    assert load(f"{tmp_path}/[ab].csv", target="y").n == 4
    assert load(f"{tmp_path}/**/*.csv*", target="y").n == 7  # a glob takes _tmp.csv as the shell would
    assert load([tmp_path / "b.csv", tmp_path / "a.csv"], target="y").frame["x"].to_list() == [
        2.0,
        2.5,
        1.0,
        1.5,
    ]


def test_a_file_that_is_given_twice_is_read_once(tmp_path):
    write(tmp_path / "a.csv", "x,y\n1,p\n")
    (tmp_path / "sub").mkdir()
    assert load([f"{tmp_path}/*.csv", f"{tmp_path}/a.csv", f"{tmp_path}/sub/../a.csv"], target="y").n == 1


def test_paths_are_kept_as_given(tmp_path, monkeypatch):
    write(tmp_path / "sub" / "a.csv", "x,y\n1,p\n")
    monkeypatch.chdir(tmp_path)
    assert load("sub/a.csv", target="y").row_id.to_list() == ["sub/a.csv:2"]
    pl.DataFrame({"y": [1, 2]}).write_parquet("~x.parquet")
    assert load("~x.parquet", target="y").row_id.to_list() == ["~x.parquet#0", "~x.parquet#1"]


def test_formats_are_mixed_only_when_named(tmp_path):
    write(tmp_path / "a.csv", "x,y\n1,p\n")
    write(tmp_path / "b.jsonl", '{"x":2,"y":"q"}\n')
    with pytest.raises(
        DataError, match=r"holds tables of 2 kinds: .csv, .jsonl. Hint: say which: '.*/\*.csv'"
    ):
        load(tmp_path, target="y")
    result = load([tmp_path / "a.csv", tmp_path / "b.jsonl"], target="y")
    assert result.frame.rows() == [(1, "p"), (2, "q")]
    assert result.line.to_list() == [2, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("mails.csv", "no such file: '.*mails.csv'. Hint: did you mean '.*/mail.csv'"),
        ("zzzzzzz.q", "no such file: .* Hint: its folder holds empty, mail.csv"),
        ("nowhere/mail.csv", "no such file: .*, nor its folder"),
        ("*.parquet", r"no file matches '.*/\*.parquet'"),
        ("empty", "folder .*/empty holds nothing to audit"),
        ("a\0b", "no such file"),
        ("x" * 5_000, "no such file"),
        ("odd\n\x1b]31m", r"no such file: '.*odd\\n\\x1b\]31m'"),
    ],
)
def test_nothing_there(tmp_path, given, message):
    write(tmp_path / "mail.csv", "x,y\n1,p\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFile, match=message) as caught:
        load(f"{tmp_path}/{given}", target="y")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("given", "message"), [([], "no file was given"), (7, "a int cannot be read"), ([7], "list")]
)
def test_no_paths(given, message):
    with pytest.raises(DataError, match=message):
        load(given, target="y")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_not_permitted(tmp_path):
    path = write(tmp_path / "a.csv", "x,y\n1,p\n")
    path.chmod(0)
    with pytest.raises(UnreadableFile, match=r"a.csv may not be read: permission denied. Hint: chmod \+r"):
        load(path, target="y")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_failing_disk():
    with pytest.raises(
        UnreadableFile, match=r"/proc/self/mem cannot be read: .*. Hint: check the path and the disk"
    ):
        load("/proc/self/mem", target="y")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_can_be_read_only_once(tmp_path):
    pipe = tmp_path / "rows"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"x,y\n1,p\n",))
    writer.start()
    result = load(pipe, target="y")
    writer.join()
    assert result.frame.rows() == [(1, "p")]


def test_names_that_are_not_unicode(tmp_path):
    name = os.fsdecode(b"x\xff")
    frame = pl.DataFrame({"x": [1], "y": ["p"]})
    try:
        write(tmp_path / f"{name}.csv", frame.write_csv())
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    frame.write_parquet(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").rename(tmp_path / f"{name}.parquet")
    for suffix, mark in ((".csv", ":2"), (".parquet", "#0")):
        result = load(tmp_path / f"{name}{suffix}", target="y")
        assert result.frame.equals(frame)
        assert re.fullmatch(rf".*/x\\udcff{suffix}{mark}", result.row_id[0])


def refused(target, *sources):
    try:
        require_apart([target], sources, hint="name another")
    except WriteError as error:
        return str(error).endswith("is what was read, and would be written over. Hint: name another.")
    return False


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_source_is_known_under_every_name(tmp_path, monkeypatch):
    path = tmp_path / "train.csv"
    path.write_text("x,y\n1,a\n")
    os.link(path, tmp_path / "hard.csv")
    (tmp_path / "soft.csv").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    for name in ("train.csv", "hard.csv", "soft.csv", f"../{tmp_path.name}/train.csv"):
        assert refused(tmp_path / name, "train.csv")
    assert not refused(tmp_path / "new.csv", "train.csv", "<frame>", "<stdin>", "x" * 5000)


def test_a_folder_stands_for_the_files_in_it(tmp_path):
    (tmp_path / "spam").mkdir()
    (tmp_path / "spam" / "1.txt").write_text("buy")
    (tmp_path / "2.txt").write_text("hello")
    assert refused(tmp_path / "spam" / "1.txt", tmp_path / "spam")
    assert not refused(tmp_path / "spam" / "new.txt", tmp_path / "spam")
    assert not refused(tmp_path / "2.txt", tmp_path / "spam")


def test_globs_and_folders_mean_their_files(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,a\n")
    both = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert list(files_meant([str(tmp_path)], "y")) == both
    assert list(files_meant([str(tmp_path / "[ab].csv"), None, "-", Query("select 1", "a.db")], "y")) == both
    assert list(files_meant([both], "y")) == both
    with pytest.raises(UnreadableFile):
        list(files_meant([str(tmp_path / "c.csv")], "y"))
