"""The pages of the hosted form. No script, one style sheet inside, and nothing of another's but a logo."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, Response

from api_shim.hosted import fragments
from api_shim.hosted.branding import Branding
from api_shim.hosted.html import NOTHING, Html, fill, joined, template_of
from api_shim.hosted.words import APP_PASSWORD, HANDLE, Fault
from api_shim.pages import headers_of, read, source_of
from connections.connect_sessions.service import Step, Visit
from connections.contract import ConnectSessionStatus

_FRAME, _FORM, _NOTICE = map(template_of, ("frame.html", "form.html", "notice.html"))
_STYLE = read("hosted/hosted.css").decode()

_RELOAD_SECONDS = 3

_PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in ("camera", "display-capture", "fullscreen", "geolocation", "microphone", "payment", "usb")
)

_NOBODY = Branding("")


def form_page(
    visit: Visit, *, token: str, handle: str = "", faults: Sequence[Fault] = (), status: int = 200
) -> Response:
    """The form, with what was wrong with the last try."""
    session, branding = visit.session, Branding.of(visit.session)
    by_field = {fault.field: fault for fault in reversed(faults)}
    body = fill(
        _FORM,
        summary=_summary(faults),
        name=branding.name,
        token=token,
        handle=handle,
        **_said_of(HANDLE, by_field.get(HANDLE)),
        **_said_of(APP_PASSWORD, by_field.get(APP_PASSWORD)),
        minutes=_minutes_until(session.expires_at),
        back=_way_back(visit),
    )
    title = "Connect your Bluesky account"
    return _page(f"Error: {title}" if faults else title, body, branding, status=status)


def working_page(visit: Visit) -> Response:
    """Loads itself anew until the try has ended."""
    text = "Bluesky is taking its time. This page looks again by itself, and you need not type anything anew."
    more = fill(fragments.BUTTON, url="", text="Look now")
    body = fill(_NOTICE, sign=fragments.WORKING, heading="Connecting your account", text=text, more=more)
    refresh = fill(fragments.RELOAD, seconds=str(_RELOAD_SECONDS))
    return _page("Connecting your account", body, Branding.of(visit.session), refresh=refresh)


def connected_page(visit: Visit) -> Response:
    """Goes on to the return URL at once, if there is one."""
    session, branding = visit.session, Branding.of(visit.session)
    name = session.account_name or "Your account"
    text, more, refresh = "You can close this window.", NOTHING, NOTHING
    if session.return_url is not None:
        url = _return_url(session.return_url, session.id, ConnectSessionStatus.COMPLETED)
        text = f"We are taking you back to {branding.name}."
        more = fill(fragments.BUTTON, url=url, text=f"Back to {branding.name}")
        refresh = fill(fragments.LEAVE, url=url)
    body = fill(_NOTICE, sign=fragments.DONE, heading=f"{name} is connected", text=text, more=more)
    return _page("Your account is connected", body, branding, refresh=refresh)


def over_page(visit: Visit) -> Response:
    """For a link that no longer works. 410."""
    branding = Branding.of(visit.session)
    heading, why = _OVER[visit.step]
    text = f"{why} Nothing was connected. Ask {branding.name} for a new one."
    body = fill(_NOTICE, sign=NOTHING, heading=heading, text=text, more=_way_back(visit))
    return _page(heading, body, branding, status=410)


_OVER = {
    Step.EXPIRED: ("This link has expired", "A link works for one hour."),
    Step.USED_UP: ("This link is used up", "A link can be tried ten times."),
}


def unknown_page() -> Response:
    """For a link that never was, or is no more. 404."""
    heading = "There is nothing at this link"
    text = "Was a piece lost when it was copied? Open it once more from where you got it, or ask for a new one."
    return _notice(heading, text, 404)


def trouble_page(status: int) -> Response:
    """For a request that could not be served, whosoever fault that is."""
    if status < 500:
        return _notice("We could not read this", "Go back, and fill in the form once more.", status)
    return _notice("We cannot do this right now", "Please open the link once more in a few minutes.", status)


def _notice(heading: str, text: str, status: int) -> Response:
    body = fill(_NOTICE, sign=NOTHING, heading=heading, text=text, more=NOTHING)
    return _page(heading, body, _NOBODY, status=status)


def _page(title: str, body: Html, branding: Branding, *, refresh: Html = NOTHING, status: int = 200) -> Response:
    style = _STYLE + branding.style
    html = fill(
        _FRAME,
        refresh=refresh,
        title=f"{title} ({branding.name})" if branding.name else title,
        style=Html(style),
        brand=_brand(branding),
        body=body,
    )
    allowed = {
        "connect-src": "'none'",
        "form-action": "'self'",
        "img-src": " ".join(filter(None, ("data:", branding.logo_origin))),  # the empty icon, and the logo
        "style-src": source_of(style),
    }
    return HTMLResponse(html, status, headers_of(allowed) | {"Permissions-Policy": _PERMISSIONS})


def _brand(branding: Branding) -> Html:
    if not branding.name:
        return NOTHING
    if branding.logo_url:
        mark = fill(fragments.LOGO, url=branding.logo_url)
    else:
        mark = fill(fragments.INITIAL, letter=branding.initial)
    return fill(fragments.BRAND, mark=mark, name=branding.name)


def _summary(faults: Sequence[Fault]) -> Html:
    """All that was wrong, with a way to each field. It has the focus, so it is read first."""
    items = [
        fill(fragments.SUMMARY_LINK, field=fault.field, text=fault.text)
        if fault.field
        else fill(fragments.SUMMARY_TEXT, text=fault.text)
        for fault in faults
    ]
    return fill(fragments.SUMMARY, items=joined(items)) if items else NOTHING


def _said_of(field: str, fault: Fault | None) -> dict[str, Html]:
    """What stands above a field that was wrong, and what else describes it."""
    return {
        f"{field}_error": fill(fragments.ERROR, field=field, text=fault.text) if fault else NOTHING,
        f"{field}_described": fill(fragments.DESCRIBED_WRONG if fault else fragments.DESCRIBED, field=field),
    }


def _way_back(visit: Visit) -> Html:
    session = visit.session
    if session.return_url is None:
        return NOTHING
    status = ConnectSessionStatus.PENDING if visit.step is Step.FORM else ConnectSessionStatus.EXPIRED
    return fill(fragments.BACK, url=_return_url(session.return_url, session.id, status), name=session.name)


def _return_url(url: str, session_id: str, status: ConnectSessionStatus) -> str:
    """`url` has no fragment: none is allowed."""
    query = urlencode({"connect_session_id": session_id, "status": status})
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _minutes_until(moment: datetime) -> str:
    minutes = max(1, math.ceil((moment - datetime.now(UTC)).total_seconds() / 60))
    return "minute" if minutes == 1 else f"{minutes} minutes"
