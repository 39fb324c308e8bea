"""The formats that a file can have, one module each; `lines` finds where each record of a text starts."""
