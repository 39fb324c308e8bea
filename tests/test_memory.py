"""What a run may take: as asked, a quarter of what is free, and what container and shell allow."""

import subprocess
import sys
from functools import partial
from threading import Thread

import numpy as np
import polars as pl
import pytest
import torch

import dataaudit
from dataaudit import memory
from dataaudit.audits.testset import read_pair
from dataaudit.errors import TooLarge
from dataaudit.memory import free_memory, hold, limited, memory_limit, require_memory
from dataaudit.options import ExplainOptions


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


def table(n=3000):
    random = np.random.default_rng(0)
    columns = {f"x{j}": random.normal(size=n) for j in range(20)}
    return pl.DataFrame(columns).with_columns(y=pl.Series(random.integers(3, size=n)).cast(pl.String))


@pytest.mark.parametrize(
    "audit",
    [
        dataaudit.audit_labels,
        partial(dataaudit.audit_mismatch, test_size=0.2),
        partial(dataaudit.explain, test_size=0.2, row=3),
        partial(dataaudit.vulnerability, test_size=0.2),
    ],
    ids=["labels", "mismatch", "explain", "vulnerability"],
)
def test_what_no_way_could_hold_is_refused_before_the_work(audit):
    steps, frame = [], table().with_row_index("id")
    options = {} if audit is dataaudit.audit_labels else {"id": "id"}
    if "row" in getattr(audit, "keywords", {}):
        audit = partial(dataaudit.explain, test_size=0.2, row_id=frame_row(frame))
    with pytest.raises(TooLarge, match=r"influence for [\d,]+ rows, 2[01] features and 3 classes needs"):
        audit(frame, label="y", memory="1MiB", on_step=lambda *step: steps.append(step[0]), **options)
    assert dict.fromkeys(steps) == dict.fromkeys(["read", "encode"])


def frame_row(frame):
    """The name of a row that `test_size` draws."""
    pair = read_pair(frame, None, ExplainOptions(label="y", test_size=0.2, row=0, id="id"))
    return pair.test.row_id[0]


def test_what_earlier_stages_keep_is_not_there_for_later_ones():
    with limited(2**30):
        hold(2**29)
        assert memory_limit() == 2**29
        with limited(None):
            hold(2**28)
            assert memory_limit() == 2**28
        assert memory_limit() == 2**29
        hold(2**40)
        assert memory_limit() == 0
    hold(2**60)  # outside of a run nothing is counted
    assert memory_limit() > 0
