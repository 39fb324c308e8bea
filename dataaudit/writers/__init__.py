"""One output format a file, each over the same summary; `base` finds them by name."""

from dataaudit.writers.base import Writer, get, names

__all__ = ["Writer", "get", "names"]
