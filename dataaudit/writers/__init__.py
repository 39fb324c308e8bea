"""One output format a file, each of which draws any report; `base` finds them by name."""

from dataaudit.report.blocks import Writer
from dataaudit.writers.base import get, names

__all__ = ["Writer", "get", "names"]
