"""Templates, styles and scripts of the HTML report, filled in by `dataaudit.writers`."""
