"""Sends what `/openapi.json` allows and forbids to the app, and compares every answer with the document.

Run as a process, `python -m tests.fuzz.documented`: schemathesis changes Hypothesis for the whole of its process. Exits
with 1 and one block of text per failure, with how to send it again; the last line counts the answers, as JSON.
"""

import argparse
import json
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import schemathesis
import structlog
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import CheckContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.engine import events, from_schema
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.schemas import OpenApiSchema

from connections.contract import ErrorAnswer, RowStatus
from tests.account_rows import insert_account
from tests.batch_rows import insert_batch
from tests.factories import make_tenant
from tests.fuzz.api import FAILURES, Observed, running

# Positive and negative data by operation, each; the others have no parameters but the request id.
_EXAMPLES = {
    "POST /v1/accounts/connect": 300,
    "POST /v1/connect/batches": 75,
    "GET /v1/connect/tasks/{task_id}": 75,
    "POST /internal/accounts/{account_id}/session": 100,
    "POST /v1/connect/sessions": 100,
}
_FEW = 20
_PREFER = ("respond-async", "wait=0", "wait=60")  # chance would never find them

# What schemathesis takes for a rejection by itself.
_REJECTS = ("400", "401", "403", "404", "405", "406", "409", "415", "422", "428", "429", "5xx")

# What data that is valid by the document may still be refused for: the profile is not there, the workspace has not
# named the return URL or has as many as it may have, or the worker says so.
_LATER = {"unknown_profile", "not_allowed", "too_many", *(issue.code for error in FAILURES for issue in error.issues)}


# Those of URLs for browsers, of which JSON Schema has no words for the few that are taken.
_LATER_OF_OWNERS = {"invalid_url"}

# Here everything is made, changed and deleted, so its caller is not the one who connects accounts.
_OWNERS = "/v1/(profiles|workspace)"

# Of a batch, no schema tells in which order members come and how large a number may be (RFC 8259, 6).
_LATER_OF_BATCHES = {"profile_id_too_late", "invalid_json"}

# A text file is sent as it is generated.
schemathesis.serializer.alias(["application/x-ndjson", "text/csv"], "text/plain")

_WEBHOOK = b'{"name": "hook", "url": "https://example.com/", "events": ["*"]}'

# Files of rows, about whose lines no schema has a word.
_FILES = ("application/x-ndjson", "text/csv")


