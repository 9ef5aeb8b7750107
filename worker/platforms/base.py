"""What a platform must do, and how one is found by its name.

A second platform is a folder beside this file whose package offers `build(settings, pace) -> Platform`, and one line in
`connections.platforms`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Protocol, cast

from connections.platforms import PLATFORMS
from connections.settings import Settings
from connections.verified import Credentials, Refreshed, StoredAccount, VerifiedAccount
from worker.pace import Pace


class BeforeLogin(Protocol):
    """Asked before a login is spent on an account; again if it turns out to be another one, and with its id once that
    is known.

    Raises `AlreadyConnected` when the login can be spared and `RateLimited` when too many have failed. `external_id` is
    None where the login itself will tell whose account it is; `name` is the account's name, if there is one.
    """

    def __call__(self, external_id: str | None, name: str | None) -> None: ...


class Platform(Protocol):
    """One social platform. Implementations are used by many threads at once."""

    def login_name(self, credentials: Credentials) -> str | None:
        """The account's name in its normal form, where a login by it tells at once whose account it is.

        None where that is looked up before the login. Asks nobody and raises nothing.
        """
        ...

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[None]:
        """Around connects of accounts with these `login_name`s, one after the other: what each of them would ask for
        alone is asked for once. Raises nothing."""
        ...

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        """Proves that the credentials open the account and returns it with its session.

        `deadline` is a `time.monotonic()` instant by which this returns or raises. With `looks_first` the account is
        looked up before the login even where the login would tell.

        Asks `before_login` before logging in and lets what it raises through. Raises another `Refusal` where trying
        again cannot help, `TemporaryFailure` where it can. Nothing else escapes, save bugs.
        """
        ...

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        """Replaces the account's session by one that lives longer. The one before works on for a while, so that a new
        one that is lost on the way can be asked for again.

        Raises `SessionEnded` or `AccountUnavailable` when it is certain that the session is over, and for anything else
        that goes wrong `TemporaryFailure`: then the session may have been replaced or not. Nothing else escapes.
        """
        ...

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        """Ends a session that will not be kept. Raises `TemporaryFailure` when the platform does not confirm."""
        ...

    def end_retired(self, account: str, host: str, refresh_token: str, *, deadline: float) -> None:
        """Ends a session that was kept at `host` and is not used any more; does nothing when it has ended. `account`
        tells a host that fails for one from a host that fails for all.

        Raises `TemporaryFailure` when the platform does not confirm, and nothing else, save bugs.
        """
        ...

    def open_circuits(self) -> Mapping[str, int]:
        """How many hosts are left alone because they fail, by what they are asked for."""
        ...

    def close(self) -> None:
        """Gives connections and threads back; nothing is called afterwards."""
        ...


def build_platforms(settings: Settings, pace: Pace) -> dict[str, Platform]:
    """One shared instance of every platform in `connections.platforms`. `pace` lets each of their requests begin."""
    modules = {name: import_module(f"worker.platforms.{name}") for name in PLATFORMS}
    return {name: cast(Platform, module.build(settings, pace)) for name, module in modules.items()}
