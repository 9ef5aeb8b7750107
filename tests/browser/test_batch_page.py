"""The page of a batch, as its reader meets it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from starlette.responses import HTMLResponse

from connections.contract import BatchStatus
from tests.browser.chromium import Page
from tests.browser.contrast import faint_texts
from tests.browser.scripted import BATCH_ID, KEY, ScriptedApi, a_batch, a_failure, waiting_for_the_limit
from tests.servers import wait_until

# Pauses between attempts and the patience with a silent server are seconds to minutes; here they are a fiftieth.
HURRY = "const slow = setTimeout; window.setTimeout = (job, milliseconds) => slow(job, milliseconds / 50);"

HOSTILE = (
    "<img src=x onerror='window.hacked=1'>",
    "<script>window.hacked=1</script>",
    "\"'></td></table><svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    "\u202egnp.exe \u2066 ${window.hacked=1} {{constructor.constructor('window.hacked=1')()}}",
    "https://evil.example/?x=<iframe src=//evil.example>",
)


def give_key(page: Page, key: str = KEY) -> None:
    page.click("#key")
    page.type(key)
    page.press("Enter")


def open_batch(page: Page, api: ScriptedApi) -> None:
    page.open(api.url)
    give_key(page)
    page.wait("!document.querySelector('#batch').hidden")


def open_and_follow_batch(page: Page, api: ScriptedApi) -> None:
    """What is refused from now on is no longer the stream, whose loss is told above the buttons and moves them."""
    open_batch(page, api)
    wait_until(lambda: api.streams, what="the stream of events")


def test_a_wrong_key_is_said_and_the_next_one_is_tried(page: Page, api: ScriptedApi) -> None:
    page.open(api.url)

    give_key(page, "up_test_wrong")

    page.wait_for("This key does not work")
    assert page.evaluate("document.activeElement.id") == "key"
    give_key(page)
    page.wait_for("0 of 10,000 rows done")
    assert page.evaluate("document.querySelector('#key-error').textContent") == ""
    assert page.evaluate("document.querySelector('#key-form').hidden")


@pytest.mark.parametrize("key", ["schlüssel", "two words", "emoji 🔑"])
def test_what_cannot_be_a_key_is_not_sent(page: Page, api: ScriptedApi, key: str) -> None:
    page.open(api.url)

    give_key(page, key)

    page.wait_for("This key does not work")
    assert api.headers_of("") == []


def test_a_batch_that_this_workspace_does_not_have(page: Page, api: ScriptedApi) -> None:
    page.open(api.url[:-1] + "0")

    give_key(page)

    page.wait_for("has no such batch")
    assert page.evaluate("document.querySelector('#batch').hidden")


def test_it_shows_where_the_batch_stands(page: Page, api: ScriptedApi) -> None:
    api.batch = a_batch(
        counts={"connected": 6100, "already_connected": 240, "failed": 50, "rejected": 12, "running": 8, "retrying": 3},
        causes={"handle_not_found": 40, "a_new_cause": 22},
        rate=9.8,
        eta=datetime.now(UTC) + timedelta(minutes=6),
        waits_for=waiting_for_the_limit(),
    )

    open_batch(page, api)

    page.wait_for("64%")
    text = page.text
    for seen in (
        "6,402 of 10,000 rows done",
        "6,100",
        "240",
        "50 failed, 12 refused at once",
        "3,587 waiting, 8 under way, 3 to be tried again",
        "9.8 rows per second",
        "In about 6 min",
        "The rate limit of 3,000 requests per 5 minutes at bsky.social",
        "No account has this handle",
        "A new cause",
    ):
        assert seen in text
    bar = "document.querySelector('[role=progressbar]')"
    assert page.evaluate(f"[{bar}.ariaValueNow, {bar}.ariaValueMax, {bar}.ariaValueText]") == [
        "6402",
        "10000",
        "64%, 6,402 of 10,000 rows done",
    ]
    assert page.evaluate("document.title") == "64% · Connecting accounts"


def test_it_follows_the_batch_to_its_end(page: Page, api: ScriptedApi) -> None:
    open_batch(page, api)

    api.tell(a_batch(counts={"connected": 2500}))
    page.wait_for("2,500 of 10,000 rows done")
    api.end(a_batch(status=BatchStatus.FINISHED, counts={"connected": 10_000}))

    page.wait_for("Done: every account is connected")
    assert page.evaluate("document.querySelector('#cancel').hidden")
    assert page.evaluate("document.querySelector('#spoken').textContent") == "Done: every account is connected"
    wait_until(lambda: not api.streams, what="the stream to end")
    assert len(api.headers_of("/events")) == 1


def test_the_speed_sinks_while_no_row_ends(page: Page, api: ScriptedApi) -> None:
    api.batch = a_batch(rate=9.8)
    open_batch(page, api)
    page.wait_for("9.8 rows per second")

    api.batch = a_batch(rate=0.25)
    api.events.append(("still here", ""))

    page.wait_for("15 rows per minute")


def test_those_who_hear_it_are_told_of_every_tenth_only(page: Page, api: ScriptedApi) -> None:
    open_batch(page, api)
    page.evaluate(
        "window.heard = []; new MutationObserver(() => heard.push(document.querySelector('#spoken').textContent))"
        ".observe(document.querySelector('#spoken'), {childList: true}); 0"
    )

    for connected in (100, 1100, 1200, 1300, 2100):
        api.tell(a_batch(counts={"connected": connected}))
        page.wait_for(f"{connected:,} of 10,000 rows done")

    assert page.evaluate("heard") == ["Connecting accounts, 11%", "Connecting accounts, 21%"]


def test_a_stream_that_breaks_off_is_resumed_where_it_was(page: Page, api: ScriptedApi) -> None:
    page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRY)
    open_batch(page, api)
    api.tell(a_batch(counts={"connected": 1}))
    api.tell(a_batch(counts={"connected": 2}))
    page.wait_for("2 of 10,000 rows done")

    api.drop_streams()
    api.tell(a_batch(counts={"connected": 3}))

    page.wait_for("3 of 10,000 rows done")
    wait_until(lambda: len(api.headers_of("/events")) > 1, what="another stream")
    first, *_, last = api.headers_of("/events")
    assert "last-event-id" not in first
    assert last["last-event-id"] in ("2", "3")


def test_a_silent_stream_is_given_up(page: Page, api: ScriptedApi) -> None:
    page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRY)
    open_batch(page, api)

    wait_until(lambda: len(api.headers_of("/events")) > 1, what="another stream")


def test_a_lost_connection_is_said_and_mends_by_itself(page: Page, api: ScriptedApi) -> None:
    page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRY)
    open_batch(page, api)

    api.stop()
    page.wait_for("The connection is lost")
    assert "of 10,000 rows done" in page.text
    api.batch = a_batch(counts={"connected": 7})
    api.start()

    page.wait_for("7 of 10,000 rows done")
    assert "The connection is lost" not in page.text


def test_an_answer_of_a_proxy_is_waited_out(page: Page, api: ScriptedApi) -> None:
    page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRY)
    api.refusal = HTMLResponse("<h1>Bad Gateway</h1>", 502)
    page.open(api.url)
    give_key(page)

    page.wait_for("cannot answer at the moment: The service answered with status 502.")
    api.refusal = None

    page.wait_for("0 of 10,000 rows done")


@pytest.mark.parametrize("width", [360, 1200])
def test_hostile_texts_stay_texts(page: Page, api: ScriptedApi, width: int) -> None:
    page.emulate(width=width)
    api.failures = [
        *(a_failure(row, reference=text, message=text) for row, text in enumerate(HOSTILE, 1)),
        a_failure(99, reference="w" * 3000, message="m" * 3000),
    ]
    api.batch = a_batch(
        counts={"failed": len(api.failures)},
        causes=dict.fromkeys(HOSTILE, 1) | {"__proto__": 1, "constructor": 1},
        waits_for=waiting_for_the_limit(host=HOSTILE[0]),
    )

    open_batch(page, api)

    page.wait("document.querySelectorAll('#failure-rows tr').length === 7")
    for text in HOSTILE:
        assert page.evaluate(f"document.querySelector('#failure-rows').textContent.includes({json.dumps(text)})")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('main :is(img, svg, iframe, script, a)').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_policy_stops_what_a_careless_line_would_let_in(page: Page, api: ScriptedApi) -> None:
    open_batch(page, api)

    outcomes = page.evaluate(
        """(async () => {
            const outcomes = [];
            try { document.body.innerHTML = "<b>"; outcomes.push("markup"); } catch { outcomes.push("no"); }
            await fetch("http://127.0.0.1:9/").then(() => outcomes.push("sent"), () => outcomes.push("no"));
            return outcomes;
        })()"""
    )

    assert outcomes == ["no", "no"]
    assert any("connect-src 'self'" in fault for fault in page.faults())
    page.forgive()


def test_the_key_stays_in_memory_and_nothing_leaves_the_origin(page: Page, api: ScriptedApi) -> None:
    api.failures = [a_failure(1)]
    api.batch = a_batch(counts={"failed": 1}, causes={"handle_not_found": 1})
    open_batch(page, api)
    page.wait("document.querySelectorAll('#failure-rows tr').length === 1")

    places = page.evaluate(
        "JSON.stringify([document.documentElement.outerHTML, {...localStorage}, {...sessionStorage}, document.cookie,"
        " location.href, history.state, window.name, [...document.querySelectorAll('input')].map((it) => it.value),"
        " Object.getOwnPropertyNames(window).map((name) => { try { return `${window[name]}` } catch { return '' } })])"
    )
    sent = page.events("Network.requestWillBeSent")

    assert KEY not in places
    assert {event["request"]["headers"].get("Authorization") for event in sent} == {None, f"Bearer {KEY}"}
    for event in sent:
        assert KEY not in event["request"]["url"]
        assert event["request"]["url"].startswith((f"{api.origin}/", "data:,"))
    assert page.call("Network.getAllCookies")["cookies"] == []


def test_the_key_is_forgotten_on_demand(page: Page, api: ScriptedApi) -> None:
    open_batch(page, api)

    page.click("#leave")

    page.wait("document.readyState === 'complete' && document.querySelector('#batch').hidden")
    assert page.evaluate("document.querySelector('#key').value") == ""


def test_failed_rows_come_page_by_page(page: Page, api: ScriptedApi) -> None:
    api.failures = [a_failure(row) for row in range(1, 121)]
    api.batch = a_batch(counts={"failed": 120})
    open_batch(page, api)

    page.wait_for("50 of 120 shown")
    page.click("#more")
    page.wait_for("100 of 120 shown")
    page.click("#more")
    page.wait_for("120 of 120 shown")

    assert page.evaluate("document.querySelector('#more').hidden")
    assert page.evaluate(
        "[...document.querySelectorAll('#failure-rows bdi:first-child')].map((it) => it.textContent)"
        ".filter((text) => text.startsWith('customer'))"
    ) == [f"customer-{row}" for row in range(1, 121)]
    assert {path for path, _ in api.requests if path.startswith("/results")} == {
        "/results?status=failed%2Cexpired%2Crejected&limit=50",
        "/results?status=failed%2Cexpired%2Crejected&limit=50&cursor=50",
        "/results?status=failed%2Cexpired%2Crejected&limit=50&cursor=100",
    }


def test_rows_that_fail_later_are_shown_on_demand_and_at_the_end(page: Page, api: ScriptedApi) -> None:
    api.failures = [a_failure(1)]
    api.batch = a_batch(counts={"failed": 1})
    open_batch(page, api)
    page.wait_for("1 of 1 shown")

    api.failures = [a_failure(row) for row in (1, 2, 3)]
    api.tell(a_batch(counts={"failed": 3}))
    page.wait_for("Show 2 rows more that failed since")
    page.click("#renew")
    page.wait_for("3 of 3 shown")
    api.failures.append(a_failure(4))
    api.end(a_batch(status=BatchStatus.FINISHED, counts={"failed": 4, "connected": 9996}))

    page.wait_for("4 of 4 shown")
    page.wait_for("Done: 4 rows could not be connected")


@pytest.mark.parametrize(
    ("button", "accept", "ending", "beginning"),
    [("#csv", "text/csv", "csv", "1,customer-1,failed"), ("#ndjson", "application/x-ndjson", "ndjson", '{"row":1,')],
)
def test_results_are_saved_as_files(
    page: Page, api: ScriptedApi, button: str, accept: str, ending: str, beginning: str
) -> None:
    api.failures = [a_failure(1), a_failure(2)]
    open_batch(page, api)

    page.click(button)

    file = page.downloads / f"{BATCH_ID}.{ending}"
    wait_until(lambda: file.exists() and file.stat().st_size, what="the file")
    first, second = file.read_text(encoding="utf-8").splitlines()
    assert first.startswith(beginning)
    assert "customer-2" in second
    assert [headers["accept"] for headers in api.headers_of("/results")] == [accept]


def test_a_download_that_fails_is_said(page: Page, api: ScriptedApi) -> None:
    open_and_follow_batch(page, api)
    api.refusal = HTMLResponse("", 503)

    page.click("#csv")

    page.wait_for("The service answered with status 503.", within="#action")
    assert not page.evaluate("document.querySelector('#csv').disabled")


def test_canceling_is_asked_twice(page: Page, api: ScriptedApi) -> None:
    open_batch(page, api)

    page.click("#cancel")
    page.wait_for("Cancel the rest of this batch?")
    page.click("#keep")
    page.wait("!document.querySelector('dialog').open")
    assert not api.is_canceled
    page.click("#cancel")
    page.wait_for("Cancel the rest of this batch?")
    api.batch = a_batch(status=BatchStatus.CANCELING, counts={"running": 8, "canceled": 9992})
    page.click("#stop")

    page.wait_for("Canceling: what has begun is being finished")
    assert api.is_canceled
    assert page.evaluate("document.querySelector('#cancel').hidden")
    api.end(a_batch(status=BatchStatus.CANCELED, counts={"connected": 8, "canceled": 9992}))
    page.wait_for("This batch was canceled")


def test_it_needs_no_mouse(page: Page, api: ScriptedApi) -> None:
    page.open(api.url)
    page.type(KEY)  # the field has the focus from the start
    page.press("Enter")
    page.wait("document.activeElement.id === 'headline'")

    stops = []
    for _ in range(3):
        page.press("Tab")
        stops.append(page.evaluate("document.activeElement.id"))
    page.press("Enter")
    page.wait("document.querySelector('dialog').open")
    page.press("Escape")

    assert stops == ["csv", "ndjson", "cancel"]
    page.wait("!document.querySelector('dialog').open && document.activeElement.id === 'cancel'")
    assert not api.is_canceled


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_texts_can_be_read_against_their_ground(page: Page, api: ScriptedApi, width: int, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1, for every text there is. And nothing is wider than the screen."""
    page.emulate(width=width, scheme=scheme)
    api.failures = [a_failure(1)]
    api.batch = a_batch(
        counts={"connected": 5, "failed": 1, "canceled": 3},
        causes={"handle_not_found": 1},
        waits_for=waiting_for_the_limit(),
    )
    open_and_follow_batch(page, api)
    page.wait_for("1 of 1 shown")
    api.refusal = HTMLResponse("", 503)
    page.click("#csv")
    page.wait_for("status 503", within="#action")

    assert faint_texts(page, "main *") == []
    page.click("#cancel")
    page.wait("document.querySelector('dialog').open")
    assert faint_texts(page, "main *") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
