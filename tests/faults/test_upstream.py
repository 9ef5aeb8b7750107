"""The accounts' server away, failing now and then, and at its limit."""

import time
from itertools import cycle

from sandbox.faults import Drop, RateLimited, Status
from tests.faults.caller import Way
from tests.faults.fleet import Fleet
from tests.faults.load import UNTROUBLED, Load
from tests.faults.verdict import LOGIN, prove

OUTAGE_SECONDS = 4.0
RESET_SECONDS = 8.0


def test_away_and_back(fleet: Fleet) -> None:
    with Load(fleet) as load:
        load.until_answered(50)
        outage = fleet.sandbox.control.order(Drop(host="pds"))
        load.until_told("500 UPSTREAM_ERROR", 20)
        time.sleep(OUTAGE_SECONDS)
        fleet.sandbox.control.cancel(outage)
    prove(fleet, load)
    polled = [told for told in load.told if told.way is Way.POLLS]
    assert {told.times_sent for told in polled} == {1}, "who polls is not bothered with an outage"


def test_a_third_of_all_people_meet_a_503(fleet: Fleet) -> None:
    """Once or twice each, at the first call about them, at the second or at the login."""
    load = Load(fleet)
    calls = cycle(["com.atproto.identity.resolveHandle", LOGIN])
    for number, told in enumerate(load.told):
        if told.person.did and number % 3 == 0:
            times = 1 + number // 3 % 2
            fleet.sandbox.control.order(Status(status=503, account=told.person.did, method=next(calls), times=times))
    with load:
        pass
    prove(fleet, load)
    assert load.answers.keys() <= UNTROUBLED, "a failure that passes is not the caller's affair"


def test_at_its_limit(fleet: Fleet) -> None:
    """60 logins are refused until an instant. None may be tried again before it, and who cannot wait is told when."""
    with Load(fleet) as load:
        fleet.sandbox.control.order(RateLimited(reset=RESET_SECONDS, method=LOGIN, times=60))
    prove(fleet, load)
    logins = fleet.sandbox.control.requests(LOGIN)
    refused = {one["identifier"]: one["at"] for one in logins if one["status"] == 429}
    early = [
        one
        for one in logins
        if one["status"] != 429 and one["at"] < refused.get(one["identifier"], 0) + RESET_SECONDS - 1
    ]
    assert len(refused) == 60
    assert not early
