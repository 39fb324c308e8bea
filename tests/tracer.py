"""Run a command and write down which functions of the package it called, in the order of their first calls.

    python tests/tracer.py calls.json labels rows.csv --label y

``calls.json`` is a list of ``[file, function]``. What runs when a module is imported is left out: it
is no part of the story.
"""

import json
import os
import sys
import threading
from pathlib import Path

PACKAGE = f"{Path(__file__).resolve().parents[1] / 'dataaudit'}{os.sep}"
FUNCTION = 0x1  # CO_OPTIMIZED: not the body of a module or a class


def main(out, arguments):
    """Run the command, return its exit code."""
    from dataaudit.cli import main as command

    calls, here = {}, threading.local()

    def watch(frame, event, _):
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return
        if code.co_name == "<module>" and event in ("call", "return"):
            here.imports = getattr(here, "imports", 0) + (1 if event == "call" else -1)
        elif event == "call" and code.co_flags & FUNCTION and not getattr(here, "imports", 0):
            calls.setdefault((code.co_filename.removeprefix(PACKAGE), code.co_qualname))

    threading.setprofile(watch)
    sys.setprofile(watch)
    code = command(arguments)
    sys.setprofile(None)
    Path(out).write_text(json.dumps(list(calls)), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
