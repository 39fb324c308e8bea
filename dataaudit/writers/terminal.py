"""What every summary on a terminal has: data, verdict, how far to trust it, what to type next.

Everything from outside becomes `Text`, in which Rich reads no markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text

from dataaudit.escape import console_line as line
from dataaudit.report import words
from dataaudit.summary import Command, Trust, Verdict

_CLASSES: Final = 6  # named in the heading


def print_parts(console: Console, parts: Iterable[RenderableType | None]) -> None:
    """Print what there is to print, a blank line after each part."""
    for part in parts:
        if part is None or (isinstance(part, Text) and not part.plain):
            continue
        console.print(part, highlight=False)
        console.print()


def heading(name: str, facts: str, classes: Sequence[str]) -> Text:
    """Name the data."""
    names = [line(label, 30) for label in classes[:_CLASSES]]
    shown = ", ".join([*names, "…"] if len(classes) > _CLASSES else names)
    return Text.assemble((line(name, 120), "bold"), (f"\n{facts}, classes {shown}", "dim"))


def verdict(said: Verdict) -> Text:
    """Return the headline, then what it rests on."""
    headline = percent(line(said.headline))
    sentences = percent(" ".join(line(sentence, 600) for sentence in said.sentences))
    return Text.assemble((headline, "bold"), (".\n" if sentences else "."), sentences)


def percent(text: str) -> str:
    """Close up ``80 %``: Rich breaks lines at no-break spaces too."""
    return text.replace("\N{NO-BREAK SPACE}%", "%")


def trust(found: Trust) -> Text:
    """Say how the refits went, and each check that failed in full; checks that passed are on the page."""
    text = Text()
    if found.slope is not None and found.pearson is not None:
        text.append(
            f"Predicted against measured over {len(found.refits)} true refits: "
            f"slope {words.fixed(found.slope, 3)}, Pearson {words.fixed(found.pearson, 4)}."
        )
    for check in found.failed:
        text.append("\n" if text.plain else "")
        text.append("not in order  ", style="bold red")
        text.append(f"{line(check.check, 60)}: {line(check.message, 400)}")
    return text


def following(commands: Sequence[Command]) -> Text:
    """Return what to type next."""
    text = Text()
    for command in commands:
        text.append(("\n" if text.plain else "Next\n") + f"  {command.purpose}:\n    ", style="dim")
        text.append(line(command.command, 1000), style="bold")
    return text
