"""What every test may ask for."""

import os
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SERVICES = "CI_", "GITHUB_", "GITLAB_"  # what names of the variables of continuous integration begin with


def pytest_configure():
    """Run as by hand wherever the tests run; a test of a service says which one it is."""
    for name in [name for name in os.environ if name == "CI" or name.startswith(SERVICES)]:
        del os.environ[name]


def pytest_make_parametrize_id(val):
    """Name packed bytes without the time of their packing, or two workers collect different tests."""
    if isinstance(val, bytes) and val.startswith(b"\x1f\x8b"):
        return f"gzip-{zlib.crc32(val[:4] + val[8:]):08x}"
    return None


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder():
    """The folder of the real corpora, which the repository does not carry."""
    folder = Path(os.environ.get("DATAAUDIT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real corpora are not at {folder}; set DATAAUDIT_DATA")
    return folder
