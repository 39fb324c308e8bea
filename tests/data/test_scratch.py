"""Folders of runs that were killed are removed by the next one; those of runs that live are not."""

import subprocess
import sys
import tempfile

import pytest

from dataaudit.data.scratch import Scratch

RUN = """
import sys, time
from dataaudit.data.scratch import Scratch
with Scratch() as scratch:
    scratch.path(".rows").write_bytes(bytes(1000))
    print("there", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def started(folder):
    """Start a run that has written to its folder."""
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, env={"TMPDIR": str(folder)})
    assert run.stdout.readline() == b"there\n"
    return run


def left(folder):
    return {path.parent.name for path in folder.glob("dataaudit-*/*.rows")}


def test_what_a_killed_run_left_is_gone_at_the_next_start(folder):
    killed, alive = started(folder), started(folder)
    try:
        assert len(left(folder)) == 2
        killed.kill()
        killed.wait()
        assert len(left(folder)) == 2
        (folder / "dataaudit-of-another-kind").mkdir()
        with Scratch() as scratch:
            assert len(left(folder)) == 1
            scratch.path(".rows").write_bytes(b"some")
            with Scratch():
                assert len(left(folder)) == 2
        assert len(left(folder)) == 1
        alive.kill()
        alive.wait()
        with Scratch():
            assert not left(folder)
        assert [path.name for path in folder.iterdir()] == ["dataaudit-of-another-kind"]
    finally:
        for run in (killed, alive):
            run.kill()
            run.wait()
            run.stdout.close()


def test_a_link_leads_nowhere(folder, tmp_path_factory):
    there = tmp_path_factory.mktemp("elsewhere")
    (there / ".dataaudit-scratch").touch()
    (folder / "dataaudit-link").symlink_to(there)
    with Scratch():
        pass
    assert (there / ".dataaudit-scratch").exists()
