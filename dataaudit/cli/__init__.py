"""The command ``audit``: results on stdout, talk on stderr.

======  =============================================================================
exit    meaning
======  =============================================================================
0       done
1       done, and the answer is no: `verify` did not confirm the findings
2       it could not be done: one line ``error: …`` says why and what to do
130     interrupted
======  =============================================================================

An uncaught exception would exit with 1, which means "there are findings" in tools of this kind; hence `main`
catches everything. ``--debug`` anywhere, or ``DATAAUDIT_DEBUG=1``, shows the traceback as well.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from typer.exceptions import TyperException

from dataaudit.cli.app import tree
from dataaudit.errors import AuditError
from dataaudit.escape import block, inert, visible
from dataaudit.secrets import known_secrets, masked_text, masked_words

FAILED, INTERRUPTED = 2, 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room: disk, quota, size of a file
_LONGEST = 2000  # characters of an error: a name may have any number
_COMPLETES = "_AUDIT_COMPLETE"  # what the shell sets to have words completed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word != "--debug"]
    debug = "--debug" in given or os.environ.get("DATAAUDIT_DEBUG", "0") not in ("", "0")
    _set_encodings()
    # Threads that spin while they wait take the cores from each other: three times slower where others work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        typed = shlex.join(["audit", *masked_words(words)])  # for the provenance
        asked = next((word for word in words if not word.startswith("-")), "-")
        app = tree("" if _COMPLETES in os.environ else asked)  # all of it takes a third longer
        code = app(args=words, prog_name="audit", standalone_mode=False, obj=typed)
        sys.stdout.flush()  # a reader that left shows here, not at the interpreter's exit
    except SystemExit as stop:  # Typer's own, for shell completion and for a closed pipe
        return _closed() if isinstance(stop.__context__, BrokenPipeError) else int(stop.code or 0)
    except BrokenPipeError:
        return _closed()
    except BaseException as error:  # noqa: BLE001 - also Polars' panics, which are no Exception
        return _failed(error, known_secrets(given, os.environ), debug=debug)
    if code == INTERRUPTED:
        _say("interrupted: nothing was left half-written")
    return int(code or 0)


def _failed(error: BaseException, secrets: Sequence[str], *, debug: bool) -> int:
    """Say in one line what went wrong, without `secrets`; return the exit code."""
    if debug and not isinstance(error, KeyboardInterrupt):
        import traceback

        whole = "".join(traceback.format_exception(error)).rstrip()
        _print(block(masked_text(whole, secrets), len(whole) + 1))
    if isinstance(error, KeyboardInterrupt):
        _say("interrupted: nothing was left half-written")
        return INTERRUPTED
    if isinstance(error, AuditError):
        what = f"error: {error}"
    elif isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "audit"
        what = error.format_message().replace(": Value error, ", ": ").rstrip(".")
        what = f"error: {what}{'' if what.endswith('?') else '.'} Hint: see {path} --help."
    elif isinstance(error, OSError) and error.errno in _FULL:
        what = f"error: the output cannot be written: {error.strerror}. Hint: make room on the disk."
    elif isinstance(error, MemoryError):
        what = "error: there is not enough memory. Hint: use fewer rows or --features."
    else:
        what = f"internal error: {_described(error)}. Hint: report it, with what --debug adds."
    _say(what, secrets)
    return FAILED


def _described(error: BaseException) -> str:
    """Return type, message and the innermost line of ours, in one line."""
    place = ""
    trace = error.__traceback__
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        if "dataaudit" in path.parts:
            place = f" ({path.name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {str(error).rstrip('.')}{place}"


def _say(line: str, secrets: Sequence[str] = ()) -> None:
    """Write one line to stderr."""
    whole = visible(masked_text(line, secrets))
    _print(whole if len(whole) <= _LONGEST else whole[:_LONGEST] + "…")


def _print(text: str) -> None:
    try:
        print(inert(text), file=sys.stderr, flush=True)  # noqa: T201 - the one voice of the command
    except OSError:  # nobody listens
        _silence(sys.stderr)


def _set_encodings() -> None:
    """Results are UTF-8 wherever they go; what stderr cannot show, it shows as a code."""
    for stream, encoding in ((sys.stdout, "utf-8"), (sys.stderr, None)):
        reconfigure = getattr(stream, "reconfigure", None)  # a caller may have put something else there
        if reconfigure:
            reconfigure(encoding=encoding, errors="backslashreplace")


def _closed() -> int:
    """Whoever reads the results has seen enough, as in ``audit … | head``: no error."""
    _silence(sys.stdout)
    return 0


def _silence(stream: TextIO) -> None:
    """Point `stream` nowhere, so that the interpreter's last flush does not fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # no file behind it
        return
