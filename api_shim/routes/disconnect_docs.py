"""What the documentation says of the route that disconnects an account."""

from typing import Any

from api_shim.documented import EXAMPLE_REQUEST_ID, WITH_A_KEY, answers, failures
from connections.contract import DisconnectedAnswer
from connections.errors import NotFound

EXAMPLE_ACCOUNT_ID = "sa_01jd2w8v70e3g5j7m9q1s3v5x7"

DISCONNECT: dict[str, Any] = {
    "summary": "Disconnect an account",
    "responses": {
        200: answers(
            DisconnectedAnswer,
            description="Disconnected; also when it was before. The same account can be connected anew at once.",
            example={
                "data": {
                    "id": EXAMPLE_ACCOUNT_ID,
                    "profile_id": "pr_01jd2w4k1c8e0g2j4m6p8r0t2v",
                    "platform": "bluesky",
                    "account_name": "alice.bsky.social",
                    "status": "disconnected",
                    "connection_type": "byo",
                    "connected_at": "2026-11-23T10:00:00.123Z",
                    "external_account_id": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
                    "display_name": None,
                    "avatar_url": None,
                },
                "request_id": EXAMPLE_REQUEST_ID,
            },
        ),
        **failures(*WITH_A_KEY, NotFound("There is no such account.")),
    },
}
