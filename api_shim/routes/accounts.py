"""`/v1/accounts`: those that are connected, or were."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api_shim.account_path import ACCOUNT
from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.bootstrap import shim_of
from api_shim.documented import EXAMPLE_ACCOUNT_ID
from api_shim.paged import Cursor, Limit, page_meta
from api_shim.request_id import request_id_of
from api_shim.routes import accounts_docs
from connections.contract import AccountHealthAnswer, AccountStatus, ListedAccountAnswer, ListedAccountsAnswer
from connections.paging import MAX_LIMIT
from connections.platforms import OAUTH_PLATFORMS, PLATFORMS
from connections.repository.account_pages import AccountFilter

router = APIRouter(tags=["accounts"])

AccountId = Annotated[str, Path(description="`sa_…`, as the connect named it.", examples=[EXAMPLE_ACCOUNT_ID])]

# Of the others there are no accounts here; who looks for some is not wrong.
_PLATFORMS = "|".join(sorted({*PLATFORMS, *OAUTH_PLATFORMS}))
_STATUSES = "|".join(AccountStatus)


@router.get("/v1/accounts", operation_id="list_accounts", **accounts_docs.LIST_ACCOUNTS)
async def list_accounts(
    request: Request,
    caller: TheCaller,
    *,
    platform: Annotated[
        str | None, Query(pattern=f"^({_PLATFORMS})$", description="Only accounts of this platform.")
    ] = None,
    profile_id: Annotated[str | None, Query(description="Only accounts of this profile.")] = None,
    status: Annotated[
        str | None, Query(pattern=f"^({_STATUSES})$", description="Only accounts with this status.")
    ] = None,
    external_user_id: Annotated[
        str | None,
        Query(pattern=r"^[^\x00]{1,255}$", description="Only accounts that this user of yours has connected."),
    ] = None,
    limit: Limit = MAX_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Lists the accounts of the workspace, those that are disconnected too, the latest first."""
    shim = shim_of(request)
    wanted = AccountFilter(platform, profile_id, AccountStatus(status) if status else None, external_user_id)
    page = await shim.reading.run(shim.accounts.page, caller, wanted, before=cursor, limit=limit)
    answer = ListedAccountsAnswer(data=page.rows, meta=page_meta(page, limit), request_id=request_id_of(request))
    return json_answer(answer)


@router.get(ACCOUNT, operation_id="get_account", **accounts_docs.GET_ACCOUNT)
async def get_account(request: Request, caller: TheCaller, account_id: AccountId) -> Response:
    """Tells of one account, also when it is disconnected."""
    shim = shim_of(request)
    account = await shim.reading.run(shim.accounts.get, caller, account_id)
    return json_answer(ListedAccountAnswer(data=account, request_id=request_id_of(request)))


@router.get(f"{ACCOUNT}/health", operation_id="get_account_health", **accounts_docs.GET_HEALTH)
async def get_account_health(request: Request, caller: TheCaller, account_id: AccountId) -> Response:
    """Tells how the connection of an account stands, since when, and what went wrong last. Asks nobody."""
    shim = shim_of(request)
    health = await shim.reading.run(shim.accounts.health, caller, account_id)
    return json_answer(AccountHealthAnswer(data=health, request_id=request_id_of(request)))
