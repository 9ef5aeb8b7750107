"""Which request an `Idempotency-Key` was used for."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from connections.models import idempotency_keys
from connections.repository.dialects import insert_into
from connections.sqltime import from_now

# IETF draft "The Idempotency-Key HTTP Header Field" leaves the time to the service.
KEPT_FOR_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A key, within its workspace and endpoint, and a fingerprint of the request it came with."""

    workspace_id: str
    endpoint: str
    key_hash: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FirstUse:
    """What the first request with a key came to."""

    fingerprint: bytes = field(repr=False)
    resource_id: str
    request_id: str


_FIRST_USE = (
    idempotency_keys.c.fingerprint,
    idempotency_keys.c.resource_id,
    idempotency_keys.c.request_id,
)


def first_use(connection: Connection, keyed: KeyedRequest) -> FirstUse | None:
    """None when the key was not used within its time."""
    query = select(*_FIRST_USE).where(
        idempotency_keys.c.workspace_id == keyed.workspace_id,
        idempotency_keys.c.endpoint == keyed.endpoint,
        idempotency_keys.c.key_hash == keyed.key_hash,
        idempotency_keys.c.expires_at > from_now(),
    )
    row = connection.execute(query).first()
    return None if row is None else FirstUse(**row._mapping)


def insert_use(connection: Connection, keyed: KeyedRequest, *, resource_id: str, request_id: str) -> bool:
    """False, and nothing stored, when somebody else has used the key in the meantime."""
    values = {
        "fingerprint": keyed.fingerprint,
        "resource_id": resource_id,
        "request_id": request_id,
        "expires_at": from_now(KEPT_FOR_SECONDS),
    }
    change = insert_into(connection.dialect.name, idempotency_keys).values(
        workspace_id=keyed.workspace_id, endpoint=keyed.endpoint, key_hash=keyed.key_hash, **values
    )
    change = change.on_conflict_do_update(
        index_elements=["workspace_id", "endpoint", "key_hash"],
        set_=values,
        where=idempotency_keys.c.expires_at <= from_now(),
    )
    return connection.execute(change.returning(idempotency_keys.c.resource_id)).first() is not None
