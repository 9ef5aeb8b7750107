"""What the command line asks for."""

import pytest

from sandbox.__main__ import parser, settings
from sandbox.network import CROWD_PASSWORD, NetworkSettings, crowd


def asked(*arguments: str) -> NetworkSettings:
    return settings(parser().parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "ports"),
    [
        ((), (0,)),
        (("--pds-port", "4001"), (4001,)),
        (("--pds-count", "3"), (0, 0, 0)),
        (("--pds-port", "4001", "--pds-count", "2"), (4001, 0, 0)),
    ],
)
def test_pdses_are_listed_or_counted(arguments: tuple[str, ...], ports: tuple[int, ...]) -> None:
    assert asked(*arguments).pds_ports == ports


def test_a_crowd_lives_on_all_hosts_in_turns() -> None:
    found = [(one.handle, one.host, one.app_password) for one in crowd(asked("--crowd", "3").crowd, ["pds", "pds2"])]
    assert found == [
        ("user0.test", "pds", CROWD_PASSWORD),
        ("user1.test", "pds2", CROWD_PASSWORD),
        ("user2.test", "pds", CROWD_PASSWORD),
    ]


def test_there_is_no_crowd_unless_asked_for() -> None:
    assert asked().crowd == 0
