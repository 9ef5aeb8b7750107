"""Every stored secret begins with the id of its key, `<key id>.`, so that any key of a ring can be the right one."""

import re

_LABEL = re.compile(rb"([a-z0-9]{1,16})\.")


class UnreadableSecret(Exception):
    """A stored secret does not open with the keys at hand. Carries no part of it."""


class KeyNotHeld(UnreadableSecret):
    """It names a key that the ring lacks: a ring that is yet to arrive here, or one that was lost."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key ring has no key {key_id}")
        self.key_id = key_id


def labelled(key_id: str, ciphertext: bytes) -> bytes:
    return key_id.encode() + b"." + ciphertext


def split_label(stored: bytes) -> tuple[str, bytes]:
    """The key's id and the ciphertext. Raises `UnreadableSecret` when it names no key."""
    match = _LABEL.match(stored)
    if match is None:
        raise UnreadableSecret("a stored secret names no key")
    return match[1].decode(), stored[match.end() :]


def key_id_of(stored: bytes) -> str:
    """The id of the key it was made with. Raises `UnreadableSecret` when it names none."""
    return split_label(stored)[0]
