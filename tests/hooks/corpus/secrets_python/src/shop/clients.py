"""Clients, with secrets where they should not be."""

import os

import psycopg
from pydantic import SecretStr
from pydantic_settings import BaseSettings

DB_PASSWORD = "hunter2!9"  # expect: plaintext-secret
API_KEY: str = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"  # expect: plaintext-secret
TOKEN_URL = "https://auth.example/token"
SECRET_NAME = "prod/warehouse/password"
PASSWORD_COLUMN = "password_hash"
PRIMARY_KEY = "order_id"
next_token = "CAESABgB"
PASSWORD = os.environ["DB_PASSWORD"]
FALLBACK = os.environ.get("DB_PASSWORD", "s3cr3t-fallback")  # expect: plaintext-secret
NO_FALLBACK = os.getenv("DB_PASSWORD", "")
REFERENCE = {"password": "secret:warehouse-password", "token": "${TOKEN}", "secret": "vault:kv/data/shop#x"}
WAREHOUSE = "postgresql://etl:Tr0ub4dor@db.internal:5432/marts"  # expect: password-in-url
TEMPLATE = f"postgresql://etl:{PASSWORD}@db.internal/marts"
EXAMPLE = "postgresql://user:password@host/db"
SLACK = "https://hooks.slack.com/services/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"  # expect: known-token
AWS = "AKIAQ3EGR7ZKLM5NOPXY"  # expect: known-token
HELP = "token: the one you got by mail, not the old one"


class Settings(BaseSettings):
    password: str = ""
    access_token: SecretStr = SecretStr("")
    client_secret: str = "c2VjcmV0LXZhbHVlLTEyMw=="  # expect: plaintext-secret
    secret_backend: str = "aws_secrets_manager"


def connect(host: str, password: str = "Pa55word"):  # expect: plaintext-secret
    return psycopg.connect(host=host, user="etl", password=password)


def connect_to_test():
    return psycopg.connect(host="db", user="etl", password="letmein")  # expect: plaintext-secret


def same_word():
    return {"password": "password"}


def split_in_two():
    key = "gh" + "p_1234567890abcdefghijklmnopqrstuvwxyzAB"
    login("etl", "Tr0ub4dor")  # expect: plaintext-secret
    return key


def login(user: str, secret: str) -> None: ...
