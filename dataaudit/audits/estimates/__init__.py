"""Exact values for the rows that people look at, where those of all rows are estimates."""
