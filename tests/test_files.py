"""Files are written whole or not at all: on a full disk, past a limit, and where nothing may be written."""

import os
import resource
import subprocess
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from command import audit
from writers.example import made_up

from dataaudit.errors import WriteError
from dataaudit.files import require_folder, require_writable, write_all, write_whole


@contextmanager
def largest(size):
    """Let no file grow past so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def forbidden(tmp_path):
    """A folder that may not be written to, whoever asks."""
    if os.geteuid() == 0:
        return Path("/sys")  # root may write to any folder of a disk
    folder = tmp_path / "forbidden"
    folder.mkdir(0o500)
    return folder


@pytest.fixture
def full(tmp_path):
    """A disk of 64 kB on which a few bytes are left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    (disk / "filler").write_bytes(bytes(57_000))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Findings, a table of them, and decisions."""
    folder = tmp_path_factory.mktemp("study")
    found = made_up(n=60)
    found.write(folder / "found")
    rows = pl.DataFrame({"row_id": found.labels["row_id"], "new_label": found.labels["suggested_label"]})
    rows.write_csv(folder / "rows.csv")
    (folder / "data.csv").write_text(
        "x,label\n" + "".join(f"{i * i % 17},{'ab'[i % 3 > 0]}\n" for i in range(60))
    )
    return folder


CHECKED = "data.csv", "--label", "label", "--isolated"
WRITES = {  # a command, and the option that names what it writes
    "report": (["report", "found"], "--out", "page.html"),
    "site": (["report", "found"], "--html-dir", "site"),
    "export": (["export", "found", "--to", "labelstudio"], "--out", "tasks.json"),
    "import": (["import", "rows.csv", "found"], "--out", "decisions.jsonl"),
    "labels": (["labels", "data.csv", "--label", "label", "--verify", "0", "-q"], "--out", "audit"),
    "baseline": (["baseline", "create", *CHECKED], "--baseline", "known.jsonl"),
    "check": (["check", *CHECKED], "--output", "sarif={}"),
}  # fmt: skip


def command(name, folder):
    """Return a command that writes to a folder."""
    words, option, file = WRITES[name]
    file = file.format(folder / "out.sarif") if "{" in file else folder / file
    return [*words, option, file]


def left(folder):
    """Return the files in a folder, and what is not empty of its folders."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", WRITES)
def test_what_may_not_be_written_is_said_first(name, study, forbidden):
    words = ["missing.csv" if word == "data.csv" else word for word in command(name, forbidden)]
    done = audit(*words, cwd=study)  # the missing file would be said next
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "written" in done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("name", WRITES)
def test_a_full_disk_is_said_in_a_line_and_nothing_is_left(name, study, full):
    done = audit(*command(name, full), cwd=study)
    assert done.returncode in (
        (0, 2) if name in ("import", "baseline", "check") else (2,)
    )  # small files may fit
    if done.returncode == 2:
        assert "No space left on device" in done.stderr
        assert "internal error" not in done.stderr
        assert left(full) == ["filler"]


@pytest.mark.parametrize("name", [name for name in WRITES if name != "baseline"])
def test_a_limit_on_files_leaves_nothing_half_written(name, study, tmp_path):
    (tmp_path / "out").mkdir()
    words = command(name, tmp_path / "out")
    with largest(4096 if name != "import" else 100):
        done = audit(*words, cwd=study)
    assert done.returncode == 2
    assert "File too large" in done.stderr
    assert left(tmp_path / "out") == []


def test_several_files_are_replaced_together_or_not_at_all(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("old")
    with largest(4096), pytest.raises(WriteError, match="two cannot be written: File too large"):
        write_all({one: "new", two: b"x" * 5000})
    assert one.read_text() == "old"
    assert left(tmp_path) == ["one"]
    write_all({one: "new", two: b"x"})
    assert (one.read_text(), two.read_text()) == ("new", "x")


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        require_writable(pipe)
        write_whole(pipe, "text")
        assert reader.communicate()[0] == b"text"
    assert pipe.is_fifo()


def test_a_trial_leaves_nothing(tmp_path):
    require_writable(tmp_path / "file")
    require_folder(tmp_path / "a" / "b", hint="")
    assert left(tmp_path) == []
    for folder in (tmp_path, tmp_path / "nowhere" / "file"):
        with pytest.raises(WriteError, match=r"cannot be written: (it is a folder|No such file)"):
            require_writable(folder)


def test_a_job_summary_that_cannot_be_written_is_said_first(study, forbidden):
    around = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(forbidden / "summary.md")}
    done = audit("check", "missing.csv", "--label", "label", "--isolated", cwd=study, **around)
    assert done.returncode == 2
    assert "the job summary cannot be written to" in done.stderr
