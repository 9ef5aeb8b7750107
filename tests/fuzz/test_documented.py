"""Every answer to schemathesis is one that the document tells of. `tests.fuzz.documented` says how."""

import json
import subprocess
import sys

import pytest

from tests.fuzz.scale import SEED, TIMES
from tests.processes import ROOT

# All that the document says of these routes, less what no such request brings about: 413 is for bodies longer than a
# schema generates, 503 of a poll for a database that is away, and 429 of a connect is one end of many.
REACHED = {
    "POST /v1/accounts/connect": {"201", "202", "400", "401", "409", "415", "422", "500", "503", "504"},
    "PATCH /v1/accounts/connect": {"405"},
    "GET /v1/connect/tasks/{task_id}": {"200", "401", "404", "422"},
    "TRACE /v1/connect/tasks/{task_id}": {"405"},
    "GET /v1/connect/batches/{batch_id}": {"200", "401", "404"},
    "GET /v1/connect/batches/{batch_id}/results": {"200", "401", "404", "422"},
    "GET /v1/connect/batches/{batch_id}/events": {"200", "401", "404"},
    "POST /v1/connect/batches/{batch_id}/cancel": {"200", "401", "404"},
    "POST /v1/webhooks": {"201", "401", "415", "422"},
    "GET /v1/webhooks": {"200", "401"},
    "PATCH /v1/webhooks/{webhook_id}": {"200", "401", "404", "422"},
    "GET /v1/webhooks/{webhook_id}/deliveries": {"200", "401", "404", "422"},
    "POST /v1/webhooks/{webhook_id}/rotate": {"200", "401", "404"},
    "POST /v1/connect/sessions": {"201", "401", "415", "422"},
    "GET /v1/connect/sessions/{session_id}": {"200", "401", "404"},
    "GET /v1/accounts": {"200", "401", "422"},
    "GET /v1/accounts/{account_id}": {"200", "401", "404"},
    "GET /v1/accounts/{account_id}/health": {"200", "401", "404"},
    "GET /v1/profiles": {"200", "401", "422"},
    "POST /v1/profiles": {"201", "401", "409", "415", "422"},
    "GET /v1/profiles/{profile_id}": {"200", "401", "404"},
    "PATCH /v1/profiles/{profile_id}": {"200", "401", "404", "422"},
    "DELETE /v1/profiles/{profile_id}": {"204", "401", "404"},
    "GET /v1/workspace": {"200", "401"},
    "PATCH /v1/workspace": {"200", "401", "415", "422"},
    "POST /internal/accounts/{account_id}/session": {"200", "401", "404", "415", "422"},
    "GET /readyz": {"200"},
}


@pytest.mark.timeout(600 * TIMES)  # thousands of requests, some hundred more with every route
def test_every_answer_is_a_documented_one() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.documented", f"--times={TIMES}", f"--seed={SEED}"]
    fuzzer = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)

    assert fuzzer.returncode == 0, fuzzer.stdout + fuzzer.stderr
    count = json.loads(fuzzer.stdout.splitlines()[-1])
    print(fuzzer.stdout)
    assert count["cases"] >= 1100 * TIMES
    for route, statuses in REACHED.items():
        assert statuses <= set(count["statuses"][route])
