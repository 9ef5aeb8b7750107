"""`/healthz`, `/readyz`, `/metrics`: for those who run the service. They need no key and tell no secret."""

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from api_shim import readiness
from api_shim.answers import json_answer
from api_shim.bootstrap import shim_of
from api_shim.metrics import CONTENT_TYPE
from api_shim.openapi import answers, failures
from api_shim.request_id import request_id_of
from connections.errors import ServiceUnavailable

router = APIRouter(tags=["service"])


_NOT_READY = ServiceUnavailable("Not ready.", details={"database": "ok", "queue": "unreachable", "worker": "unknown"})


class HealthAnswer(BaseModel):
    data: dict[str, str]
    request_id: str


@router.get(
    "/healthz",
    operation_id="get_health",
    responses={200: answers(HealthAnswer, description="The process lives."), **failures()},
)
async def get_health(request: Request) -> Response:
    """Tells that the process answers. Asks nobody, so that a failing database restarts no process."""
    return json_answer(HealthAnswer(data={"process": "ok"}, request_id=request_id_of(request)))


@router.get(
    "/readyz",
    operation_id="get_readiness",
    responses={200: answers(HealthAnswer, description="Database, queue and a worker answer."), **failures(_NOT_READY)},
)
async def get_readiness(request: Request) -> Response:
    """Tells whether database, queue and at least one worker answer."""
    return json_answer(HealthAnswer(data=await readiness.check(shim_of(request)), request_id=request_id_of(request)))


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **failures(),
    },
)
async def get_metrics(request: Request) -> Response:
    """Requests, their durations, and callers waiting, for Prometheus."""
    return Response(shim_of(request).metrics.render(), media_type=CONTENT_TYPE)
