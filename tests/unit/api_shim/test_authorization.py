"""Whatever `Authorization` says: the caller whose key it is, or a 401 that repeats nothing of it."""

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connections.api_keys import prefix_of
from tests.unit.api_shim.conftest import Api

latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
schemes = st.sampled_from(["Bearer", "bearer", "BEARER", "Basic", "Bearer,", "Bearer:", "\tBearer", ""])
keys = st.sampled_from(["up_live_" + "a" * 40, "up_test_" + "b" * 40])  # nobody's
nearly_keys = st.builds(lambda key, at, odd: key[:at] + odd + key[at + 1 :], keys, st.integers(0, 50), latin)
headers = latin | st.builds(
    "{}{}{}".format, schemes, st.sampled_from([" ", "  ", "\t", "", " ,"]), keys | nearly_keys | latin
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(headers, max_size=2))
async def test_any_header_but_the_right_one_is_a_401(api: Api, values: list[str]) -> None:
    sent = [(b"authorization", value.encode("latin-1")) for value in values]

    answer = await api.client.get("/v1/connect/tasks/ct_1", headers=httpx.Headers(sent))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not any(value.strip() in answer.text for value in values if len(value.strip()) > 20)


@given(st.text() | nearly_keys)
def test_any_text_has_a_key_prefix_or_none(text: str) -> None:
    prefix = prefix_of(text)

    assert prefix is None or (text.startswith(prefix) and len(text) == len(prefix) + 32)
