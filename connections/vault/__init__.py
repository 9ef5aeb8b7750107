"""Keeps secrets: seals credentials on their way to the workers, encrypts tokens at rest, fingerprints requests.

ring       the keys: what a worker holds, and the API's excerpt that opens nothing
labels     every stored secret names its key
sealing    HPKE from API to worker
ephemeral  and back, to a key that one request has
tokens     AES-256-GCM at rest
store      where the keys are kept, as a Protocol
files      in files, the default
chosen     the store that the settings name
followed   keys that are replaced while the service runs
"""

from connections.vault.chosen import ensure_development_keys, open_key_store
from connections.vault.ephemeral import AnswerTo, EphemeralKey, seal_for
from connections.vault.files import FileKeyStore
from connections.vault.followed import Followed, KeySource
from connections.vault.labels import KeyNotHeld, UnreadableSecret, key_id_of
from connections.vault.ring import Key, KeysMissing, ShimKeys, WorkerKeys
from connections.vault.sealing import Fingerprints, Opener, SealedFor, Sealer
from connections.vault.store import KeyStore, RingLost, generate_keys
from connections.vault.tokens import Cell, EncryptedSession, TokenCipher

__all__ = [
    "AnswerTo",
    "Cell",
    "EncryptedSession",
    "EphemeralKey",
    "FileKeyStore",
    "Fingerprints",
    "Followed",
    "Key",
    "KeyNotHeld",
    "KeySource",
    "KeyStore",
    "KeysMissing",
    "Opener",
    "RingLost",
    "SealedFor",
    "Sealer",
    "ShimKeys",
    "TokenCipher",
    "UnreadableSecret",
    "WorkerKeys",
    "ensure_development_keys",
    "generate_keys",
    "key_id_of",
    "open_key_store",
    "seal_for",
]
