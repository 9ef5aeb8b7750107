"""The control API: how another process sets up the network, orders faults and reads what happened.

JSON over HTTP under `/_sandbox/` on a port of its own; `sandbox.client` speaks it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from sandbox.accounts import Account
from sandbox.dns import Failure
from sandbox.faults import fault_from_json
from sandbox.message import Request, Response, json_response
from sandbox.network import Network, NewAccount

PREFIX = "/_sandbox/"

_ACCOUNT_STATES = {"taken_down", "deactivated", "email_code", "display_name"}

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """One control request: what follows the route in the path, the query, and the JSON body."""

    key: str
    query: dict[str, str]
    body: Any


class Control:
    """The handler of the control port."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._routes: dict[tuple[str, str], Callable[[Ask], Answer]] = {
            ("GET", "network"): self._describe,
            ("POST", "reset"): self._reset,
            ("POST", "accounts"): self._create_accounts,
            ("GET", "accounts"): self._show_account,
            ("PATCH", "accounts"): self._change_account,
            ("POST", "faults"): self._order_fault,
            ("GET", "faults"): self._show_faults,
            ("DELETE", "faults"): self._cancel_fault,
            ("PUT", "documents"): self._put_document,
            ("PUT", "names"): self._put_name,
            ("GET", "names"): self._show_name,
            ("DELETE", "names"): self._remove_name,
            ("GET", "requests"): self._show_requests,
            ("GET", "tally"): self._show_tally,
            ("GET", "tokens"): self._show_tokens,
            ("PATCH", "hosts"): self._change_host,
            ("POST", "clock"): self._advance_clock,
        }

    def __call__(self, request: Request) -> Response:
        if not request.path.startswith(PREFIX):
            return json_response(404, {"error": "no such path"})
        name, _, key = unquote(request.path.removeprefix(PREFIX)).partition("/")
        route = self._routes.get((request.method, name))
        if route is None:
            return json_response(404, {"error": f"no route {request.method} {name}"})
        try:
            body = json.loads(request.body) if request.body else None
            return json_response(200, route(Ask(key, dict(parse_qsl(request.query)), body)))
        except (KeyError, TypeError, ValueError) as error:
            return json_response(400, {"error": f"{type(error).__name__}: {error}"})

    def _describe(self, _ask: Ask) -> Answer:
        return describe(self._network)

    def _reset(self, _ask: Ask) -> Answer:
        self._network.reset()
        return {}

    def _create_accounts(self, ask: Ask) -> Answer:
        created = [self._network.create(NewAccount(**wanted)) for wanted in ask.body]
        return {"accounts": [self._account_json(account) for account in created]}

    def _show_account(self, ask: Ask) -> Answer:
        return self._account_json(self._account(ask.key))

    def _change_account(self, ask: Ask) -> Answer:
        account, changes = self._account(ask.key), ask.body
        if not changes.keys() <= _ACCOUNT_STATES:
            raise ValueError(f"an account changes in {', '.join(sorted(_ACCOUNT_STATES))}")
        for name, value in changes.items():
            setattr(account, name, value)
        if account.taken_down:
            self._network.hosts[account.host].tokens.revoke_all(account.did)
        return self._account_json(account)

    def _order_fault(self, ask: Ask) -> Answer:
        return {"id": self._network.faults.order(fault_from_json(ask.body))}

    def _show_faults(self, _ask: Ask) -> Answer:
        orders = self._network.faults.orders()
        return {"faults": [{"id": order.id, "struck": order.struck, **order.fault.to_json()} for order in orders]}

    def _cancel_fault(self, ask: Ask) -> Answer:
        self._network.faults.cancel(int(ask.key))
        return {}

    def _put_document(self, ask: Ask) -> Answer:
        document = ask.body
        if document is None:
            self._network.directory.tombstone(ask.key)
        else:
            self._network.directory.put(ask.key, document)
        return {}

    def _put_name(self, ask: Ask) -> Answer:
        wanted = ask.body
        if "records" in wanted:
            self._network.zone.put(ask.key, wanted["records"])
        if "failure" in wanted:
            self._network.zone.fail(ask.key, Failure(wanted["failure"]), wanted.get("times"))
        return {}

    def _show_name(self, ask: Ask) -> Answer:
        return {"asked": self._network.zone.asked(ask.key)}

    def _remove_name(self, ask: Ask) -> Answer:
        self._network.zone.remove(ask.key)
        return {}

    def _show_requests(self, ask: Ask) -> Answer:
        wanted = dict(ask.query)
        only_count = wanted.pop("entries", "") == "no"
        answer: Answer = {"count": self._network.ledger.count(**wanted)}
        return answer if only_count else {**answer, "entries": self._network.ledger.entries(**wanted)}

    def _show_tally(self, _ask: Ask) -> Answer:
        return {"tally": self._network.ledger.tally()}

    def _show_tokens(self, _ask: Ask) -> Answer:
        return {"tokens": sorted({token for host in self._network.hosts.values() for token in host.tokens.issued})}

    def _change_host(self, ask: Ask) -> Answer:
        host, changes = self._network.hosts[ask.key], ask.body
        for name, value in changes.items():
            if name in ("login_delay", "did_doc"):
                setattr(host.settings, name, value)
            elif name in ("enabled", "scale", "retry_after"):
                setattr(host.limits, name, value)
            else:
                raise ValueError(f"a host has no {name}")
        return {}

    def _advance_clock(self, ask: Ask) -> Answer:
        self._network.clock.advance(ask.body["seconds"])
        return {"now": self._network.clock.now()}

    def _account(self, name: str) -> Account:
        account = self._network.accounts.find(name)
        if account is None:
            raise ValueError(f"there is no account {name}")
        return account

    def _account_json(self, account: Account) -> Answer:
        live = self._network.hosts[account.host].tokens.live(account.did)
        shown = asdict(account)
        shown["app_passwords"] = [known.password for known in account.app_passwords.values()]
        shown["refresh_tokens"] = [
            {"id": token.id, "scope": token.scope, "replaced": token.next_id is not None} for token in live
        ]
        return shown


def describe(network: Network) -> Answer:
    """Where the network listens and which accounts it started with, as the ready line shows it."""
    hosts = {name: host.url for name, host in network.hosts.items()}
    accounts = [network.accounts.find(new.handle) for new in network.settings.accounts]
    return {
        "pds": next(iter(hosts.values())),
        "plc": network.plc_url,
        "dns": network.dns_address,
        "hosts": hosts,
        "accounts": [
            {
                "handle": account.handle,
                "did": account.did,
                "app_password": next(iter(account.app_passwords.values())).password,
                "password": account.password,
            }
            for account in accounts
            if account is not None
        ],
    }
