"""A value in a file comes back to the last bit; a file that was made to do harm, or is damaged, does not."""

import os
import pickle
import zlib

import numpy as np
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from dataaudit.checkpoint.snapshot import _MAGIC, read_snapshot, write_snapshot
from dataaudit.features import BasisSettings, fit_basis, fit_encoding
from dataaudit.training.curve import PathLoss

FRAME = pl.DataFrame(
    {
        "number": np.random.default_rng(0).normal(size=40),
        "level": ["a", "b"] * 20,
        "text": [f"some words {i % 7} and more {i % 3}" for i in range(40)],
        "y": ["p", "q"] * 20,
    }
)


def again(value, folder):
    path = folder / "one.stage"
    write_snapshot(path, "fit", value)
    return read_snapshot(path, "fit")


def test_arrays_and_tensors_come_back_as_they_lay_in_memory(tmp_path):
    array = np.asfortranarray(np.random.default_rng(0).normal(size=(5, 3)))
    matrix = csr_array(np.eye(4))
    value = {"array": array, "tensor": torch.arange(6, dtype=torch.float32), "more": [matrix, (None, 2.5)]}
    found = again(value, tmp_path)
    assert_array_equal(found["array"], array)
    assert found["array"].flags.f_contiguous
    assert found["array"].flags.writeable
    assert found["tensor"].dtype == torch.float32
    assert found["tensor"].equal(value["tensor"])
    assert_array_equal(found["more"][0].toarray(), np.eye(4))
    assert found["more"][1] == (None, 2.5)


def test_encodings_columns_and_bases_come_back(tmp_path):
    encoding = fit_encoding(FRAME, "y")
    columns = encoding.transform(FRAME)
    basis = fit_basis(columns, BasisSettings("rank", spline=True))
    X = basis.transform(columns)
    found_encoding, found_columns, found_basis = again((encoding, columns, basis), tmp_path)
    assert found_columns.features == columns.features
    assert found_columns.term_features is not None
    assert found_basis.columns == basis.columns
    anew = found_basis.transform(found_encoding.transform(FRAME))
    assert_array_equal(anew, X)


def test_what_is_one_thing_in_two_places_stays_one(tmp_path):
    point = PathLoss(0.1, torch.ones(3), torch.zeros(2))
    points, chosen = again(((point,), point), tmp_path)
    assert points[0] is chosen


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


class Fields:
    """A class of ours, but not of the package's."""


@pytest.mark.parametrize("value", [Harm(), Fields(), print, {"deep": [Harm()]}])
def test_nothing_that_could_do_more_than_be_is_read(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is not admitted"):
        again(value, tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["os.mkdir", "Path", "write_whole", "shutil.rmtree"])
def test_a_module_of_the_package_is_no_way_to_others(name, tmp_path):
    pickled = b"\x80\x04" + _text("dataaudit.files") + _text(name) + b"\x93" + _text("harm") + b"\x85R."
    body = b"".join(len(part).to_bytes(8, "little") for part in (b"fit", pickled))
    body = (2).to_bytes(8, "little") + body + b"fit" + pickled
    path = tmp_path / "one.stage"
    path.write_bytes(_MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)
    with pytest.raises(ValueError, match="is not admitted"):
        read_snapshot(path, "fit")


def _text(word):
    return b"\x8c" + len(word).to_bytes(1, "little") + word.encode()


def test_a_file_with_any_byte_changed_or_cut_off_is_refused(tmp_path):
    path = tmp_path / "one.stage"
    write_snapshot(path, "fit", (np.arange(9.0), "some text"))
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"cut short|format|checksum"):
            read_snapshot(path, "fit")
        path.write_bytes(whole[:at])
        with pytest.raises(ValueError, match=r"cut short|format|checksum"):
            read_snapshot(path, "fit")


def test_a_file_of_another_stage_or_format_is_refused(tmp_path):
    path = tmp_path / "one.stage"
    write_snapshot(path, "fit", 1)
    with pytest.raises(ValueError, match="another stage"):
        read_snapshot(path, "encode")
    path.write_bytes(pickle.dumps(1))
    with pytest.raises(ValueError, match="another format"):
        read_snapshot(path, "fit")
