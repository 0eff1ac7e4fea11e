"""Tests make up passwords, and that is fine."""

PASSWORD = "not-a-real-one-1"
WAREHOUSE = "postgresql://etl:made-up-1@127.0.0.1/test"
