"""How long `audit --help` takes, beside what importing Typer alone takes on the same machine.

Bar: at most 0.3 s where `python -c "import typer"` takes 0.1 s, that is three times as long.
"""

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "python -c 'import typer'": [sys.executable, "-c", "import typer"],
    "audit --help": [sys.executable, "-m", "dataaudit", "--help"],
    "audit --version": [sys.executable, "-m", "dataaudit", "--version"],
}


def seconds(command: list[str]) -> float:
    """Return the median wall time of `command` over `RUNS` runs after one to warm the cache."""
    taken = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    medians = {name: seconds(command) for name, command in COMMANDS.items()}
    base = medians["python -c 'import typer'"]
    for name, median in medians.items():
        print(f"{name:26s} {median:6.3f} s  {median / base:5.2f} ×")
    if medians["audit --help"] > max(0.3, 3 * base):
        sys.exit("audit --help is too slow")
