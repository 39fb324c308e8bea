"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
