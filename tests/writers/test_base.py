import io
import sys
from importlib.metadata import entry_points

import pytest
from writers.example import made_up

from dataaudit.errors import SettingError
from dataaudit.report import shown
from dataaudit.writers import Writer, get, names
from dataaudit.writers.base import BUILT_IN, GROUP

PLUGIN = """
from dataaudit.writers import Writer

def write(findings, report, out):
    out.write(report.headline)

WRITER = Writer("count", ".txt", "the number of rows", write)
OTHER = 7
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Another package, installed for real: a module and its entry points on the path."""
    (tmp_path / "counting_writer.py").write_text(PLUGIN)
    info = tmp_path / "counting_writer-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting-writer\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\ncount = counting_writer:WRITER\nodd = counting_writer:OTHER\n"
        "gone = counting_writer:ABSENT\nhtml = counting_writer:WRITER\n"
        f"[{GROUP}.mismatch]\ntally = counting_writer:WRITER\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("counting_writer", None)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_format_writes_something(name):
    writer, out = get(name), io.StringIO()
    writer.write(*shown(made_up()), out)
    assert writer.name == name
    assert isinstance(writer, Writer)
    assert out.getvalue().endswith("\n") or name == "html"


def test_close_matches_are_offered():
    with pytest.raises(SettingError, match="did you mean 'jsonl'"):
        get("jsnol")
    with pytest.raises(SettingError, match="the formats are console, html, json, jsonl, markdown, text"):
        get("pdf")


def test_other_packages_add_formats(plugin):
    assert {"count", "odd", "gone"} <= set(names())
    assert names()[: len(BUILT_IN)] == BUILT_IN
    out = io.StringIO()
    get("count").write(*shown(made_up(n=9)), out)
    assert out.getvalue().endswith("of 9 labels are wrong: about 3") or "of 9 labels" in out.getvalue()
    assert get("html").name == "html"  # ours cannot be replaced
    with pytest.raises(SettingError, match=r"is no dataaudit\.writers\.Writer: got int"):
        get("odd")
    with pytest.raises(SettingError, match="cannot be loaded"):
        get("gone")
    assert len(entry_points(group=GROUP, name="count")) == 1


def test_each_kind_of_findings_has_its_own_formats(plugin):
    assert "tally" in names("mismatch")
    assert "tally" not in names()
    assert "count" not in names("mismatch")
    assert names("mismatch")[: len(BUILT_IN)] == BUILT_IN
    with pytest.raises(SettingError, match="did you mean 'tally'"):
        get("taly", "mismatch")
    assert all(get(name, "mismatch") is get(name) for name in BUILT_IN)  # one writer draws any kind
