"""`GET /v1/audit-log`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.bootstrap import shim_of
from api_shim.request_id import request_id_of
from api_shim.routes import audit_log_docs
from connections.audit import Action, AuditOutcome
from connections.auditing import CURSOR_PATTERN, read_page
from connections.contract import AuditLogAnswer, Issue, PageMeta
from connections.instants import read_instant
from connections.intake import refused
from connections.repository.audit import AuditFilter

router = APIRouter(tags=["audit"])

MAX_LIMIT = 1000

_ID_PATTERN = "^[0-9A-Za-z_-]{1,64}$"
_AN_INSTANT = {"format": "date-time"}


@router.get("/v1/audit-log", operation_id="get_audit_log", **audit_log_docs.GET_AUDIT_LOG)
async def get_audit_log(
    request: Request,
    caller: TheCaller,
    *,
    account_id: Annotated[
        str | None, Query(pattern=_ID_PATTERN, description="Only what was done to this account.")
    ] = None,
    actor: Annotated[
        str | None,
        Query(
            pattern=_ID_PATTERN,
            description="Only what this key or connect session did: its id. Or `worker`, `operator`, `unknown`.",
        ),
    ] = None,
    action: Annotated[Action | None, Query(description="Only this.")] = None,
    outcome: Annotated[AuditOutcome | None, Query(description="Only what ended so.")] = None,
    since: Annotated[
        str | None, Query(description="The first instant, RFC 3339.", json_schema_extra=_AN_INSTANT)
    ] = None,
    until: Annotated[
        str | None, Query(description="The first instant after, RFC 3339.", json_schema_extra=_AN_INSTANT)
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Entries on a page.")] = 100,
    cursor: Annotated[
        str | None, Query(pattern=CURSOR_PATTERN, description="`meta.next_cursor` of the page before.")
    ] = None,
) -> Response:
    """Tells who did what in the key's workspace, the latest first. With several filters a page may be short, or empty,
    and not the last: `has_more` tells."""
    issues: list[Issue] = []
    wanted = AuditFilter(
        caller.workspace_id,
        account_id=account_id,
        actor=actor,
        action=action,
        outcome=outcome,
        since=read_instant("since", since, issues),
        until=read_instant("until", until, issues),
    )
    if issues:
        raise refused(issues)
    shim = shim_of(request)
    page = await shim.reading.run(read_page, shim.database, wanted, cursor=cursor, limit=limit)
    meta = PageMeta(limit=limit, next_cursor=page.next_cursor, has_more=page.next_cursor is not None)
    return json_answer(AuditLogAnswer(data=page.entries, meta=meta, request_id=request_id_of(request)))
