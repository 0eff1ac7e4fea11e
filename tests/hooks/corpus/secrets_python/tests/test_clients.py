"""Tests make up passwords, and that is fine."""

PASSWORD = "not-a-real-one-1"
