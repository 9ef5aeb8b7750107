"""`{account_id:account}` in a path: an account's id, and never the name of the address that stands beside them.

Without it `GET /v1/accounts/connect` would look for an account, rather than say which methods there are.
"""

from starlette.convertors import StringConvertor, register_url_convertor

ACCOUNT = "/v1/accounts/{account_id:account}"


class _AccountId(StringConvertor):
    regex = "(?!connect(?:/|$))[^/]+"


register_url_convertor("account", _AccountId())
