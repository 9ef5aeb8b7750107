"""`/v1/profiles`."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.body import read_json
from api_shim.bootstrap import shim_of
from api_shim.documented import EXAMPLE_PROFILE_ID
from api_shim.paged import Cursor, Limit, page_meta
from api_shim.request_id import request_id_of
from api_shim.routes import profiles_docs
from connections.contract import ProfileAnswer, ProfilesAnswer
from connections.owners.bodies import parse_new_profile, parse_profile_change
from connections.paging import MAX_LIMIT

router = APIRouter(prefix="/v1/profiles", tags=["profiles"])

ProfileId = Annotated[str, Path(description="`pr_…`.", examples=[EXAMPLE_PROFILE_ID])]

# Names and a URL are a few kilobytes.
_MAX_BODY_BYTES = 64 * 1024


@router.get("", operation_id="list_profiles", **profiles_docs.LIST_PROFILES)
async def list_profiles(
    request: Request, caller: TheCaller, limit: Limit = MAX_LIMIT, cursor: Cursor = None
) -> Response:
    """Lists the profiles of the workspace, the latest first."""
    shim = shim_of(request)
    page = await shim.reading.run(shim.profiles.page, caller, before=cursor, limit=limit)
    answer = ProfilesAnswer(data=page.rows, meta=page_meta(page, limit), request_id=request_id_of(request))
    return json_answer(answer)


@router.post("", operation_id="create_profile", status_code=201, **profiles_docs.CREATE_PROFILE)
async def create_profile(request: Request, caller: TheCaller) -> Response:
    """Makes a profile."""
    fields = parse_new_profile(await read_json(request, max_bytes=_MAX_BODY_BYTES))
    shim, request_id = shim_of(request), request_id_of(request)
    profile = await shim.accepting.run(shim.profiles.create, caller, fields, request_id=request_id)
    headers = {"Location": f"/v1/profiles/{profile.id}"}
    return json_answer(ProfileAnswer(data=profile, request_id=request_id), 201, headers)


@router.get("/{profile_id}", operation_id="get_profile", **profiles_docs.GET_PROFILE)
async def get_profile(request: Request, caller: TheCaller, profile_id: ProfileId) -> Response:
    """Tells of one profile."""
    shim = shim_of(request)
    profile = await shim.reading.run(shim.profiles.get, caller, profile_id)
    return json_answer(ProfileAnswer(data=profile, request_id=request_id_of(request)))


@router.patch("/{profile_id}", operation_id="update_profile", **profiles_docs.UPDATE_PROFILE)
async def update_profile(request: Request, caller: TheCaller, profile_id: ProfileId) -> Response:
    """Changes what is sent and leaves the rest; null takes a branding away."""
    fields = parse_profile_change(await read_json(request, max_bytes=_MAX_BODY_BYTES))
    shim, request_id = shim_of(request), request_id_of(request)
    profile = await shim.accepting.run(shim.profiles.change, caller, profile_id, fields, request_id=request_id)
    return json_answer(ProfileAnswer(data=profile, request_id=request_id))


@router.delete("/{profile_id}", operation_id="delete_profile", status_code=204, **profiles_docs.DELETE_PROFILE)
async def delete_profile(request: Request, caller: TheCaller, profile_id: ProfileId) -> Response:
    """Deletes a profile to which no account belongs any more."""
    shim = shim_of(request)
    await shim.accepting.run(shim.profiles.delete, caller, profile_id, request_id=request_id_of(request))
    return Response(status_code=204)