@schemathesis.check
def error_shape(_ctx: CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """Every non-2xx answer has the one shape and the id of its header; a bug of ours is never one."""
    (request_id,) = response.headers["x-request-id"]
    sent = {name.lower(): value for name, value in case.headers.items()}
    # A repeated request gets the answer to the first one, with its id.
    assert request_id == sent.get("x-request-id") or request_id.startswith("req_") or "idempotency-key" in sent
    if response.status_code < 300 or response.request.method == "HEAD":
        return
    body = response.json()
    assert body["request_id"] == request_id
    error = ErrorAnswer.model_validate(body, extra="forbid").error
    assert error.code != "INTERNAL_ERROR"
    assert error.normalized_code == error.code.lower()


@schemathesis.check
def intake_agrees(_ctx: CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """What the document calls valid, the API understands; unless it is a file that the API cannot read."""
    if response.status_code == 422 and case.meta is not None and case.meta.generation.mode.is_positive:
        error = response.json()["error"]
        issues = error.get("issues", ())
        is_file = case.media_type in _FILES
        later = _LATER | (_LATER_OF_BATCHES if case.path == "/v1/connect/batches" else set())
        later |= _LATER_OF_OWNERS if re.match(_OWNERS, case.path) else set()
        assert {issue["code"] for issue in issues if not (is_file and issue["field"] == "body")} <= later
        assert issues or error["code"] == "IDEMPOTENCY_KEY_REUSED"


# Told by HTTP itself.
_OF_THE_BODY = {"content-type", "content-length"}


@schemathesis.check
def told_of(_ctx: CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """The document names the code of every error, and every header, for this operation and status."""
    told = case.operation.definition.raw["responses"][str(response.status_code)]
    assert {*response.headers} - _OF_THE_BODY <= {name.lower() for name in told["headers"]}
    if response.status_code >= 400 and response.request.method != "HEAD":
        examples = told["content"]["application/json"]["examples"].values()
        assert response.json()["error"]["code"] in {example["value"]["error"]["code"] for example in examples}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--times", type=int, default=1, help="so many times as many cases")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as directory, running(Path(directory)) as (app, tenant, queue):
        database = app.app.state.shim.database
        owner = make_tenant(database, profiles=3)
        config = _config(tenant.key, owner.key, options.seed)
        schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
        # One that is over: the events of any other would not end.
        batch_id = insert_batch(database, tenant, [RowStatus.CONNECTED, RowStatus.REJECTED])
        known = {
            "task_id": queue.sent,
            "batch_id": [batch_id],
            "account_id": [insert_account(database, tenant)],
            "profile_id": [*owner.profile_ids],
            "webhook_id": [app.app.state.shim.webhooks.create(tenant.caller, _WEBHOOK, request_id="req_1").id],
        }

        def key_for(path: str) -> str:
            return owner.key if re.match(_OWNERS, path) else tenant.key

        failures = [*_boundaries(schema), *_random(schema, key_for, known, options.times, options.seed)]
        shutdown_lifespans()
    print("\n\n".join(failures))
    print(json.dumps(_count(app)))
    sys.exit(bool(failures))


def _config(key: str, owners_key: str, seed: int) -> SchemathesisConfig:
    later = ["401", "404", "409", "422", "429", "500", "503", "504"]
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "headers": {"Authorization": f"Bearer {key}"},
            "operations": [{"include-path-regex": f"^{_OWNERS}", "headers": {"Authorization": f"Bearer {owners_key}"}}],
            "continue-on-failure": True,
            # Nothing is secret here, and a failure must be seen whole.
            "output": {"sanitization": {"enabled": False}},
            "generation": {"database": "none", "deterministic": True},
            "phases": {"fuzzing": {"enabled": False}, "stateful": {"enabled": False}},
            "checks": {
                # `error_shape` tells bugs from what workers answer, `intake_agrees` one 422 from another.
                "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "500", "503", "504"]},
                "positive_data_acceptance": {"expected-statuses": ["2xx", *later]},
                # Too many rows are too large a body.
                "negative_data_rejection": {"expected-statuses": [*_REJECTS, "413"]},
            },
        }
    )


def _boundaries(schema: OpenApiSchema) -> Iterator[str]:
    """The document's examples, the least and the most of each value, what is missing, and methods nobody has."""
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished(recorder=recorder):
                for checks in recorder.checks.values():
                    for check in checks:
                        if check.failure_info is not None:
                            failure = check.failure_info
                            yield f"{recorder.label}: {failure.failure}\n{failure.code_sample}"
            case events.NonFatalError() | events.FatalError():
                yield str(event)


def _random(
    schema: OpenApiSchema, key_for: Callable[[str], str], known: dict[str, list[str]], times: int, seed_number: int
) -> Iterator[str]:
    for operation in (result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)):
        for mode in schemathesis.GenerationMode:
            cases = operation.as_strategy(generation_mode=mode)
            paths = [(name, one) for name in known if f"{{{name}}}" in operation.path for one in known[name]]

            @seed(seed_number)
            @settings(
                max_examples=_EXAMPLES.get(operation.label, _FEW) * times,
                database=None,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            @given(
                cases, st.none() | st.sampled_from(paths) if paths else st.none(), st.none() | st.sampled_from(_PREFER)
            )
            def agree(case: schemathesis.Case[Any], path: tuple[str, str] | None, prefer: str | None) -> None:
                if path is not None:
                    case.path_parameters.update([path])
                if prefer is not None:
                    case.headers["Prefer"] = prefer
                case.call_and_validate(headers={"Authorization": f"Bearer {key_for(case.path)}"})

            try:
                agree()
            except FailureGroup as failure:
                yield f"{operation.label}, {mode.value} data: {failure}"
            except Unsatisfiable:
                pass


def _count(app: Observed) -> dict[str, Any]:
    statuses: dict[str, dict[str, int]] = {}
    for (method, path, status), times in sorted(app.answers.items()):
        statuses.setdefault(f"{method} {path}", {})[str(status)] = times
    return {"cases": app.answers.total(), "statuses": statuses}


if __name__ == "__main__":
    main()
