"""Who asks: `Authorization: Bearer <workspace API key>`, RFC 6750."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api_shim.bootstrap import TheShim
from connections.errors import Unauthorized
from connections.service import Caller

_bearer = HTTPBearer(
    auto_error=False, scheme_name="WorkspaceApiKey", description="A workspace API key: `up_live_…` or `up_test_…`."
)


async def _authenticate(
    shim: TheShim, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Raises `Unauthorized`, the same for every cause: nobody learns whether a key exists."""
    if credentials is None:
        raise Unauthorized
    key = credentials.credentials
    caller = shim.service.recognise(key)
    return caller if caller is not None else await shim.reading.run(shim.service.authenticate, key)


TheCaller = Annotated[Caller, Depends(_authenticate)]
"""The parameter of a route that only the holder of a key may use."""
