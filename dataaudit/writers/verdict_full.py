"""The verdict in text with all findings, and the documentation of the rules that are broken."""

from __future__ import annotations

from dataaudit.writers.base import Writer
from dataaudit.writers.verdict_text import write_full

WRITER = Writer("full", ".txt", "text with all findings and the documentation of broken rules", write_full)
