"""`/healthz`, `/readyz`, `/metrics`: for those who run the service. They need no key and tell no secret."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from api_shim import readiness
from api_shim.answers import json_answer
from api_shim.bootstrap import shim_of
from api_shim.documented import EXAMPLE_REQUEST_ID, answers, failures
from api_shim.metrics import CONTENT_TYPE
from api_shim.request_id import request_id_of
from connections.errors import ServiceUnavailable

router = APIRouter(tags=["service"])


_WELL = {"database": "ok", "queue": "ok", "worker": "ok"}
_NOT_READY = ServiceUnavailable("Not ready.", details=_WELL | {"queue": "unreachable", "worker": "unknown"})
_METRICS = """\
# HELP connector_http_requests_total Answered requests.
# TYPE connector_http_requests_total counter
connector_http_requests_total{method="POST",route="/v1/accounts/connect",status="201"} 42.0
# HELP connector_waiting_callers Callers that wait for the outcome of a task, or for a session.
# TYPE connector_waiting_callers gauge
connector_waiting_callers 3.0
"""


class HealthAnswer(BaseModel):
    """What was looked at, and how it is."""

    data: dict[str, str]
    request_id: str


def _health(description: str, report: dict[str, str]) -> dict[str, Any]:
    return answers(HealthAnswer, description=description, example={"data": report, "request_id": EXAMPLE_REQUEST_ID})


@router.get(
    "/healthz",
    operation_id="get_health",
    summary="Whether the process lives",
    responses={200: _health("The process lives.", {"process": "ok"}), **failures()},
)
async def get_health(request: Request) -> Response:
    """Tells that the process answers. Asks nobody, so that a failing database restarts no process."""
    return json_answer(HealthAnswer(data={"process": "ok"}, request_id=request_id_of(request)))


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Whether the service is ready",
    responses={200: _health("Database, queue and a worker answer.", _WELL), **failures(_NOT_READY)},
)
async def get_readiness(request: Request) -> Response:
    """Tells whether database, queue and at least one worker answer."""
    return json_answer(HealthAnswer(data=await readiness.check(shim_of(request)), request_id=request_id_of(request)))


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _METRICS}},
        },
        **failures(),
    },
)
async def get_metrics(request: Request) -> Response:
    """Requests, their durations, and callers waiting, for Prometheus."""
    return Response(shim_of(request).metrics.render(), media_type=CONTENT_TYPE)
