"""Who is connected: mostly people with an account, some who have lost their password, some who do not exist."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sandbox.process import SandboxProcess

_APP_PASSWORD = "abcd-efgh-2345-wxyz"


class Expected(StrEnum):
    """How a connect must end."""

    CONNECTED = "connected"
    REJECTED = "UNAUTHORIZED"
    UNKNOWN = "VALIDATION_ERROR"


@dataclass(frozen=True, slots=True)
class Person:
    """`did` is empty for somebody who does not exist."""

    handle: str
    password: str = field(repr=False)
    did: str
    expected: Expected


def invited(sandbox: SandboxProcess, numbers: Sequence[int]) -> list[Person]:
    """One person a number, in this order; of every twenty, one has a wrong password and one does not exist."""
    known = [f"person{number}.test" for number in numbers if _expected(number) is not Expected.UNKNOWN]
    dids = {made.handle: made.did for made in sandbox.control.create_accounts(known, app_password=_APP_PASSWORD)}
    return [
        Person(
            handle=(handle := f"person{number}.test"),
            password="lost-lost-lost-lost" if _expected(number) is Expected.REJECTED else _APP_PASSWORD,
            did=dids.get(handle, ""),
            expected=_expected(number),
        )
        for number in numbers
    ]


def _expected(number: int) -> Expected:
    return {7: Expected.REJECTED, 13: Expected.UNKNOWN}.get(number % 20, Expected.CONNECTED)
