"""A few of the mutated files of tests/benchmarks/fuzz.py: each is read, or refused in one line."""

import random

import pytest
from benchmarks.fuzz import SEEDS, limited, mutated, read, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("kind", SEEDS)
def test_mutated_files_are_read_or_refused(kind):
    counts, faults, _ = run(kind, range(60))
    assert not faults
    assert counts["read"]
    assert counts["refused"]


@pytest.mark.parametrize("kind", ["csv", "json", "decisions"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pick=st.randoms(use_true_random=False))
def test_whatever_hypothesis_makes_of_them(kind, pick, tmp_path):
    with limited():
        read(kind, mutated(pick, SEEDS[kind]()), pick, tmp_path)


def test_a_file_depends_on_its_seed_alone():
    seeds = SEEDS["csv"]()
    assert mutated(random.Random("0 csv 7"), seeds) == mutated(random.Random("0 csv 7"), seeds)
