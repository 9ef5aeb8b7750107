"""What the documentation says of the audit log."""

from typing import Any

from api_shim.documented import EXAMPLE_BATCH_ID, EXAMPLE_REQUEST_ID, WITH_A_KEY, answers, failures
from connections.contract import AuditLogAnswer, Issue
from connections.errors import ValidationFailed

_REVOKED = {
    "id": "al_01jd2wc3m8p5r7t9v1x3z5b7d9",
    "at": "2026-11-23T10:02:10.552Z",
    "actor": "operator",
    "actor_type": "operator",
    "action": "key.revoke",
    "account_id": None,
    "target": "key_01jd2w2b4d6f8h0k2m4p6r8t0v",
    "outcome": "succeeded",
    "cause": None,
    "request_id": None,
}
_BATCH_BEGUN = _REVOKED | {
    "id": "al_01jd2w8v5b9d1f3h5k7m9p1r3t",
    "at": "2026-11-23T10:00:00.123Z",
    "actor": "key_01jd2w2b4d6f8h0k2m4p6r8t0v",
    "actor_type": "key",
    "action": "batch.create",
    "target": EXAMPLE_BATCH_ID,
    "request_id": EXAMPLE_REQUEST_ID,
}
_NOT_CONNECTED = _BATCH_BEGUN | {
    "id": "al_01jd2w7s2v4x6z8b0d2f4h6k8m",
    "at": "2026-11-23T09:59:24.007Z",
    "action": "account.connect",
    "target": None,
    "outcome": "failed",
    "cause": "unauthorized",
    "request_id": "req_01jd2w7r9t1v3x5z7b9d1f3h5k",
}
_PAGE = {
    "data": [_REVOKED, _BATCH_BEGUN, _NOT_CONNECTED],
    "meta": {"limit": 3, "next_cursor": "660eea603b258-al_01jd2w7s2v4x6z8b0d2f4h6k8m", "has_more": True},
    "request_id": EXAMPLE_REQUEST_ID,
}

GET_AUDIT_LOG: dict[str, Any] = {
    "summary": "Read who did what",
    "responses": {
        200: answers(AuditLogAnswer, description="A page of entries, the latest first.", example=_PAGE),
        **failures(
            *WITH_A_KEY,
            ValidationFailed(
                issues=[Issue(field="limit", code="out_of_range", message="limit must be between 1 and 1000.")]
            ),
        ),
    },
}
