"""Scopes as a key keeps them."""

from hypothesis import given
from hypothesis import strategies as st

from connections.scopes import Scope, read, written

# RFC 6749, 3.3: any visible ASCII but the quotation mark and the backslash.
WORDS = st.text([chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\'], min_size=1)


@given(st.lists(WORDS))
def test_what_is_written_is_read(scopes: list[str]) -> None:
    assert read(written(scopes)) == set(scopes)
    assert written(reversed(scopes)) == written(scopes)


def test_a_key_of_an_older_version_has_none() -> None:
    assert read("") == frozenset()


def test_what_another_version_has_written_is_no_scope_of_ours() -> None:
    assert Scope.SESSIONS not in read("sessions:read nothing")
