"""`GET /v1/connect/tasks/{task_id}`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api_shim import connecting, render
from api_shim.auth import TheCaller
from api_shim.bootstrap import shim_of
from api_shim.documented import EXAMPLE_TASK_ID
from api_shim.hanging_up import listening
from api_shim.prefer import MAX_WAIT_SECONDS
from api_shim.request_id import request_id_of
from api_shim.routes import connect_docs

router = APIRouter(tags=["tasks"])


@router.get("/v1/connect/tasks/{task_id}", operation_id="get_connect_task", **connect_docs.GET_TASK)
async def get_task(
    request: Request,
    caller: TheCaller,
    task_id: Annotated[str, Path(description="`ct_…`, as `Location` named it.", examples=[EXAMPLE_TASK_ID])],
    wait: Annotated[
        int, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the task to end before answering.")
    ] = 0,
) -> Response:
    """Tells how a connect task stands."""
    async with listening(request) as hung_up:
        task = await connecting.watch(shim_of(request), caller, task_id, wait=wait, hung_up=hung_up)
    return render.task_answer(task, request_id_of(request))
