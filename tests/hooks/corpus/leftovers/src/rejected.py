"""Rows that were rejected; no leftover."""
