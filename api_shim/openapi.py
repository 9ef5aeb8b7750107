"""`/openapi.json`: what FastAPI knows of the routes, completed with what holds for all of them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from api_shim.documented import EXAMPLE_REQUEST_ID, header
from api_shim.glossary import explain
from api_shim.introduction import DESCRIPTION, SUMMARY, TAGS, TITLE
from api_shim.request_id import HEADER as REQUEST_ID
from api_shim.request_id import WELL_FORMED
from connections.contract import ConnectRequest, ConnectSessionRequest, ReconnectRequest
from connections.platforms import PLATFORMS

Json = dict[str, Any]

# What `str.strip` leaves something of, in the words of JSON Schema, whose blanks are fewer.
_NOT_BLANK = r"[^\s\x1c-\x1f\x85]"


def describe(app: FastAPI) -> Json:
    """The whole document."""
    document = get_openapi(
        title=TITLE,
        version=app.version,
        summary=SUMMARY,
        description=DESCRIPTION,
        tags=TAGS,
        routes=app.routes,
        openapi_version=app.openapi_version,
    )
    _restore_examples(document, app)
    schemas = document["components"]["schemas"]
    schemas.update(_request_schemas())
    for path in document["paths"].values():
        for operation in path.values():
            _drop_foreign_refusal(operation)
            _add_request_id(operation)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    explain(schemas)
    return document


def _restore_examples(document: Json, app: FastAPI) -> None:
    """FastAPI leaves out every null, those of examples too, where they are members that must be there."""
    for route in iter_route_contexts(app.routes):
        if getattr(route, "include_in_schema", False):
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                for status, answer in route.responses.items():
                    for media_type, content in answer.get("content", {}).items():
                        examples = {name: content[name] for name in ("example", "examples") if name in content}
                        operation["responses"][str(status)]["content"][media_type].update(examples)


def _request_schemas() -> Json:
    schemas: Json = {}
    for model in (ConnectRequest, ReconnectRequest, ConnectSessionRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schema["properties"]["platform"]["enum"] = sorted(PLATFORMS)
        schemas[model.__name__] = schema
    _add_aliases(schemas["BlueskyCredentials"])
    return schemas


def _add_aliases(credentials: Json) -> None:
    """Each credential under the first of its names that is sent and not null; the others are not looked at."""
    properties = credentials["properties"]
    credentials["allOf"] = []
    del credentials["required"]
    for wanted in PLATFORMS["bluesky"].fields:
        about = properties[wanted.name]
        about["pattern"] = _NOT_BLANK
        limits = {key: about[key] for key in ("type", "minLength", "maxLength", "pattern")}
        alternative = {"description": f"Alias of `{wanted.name}`.", "examples": about["examples"]}
        properties.update(dict.fromkeys(wanted.aliases, alternative))
        about["type"] = ["string", "null"]
        ways = [{"required": [wanted.name], "properties": {wanted.name: {"type": "string"}}}]
        earlier = {wanted.name: {"type": "null"}}
        for alias in wanted.aliases:
            ways.append({"required": [alias], "properties": {**earlier, alias: limits}})
            earlier = {**earlier, alias: {"type": "null"}}
        credentials["allOf"].append({"anyOf": ways})


def _drop_foreign_refusal(operation: Json) -> None:
    """FastAPI adds a 422 in a shape of its own to routes that tell of none, though no value of theirs is refused."""
    match operation["responses"]:
        case {"422": {"content": {"application/json": {"schema": {"$ref": str(schema)}}}}} if schema.endswith(
            "/HTTPValidationError"
        ):
            del operation["responses"]["422"]


def _add_request_id(operation: Json) -> None:
    pattern = f"^{WELL_FORMED.pattern}$"
    sent = {
        "name": REQUEST_ID,
        "in": "header",
        "required": False,
        "description": f"Kept when it matches `{pattern}`, otherwise replaced; found again in every log line.",
        "schema": {"type": "string"},  # anything goes: a bad one fails no request
    }
    operation.setdefault("parameters", []).append(sent)
    answered = header("The id of this request.", pattern=pattern, examples=[EXAMPLE_REQUEST_ID]) | {"required": True}
    for response in operation["responses"].values():
        response["headers"] = {REQUEST_ID: answered, **response.get("headers", {})}
