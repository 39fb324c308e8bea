"""The command ``audit`` as a process sees it, without the seconds in which Python and torch start.

Folder, stdin and environment are given, exit code and streams come back. What only a process of its own can
show (signals, closed pipes, terminals, what is imported) is tested with one.
"""

import io
import os
import sys
from contextlib import chdir, contextmanager
from dataclasses import dataclass

from dataaudit import cli

HIDDEN = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "GITHUB_ACTIONS")  # of the terminal the tests run in


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def environment(**more):
    """One thread, and nothing of the terminal that the tests run in."""
    return {k: v for k, v in os.environ.items() if k not in HIDDEN} | {"OMP_NUM_THREADS": "1", **more}


def audit(*arguments, cwd, stdin="", **more):
    """Run the command; `more` is its environment's."""
    streams = [_stream(text) for text in (stdin, "", "")]
    with chdir(cwd), _environment(environment(COLUMNS="80", **more)), _streams(*streams):
        code = cli.main([*map(str, arguments)])
    out, err = (stream.buffer.getvalue().decode("utf-8") for stream in streams[1:])
    return Done(code, out, err)


def _stream(text):
    return io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", write_through=True)


@contextmanager
def _streams(*ours):
    theirs = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = ours
    try:
        yield
        for stream in ours[1:]:
            stream.flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr = theirs


@contextmanager
def _environment(ours):
    theirs = dict(os.environ)
    os.environ.clear()
    os.environ.update(ours)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(theirs)
