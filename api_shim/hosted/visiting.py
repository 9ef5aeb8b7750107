"""Somebody follows a link: what is shown to them, and what becomes of what they send."""

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api_shim import connecting
from api_shim.body import read_form
from api_shim.bootstrap import shim_of
from api_shim.errors import status_of
from api_shim.hanging_up import listening
from api_shim.hosted import pages, words
from api_shim.hosted.forgery import Pledge, is_ours
from api_shim.hosted.form import SentForm, parse_form
from api_shim.hosted.origin import public_origin
from api_shim.hosted.words import Fault, fault_of
from api_shim.request_id import request_id_of
from connections.connect_sessions.service import Step, Visit
from connections.errors import ConnectorError, QueueUnavailable
from connections.ids import new_id
from connections.intake import ConnectCommand
from connections.outcome import Outcome
from connections.repository.connect_sessions import MAX_ATTEMPTS
from connections.repository.tasks import TaskRow

log = structlog.get_logger()

# Two fields of at most some kilobytes, each of whose bytes may take three.
_MAX_BODY_BYTES = 16 * 1024

# After that the page says that it is still working. Most tries have ended by then.
_WAIT_SECONDS = 10.0

_UNSTORED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


async def show(request: Request, token: str) -> Response:
    """The page of a link as it stands."""
    try:
        visit = await _visit(request, token)
        return pages.unknown_page() if visit is None else await _page(request, visit)
    except ConnectorError as error:
        return pages.trouble_page(status_of(error.code))


async def submit(request: Request, token: str) -> Response:
    """Takes a try, waits for it a little, and tells how it ended; or leads to the page that will."""
    try:
        body = await read_form(request, max_bytes=_MAX_BODY_BYTES)
        visit = await _visit(request, token)
        if visit is None:
            return pages.unknown_page()
        faults, handle = await _try(request, visit, body) if visit.step is Step.FORM else ([], "")
        if not faults:
            return _reload(token)
        return await _form(request, visit, handle=handle, faults=faults, status=faults[0].status)
    except ConnectorError as error:
        return pages.trouble_page(status_of(error.code))


async def _page(request: Request, visit: Visit) -> Response:
    match visit.step:
        case Step.FORM:
            fault = _fault_in(visit.task)
            return await _form(request, visit, faults=[fault] if fault else [])
        case Step.WORKING:
            return pages.working_page(visit)
        case Step.CONNECTED:
            return pages.connected_page(visit)
        case Step.EXPIRED | Step.USED_UP:
            return pages.over_page(visit)


async def _try(request: Request, visit: Visit, body: bytes) -> tuple[list[Fault], str]:
    """What is wrong, and the handle to fill the form in with. Nothing is wrong with a try that goes on."""
    try:
        form = parse_form(body)
    except ValueError:
        return [words.UNREADABLE], ""
    origin = public_origin(shim_of(request).settings, request)
    pledge = Pledge.of(request, origin)
    if not is_ours(request, origin, pledge, await _proof(request, visit, pledge), form.token):
        log.info("hosted_form_refused", connect_session_id=visit.session.id)
        return [words.FORGED], form.handle_to_show
    if faults := form.faults:
        return faults, form.handle_to_show
    try:
        fault = await _connect(request, visit, form)
    except QueueUnavailable:
        return [], ""  # stored, and it will run by itself
    except ConnectorError as error:
        fault = fault_of(error.describe())
    return ([fault] if fault else []), form.handle_to_show


async def _connect(request: Request, visit: Visit, form: SentForm) -> Fault | None:
    """Goes the way of every connect. Raises what `connecting.connect` raises."""
    shim, session, task_id = shim_of(request), visit.session, new_id("ct")
    shim.queue_age.check()
    if not await shim.accepting.run(shim.connect_sessions.begin, visit, task_id):
        return None
    command = ConnectCommand(
        platform=session.platform,
        identifier=form.handle,
        password=form.app_password,
        profile_id=session.profile_id,
        connect_session_id=session.id,
    )
    asked = connecting.Asked(visit.caller, command, request_id_of(request), idempotency_key=None)
    wait = min(_WAIT_SECONDS, shim.settings.sync_wait_seconds)
    async with listening(request) as hung_up:
        task = await connecting.connect(shim, asked, wait=wait, hung_up=hung_up, task_id=task_id)
    if task.row.id != task_id:
        await shim.accepting.run(shim.connect_sessions.follow, visit, task.row.id)
    is_last = session.attempts + 1 >= MAX_ATTEMPTS
    return None if is_last else _fault_in(task.row)


def _fault_in(row: TaskRow | None) -> Fault | None:
    """Why a try that has ended has failed."""
    if row is None or not row.status.is_final:
        return None
    error = Outcome.from_row(row.outcome).error
    return None if error is None else fault_of(error)


async def _visit(request: Request, token: str) -> Visit | None:
    shim = shim_of(request)
    return await shim.reading.run(shim.connect_sessions.visit, token)


async def _proof(request: Request, visit: Visit, pledge: Pledge) -> str:
    shim = shim_of(request)
    return await shim.reading.run(shim.connect_sessions.proof, visit, pledge.nonce)


async def _form(
    request: Request, visit: Visit, *, faults: list[Fault], handle: str = "", status: int = 200
) -> Response:
    origin = public_origin(shim_of(request).settings, request)
    pledge = Pledge.of(request, origin)
    answer = pages.form_page(
        visit, token=await _proof(request, visit, pledge), handle=handle, faults=faults, status=status
    )
    pledge.keep(answer, origin)
    return answer


def _reload(token: str) -> Response:
    """To the page of the link as it stands now, so that loading it anew sends nothing anew."""
    return RedirectResponse(f"/connect/{token}", 303, _UNSTORED)
