"""What a receiver gets: the same bytes at every attempt, signed with the webhook's secret of that moment."""

import hashlib
import hmac
from collections.abc import Mapping

import orjson

from connections.contract import rfc3339
from connections.repository.deliveries import ClaimedDelivery


def body(delivery: ClaimedDelivery) -> bytes:
    """JSON that follows from the event alone."""
    return orjson.dumps(
        {
            "id": delivery.event_id,
            "event": delivery.event,
            "timestamp": rfc3339(delivery.created_at),
            "workspace_id": delivery.workspace_id,
            "data": delivery.data,
        }
    )


def headers(delivery: ClaimedDelivery, content: bytes, secret: str) -> Mapping[str, str]:
    """The signature is HMAC-SHA-256 (RFC 2104) of the raw body, in hexadecimal digits: as official SDKs verify it."""
    signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    return {
        "x-unipost-signature": f"sha256={signature}",
        "x-unipost-event": delivery.event,
        "x-unipost-delivery": delivery.id,
    }
