"""Rule packs in TOML, one rule a table, read by `dataaudit.gate`."""
