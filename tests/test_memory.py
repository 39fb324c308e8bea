"""What a run may take: as asked, a quarter of what is free, and what container and shell allow."""

import subprocess
import sys
from threading import Thread

import pytest
import torch

from dataaudit import memory
from dataaudit.errors import TooLarge
from dataaudit.memory import free_memory, limited, memory_limit, require_memory


def test_a_quarter_of_what_is_free_is_taken():
    assert 2**20 < free_memory() < 2**50
    assert memory_limit() == pytest.approx(free_memory() / 4, rel=0.2)


def test_what_was_asked_holds_inside_and_in_threads():
    seen = []
    with limited(123):
        with limited(None):
            assert memory_limit() == 123
        other = Thread(target=lambda: seen.append(memory_limit()))
        other.start()
        other.join()
    assert seen == [123]
    assert memory_limit() > 123


def test_the_share_is_settled_when_a_run_begins():
    with limited(None):
        before, taken = memory_limit(), bytearray(2**24)
        assert memory_limit() == before
        assert len(taken) == 2**24


def test_what_is_needed_is_said_with_the_sizes():
    with pytest.raises(
        TooLarge, match=r"^the thing needs 3\.0 GiB, 51 MiB may be used\. Hint: give more with"
    ):
        require_memory(3 * 2**30, "the thing", 51 * 2**20)


def test_what_could_not_be_had_is_said_in_one_line():
    with pytest.raises(TooLarge, match=r"there is not enough memory: .* are free now"), limited(None):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(TooLarge, match="--memory"), limited(None):
        bytearray(2**62)
    with pytest.raises(RuntimeError, match="size"), limited(None):
        torch.zeros(2) @ torch.zeros(3)


def test_control_groups_leave_what_is_not_used(tmp_path, monkeypatch):
    """Of a job in a container the limit is the job's own; the files that it caches make room."""
    job = tmp_path / "job"
    job.mkdir()
    for group, most, used in ((tmp_path, "max", 10), (job, 1000, 400)):
        (group / "memory.max").write_text(f"{most}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text("anon 7\ninactive_file 150\n")
    monkeypatch.setattr(memory, "GROUPS", ((tmp_path, "", "memory.max", "memory.current"),))
    monkeypatch.setattr(memory, "group_names", lambda: {"": "/job"})
    assert free_memory() == 750


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v")
def test_the_address_space_counts():
    code = "import dataaudit.memory as m; print(m.free_memory())"
    shell = f"ulimit -v 400000; exec {sys.executable} -c '{code}'"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert 2**26 < int(done.stdout) < 400_000 * 1024
