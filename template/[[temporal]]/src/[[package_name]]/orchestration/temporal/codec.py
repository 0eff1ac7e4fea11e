"""Encryption of payloads with AES-GCM: the server stores what runs hand on, and cannot read it.

Ids of runs and search attributes (pipeline, partition, environment) stay readable, since the server searches by them.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from ...platform.errors import ConfigError

ENCODING = b"binary/encrypted"
KEY_BYTES, NONCE_BYTES = 32, 12


class Encryption(PayloadCodec):
    """keys: in base64; the first one encrypts, all decrypt. Each payload names its key by a digest."""

    def __init__(self, keys: Sequence[str]) -> None:
        whole = [_bytes(key) for key in keys]
        self.ciphers = {sha256(key).hexdigest()[:16].encode(): AESGCM(key) for key in whole}
        self.current = next(iter(self.ciphers))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypted(each) if each.metadata.get("encoding") == ENCODING else each for each in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        data = nonce + self.ciphers[self.current].encrypt(nonce, payload.SerializeToString(), self.current)
        return Payload(metadata={"encoding": ENCODING, "encryption-key-id": self.current}, data=data)

    def _decrypted(self, payload: Payload) -> Payload:
        key = payload.metadata.get("encryption-key-id", b"")
        if key not in self.ciphers:
            raise ConfigError(f"a payload is encrypted with another key ({key.decode()}): add it to encryption_key")
        nonce, data = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(self.ciphers[key].decrypt(nonce, data, key))
        except InvalidTag:
            raise ConfigError("a payload was changed after it was encrypted") from None


def _bytes(key: str) -> bytes:
    try:
        decoded = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != KEY_BYTES:
        raise ConfigError(
            f"the encryption key must be {KEY_BYTES} bytes in base64; make one with: openssl rand -base64 32"
        )
    return decoded
