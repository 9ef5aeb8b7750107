"""The page of a batch as it is sent: what it allows itself, and what it does with odd addresses."""

import base64
import hashlib
import re

import pytest

from tests.unit.api_shim.conftest import Api

BATCH_ID = "cb_01jd8x2v9k3m5n7p9q1r3s5t7w"
PATH = f"/batches/{BATCH_ID}"


def _policy_of(header: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition(" ") for part in header.split("; "))}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def test_it_needs_no_key_and_is_the_same_for_every_batch(api: Api) -> None:
    answer = await api.client.get(PATH)
    other = await api.client.get(PATH[:-1] + "0")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.content == other.content
    assert BATCH_ID not in answer.text


@pytest.mark.parametrize("path", [PATH, "/batches/nothing"])
async def test_nothing_may_be_loaded_framed_stored_or_told_to_others(api: Api, path: str) -> None:
    headers = (await api.client.get(path)).headers

    policy = _policy_of(headers["content-security-policy"])
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors", "trusted-types")} == {"'none'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [PATH, "/batches/nothing"])
async def test_the_policy_allows_exactly_the_style_and_script_inside(api: Api, path: str) -> None:
    answer = await api.client.get(path)

    policy = _policy_of(answer.headers["content-security-policy"])
    styles = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", answer.text, re.DOTALL)
    assert styles
    assert policy["style-src"] == " ".join(map(_hash, styles))
    assert policy["script-src"] == (" ".join(map(_hash, scripts)) or "'none'")
    assert not re.search(r"<[^>]*\s(on\w+|style|src)=", answer.text)


@pytest.mark.parametrize(
    "name",
    [
        "cb_1",
        "ct_01jd8x2v9k3m5n7p9q1r3s5t7w",
        f"{BATCH_ID}0",
        f"{BATCH_ID}%0A",
        BATCH_ID.upper(),
        BATCH_ID.replace("j", "u"),  # ULIDs do without i, l, o and u
        "%3Cscript%3Ealert(1)%3Cscript%3E",
        "%FF%FE",
    ],
)
async def test_an_address_that_cannot_be_a_batch_is_a_404_for_people(api: Api, name: str) -> None:
    answer = await api.client.get(f"/batches/{name}")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no batch at this address" in answer.text
    assert "<script" not in answer.text


async def test_head(api: Api) -> None:
    answer = await api.client.head(PATH)

    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len((await api.client.get(PATH)).content))


async def test_it_is_counted_by_its_template_and_not_documented(api: Api) -> None:
    await api.client.get(PATH)
    await api.client.get("/batches/made-up")

    text = (await api.client.get("/metrics")).text
    assert 'requests_total{method="GET",route="/batches/{batch_id}",status="200"} 1.0' in text
    assert 'requests_total{method="GET",route="/batches/{batch_id}",status="404"} 1.0' in text
    assert "/batches/{batch_id}" not in (await api.client.get("/openapi.json")).json()["paths"]
