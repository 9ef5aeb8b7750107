"""What `/openapi.json` says of the API as a whole, in Markdown (CommonMark, as OpenAPI has it)."""

TITLE = "Connector"
API_VERSION = "1"  # of the wire, as in its paths; the software has a version of its own
SUMMARY = "Connects social accounts from credentials."

DESCRIPTION = """\
Send a handle and an app password, get the connected account, or one error that says what to do.

- **Key.** What begins with `/v1` or `/internal` wants an API key of a workspace, `Authorization: Bearer up_live_…`.
  Whoever runs the service makes one with `connector key create`; after `make run` it is in `var/dev.env`. On this page,
  give it once with **Authorize**: it stays in the tab's memory until the page is loaded anew.
- **Waiting.** A connect takes as long as Bluesky takes, and a plain call waits for it. With `Prefer: respond-async` the
  call answers 202 at once, and `Location` names a task to look at.
- **Sending again.** With an `Idempotency-Key` a request that is sent again gets the first one's answer, and nobody is
  logged in twice.
- **Errors.** One shape, whatever went wrong: `code` is for programs, `message` and `hint` are for people, `next_action`
  says what helps. `Retry-After` says how many seconds to wait.
- **Finding it again.** Every answer names itself in `X-Request-Id`, and so do the service's log lines.
"""

TAGS = [
    {"name": "accounts", "description": "Connect one account, and look at those that are connected."},
    {"name": "tasks", "description": "Look at a connect that nobody waits for, or no longer."},
    {
        "name": "sessions",
        "description": "Let your users connect accounts themselves: a link leads to a form, and you see no password.",
    },
    {"name": "batches", "description": "Connect many accounts: a file comes in, and its rows end one by one."},
    {"name": "internal", "description": "For other services of whoever runs this one. Keep it from the internet."},
    {
        "name": "webhooks",
        "description": "Be told what happens to accounts: events are sent by POST, signed, at least once, "
        "and of each account in order.",
    },
    {"name": "audit", "description": "Who did what, when, and how it ended."},
    {"name": "profiles", "description": "What a workspace groups its accounts by, and how the hosted form looks."},
    {"name": "workspace", "description": "What an API key belongs to."},
    {"name": "service", "description": "For those who run the service. No key is needed."},
]
