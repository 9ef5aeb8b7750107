"""What the members of the wire's objects mean: for readers of `/openapi.json`, so beside the models, not in them."""

from typing import Any

Json = dict[str, Any]

# By name, and by model where one means something of its own by it.
MEANINGS = {
    "account": "The account, as the 201 of a connect has it; null while there is none.",
    "account_name": "Handle of the account, as it is at the moment of connecting.",
    "attempts": "How often the platform has been asked to log in.",
    "avatar_url": "Address of its picture, if known.",
    "batch_id": "Of the batch that the task is a row of; null for a task of its own.",
    "canceled_at": "When it was canceled, UTC; null when it was not.",
    "code": "What went wrong, for programs.",
    "connected_at": "UTC.",
    "connection_type": "`byo`: the workspace sent the credentials; `managed`: an end user did, by the hosted form.",
    "created_at": "UTC.",
    "data": "What was asked for.",
    "details": "More for programs, such as the id of the task or account that it is about.",
    "display_name": "Name that the account shows, if known.",
    "error": "What went wrong; null while nothing has. While the task is retried, that of its last attempt.",
    "external_account_id": "The DID, which stays when the handle changes.",
    "expires_at": "Until then it works, UTC.",
    "external_ref": "Your own name for the row.",
    "finished_at": "When it ended, UTC; null until then.",
    "http_status": "The status that a plain call would have got.",
    "id": "Names it for as long as it is there.",
    "issues": "What is wrong, one for each field.",
    "line": "Line of the file on which the row begins.",
    "message": "What went wrong, for people.",
    "platform": "`bluesky`.",
    "profile_id": "Profile that owns the account.",
    "request_id": "Names the request, as `X-Request-Id` does.",
    "row": "Its place in the batch, counted from 1.",
    "status": "Where it stands.",
    "total": "How many rows were sent.",
    "AcceptedBatch.rejected": "Rows that are no good and will not be tried.",
    "AcceptedBatch.status": "As it was when the batch was accepted.",
    "AccountAnswer.data": "The account once more, where the official SDKs look for it.",
    "Batch.causes": "Rows that failed, expired or were rejected, by what was wrong with them.",
    "Batch.counts": "Rows by where they stand; those of 0 are there too.",
    "Batch.eta": "When the last row should end at the present rate, UTC.",
    "Batch.rate": "Rows a second over the last minute.",
    "Batch.waits_for": "What holds the rest back; null when nothing does.",
    "BatchResult.error": "What went wrong. For an account that was connected before, it names that in `details`.",
    "BatchResult.task_id": "The task that the row became; null for a rejected one.",
    "BatchWait.budget": "Requests and seconds, as `3000/300`.",
    "BatchWait.host": "Whose rate limit it is.",
    "BatchWait.reason": "`rate_limit`: a host's budget; `capacity`: busy workers; `retry`: what failed is due later.",
    "BatchWait.until": "UTC.",
    "ReconnectRequest.credentials": "New credentials of the same account.",
    "ConnectSession.allow_quickstart_creds": "As it was sent. It means nothing for accounts connected by password.",
    "ConnectSession.completed_at": "When the account was connected, UTC; null until then.",
    "ConnectSession.completed_social_account_id": "The account that came of it; null until then.",
    "ConnectSession.external_user_email": "The end user's, as it was sent.",
    "ConnectSession.external_user_id": "Your own name for the end user.",
    "ConnectSession.return_url": "Where the form sends the end user afterwards.",
    "ConnectSession.status": "`expired`: its hour is over, or its form was sent ten times, and no account came of it.",
    "ConnectSession.url": "Send the end user there. Told when it is made, and empty afterwards.",
    "ConnectRequest.credentials": "What the platform wants: for Bluesky a handle and an app password.",
    "ErrorAnswer.error": "What went wrong.",
    "ErrorBody.error_source": "Who says so: this service (`unipost`), the platform, or a worker.",
    "ErrorBody.error_temporality": "Whether it will pass.",
    "ErrorBody.hint": "What else is known.",
    "ErrorBody.is_retriable": "Whether the same request may succeed later.",
    "ErrorBody.next_action": "What helps.",
    "ErrorBody.normalized_code": "`code` in lower case.",
    "ErrorBody.provider_error": "What the platform answered.",
    "ErrorBody.retry_policy": "How far the retries of the task have come.",
    "HealthAnswer.data": "`ok` or what is wrong, by part.",
    "Issue.code": "What is wrong with the field, for programs.",
    "Issue.field": "Its path in the body or its name in the query; `body` for all of it.",
    "Issue.severity": "How bad it is.",
    "PageMeta.has_more": "Whether there is a page after this one.",
    "PageMeta.limit": "How many rows a page has at most.",
    "PageMeta.next_cursor": "Send it as `cursor` for the next page; null on the last one.",
    "BatchResultsAnswer.data": "The rows, in the order in which they were sent.",
    "BatchResultsAnswer.meta": "Where this page stands.",
    "ProviderError.code": "The platform's own name for it.",
    "ProviderError.http_status": "The status that the platform answered with.",
    "ProviderError.is_transient": "Whether it may pass.",
    "ProviderError.provider": "Which platform.",
    "RetryPolicy.attempts_made": "How many attempts counted.",
    "RetryPolicy.attempts_remaining": "How many are left.",
    "RetryPolicy.is_retriable": "Whether trying again may help.",
    "RetryPolicy.manual_retry_allowed": "Whether to send the request again.",
    "RetryPolicy.max_attempts": "How many attempts a task has.",
    "RetryPolicy.next_run_at": "When the next attempt is due, UTC.",
    "RetryPolicy.reason": "Why there is no further attempt.",
    "RetryPolicy.retry_state": "Whether the task goes on.",
    "RetryPolicy.will_retry": "Whether the task goes on by itself.",
    "Task.next_attempt_at": "When it is tried again, UTC; null unless it is `retrying`.",
}

# A task's error is an error of its own model, with one member more.
_LIKE = {"TaskError": "ErrorBody"}


def explain(schemas: Json) -> None:
    """Adds a description to each property that has none."""
    for name, schema in schemas.items():
        for member, about in schema.get("properties", {}).items():
            meaning = MEANINGS.get(f"{_LIKE.get(name, name)}.{member}") or MEANINGS.get(member)
            if meaning is not None:
                about.setdefault("description", meaning)
