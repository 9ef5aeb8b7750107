"""The PLC directory: DID documents by DID.

Source: https://web.plc.directory/spec/v0.1/did-plc and `@did-plc/server` `routes.ts`. Like the real directory it
stores any string as an endpoint. A tombstone is 410 as the public API documents; the npm release says 404.
"""

from typing import Any

from sandbox.message import Request, Response, json_response

CONTENT_TYPE = b"application/did+ld+json; charset=utf-8"
RESOLVE = "/{did}"

# One real secp256k1 public key for everybody: nothing in the sandbox signs with it.
_PUBLIC_KEY = "zMcJVADQvwjfVze2YvaMSTfBMFwtrJgnq6AT3CYzenTNvEn6wxGY8dwzLfw4Xrwg54LjdpzDpTjzAnuBN6fNCZ5mr"


def did_document(did: str, handle: str, endpoint: str) -> dict[str, Any]:
    """The document of an account with this handle on the PDS at `endpoint`."""
    return {
        "@context": [
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/suites/secp256k1-2019/v1",
        ],
        "id": did,
        "alsoKnownAs": [f"at://{handle}"],
        "verificationMethod": [
            {
                "id": "#atproto",
                "type": "EcdsaSecp256k1VerificationKey2019",
                "controller": did,
                "publicKeyMultibase": _PUBLIC_KEY,
            }
        ],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint}],
    }


class Directory:
    """DID documents, did:web ones included, which the PDSes then serve under their well-known path."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Any] | None] = {}

    def put(self, did: str, document: dict[str, Any]) -> None:
        """Store a document, whatever it says."""
        self._documents[did] = document

    def tombstone(self, did: str) -> None:
        """Let the DID be answered with 410."""
        self._documents[did] = None

    def clear(self) -> None:
        """Forget every DID."""
        self._documents.clear()

    def document(self, did: str) -> dict[str, Any] | None:
        """The document, or None when the DID is unknown or tombstoned."""
        return self._documents.get(did)

    def identify(self, request: Request) -> tuple[str, str | None]:
        """Method and DID of a request, for faults and for the ledger."""
        name = request.path[1:]
        return (RESOLVE, name) if name.startswith("did:") else (request.path, None)

    def __call__(self, request: Request) -> Response:
        if request.path == "/_health":
            return json_response(200, {"version": "0.0.0"})
        did = request.path[1:]
        if did not in self._documents:
            return json_response(404, {"message": f"DID not registered: {did}"})
        document = self._documents[did]
        if document is None:
            return json_response(410, {"message": f"DID not available: {did}"})
        answer = json_response(200, document)
        answer.headers = [(b"Content-Type", CONTENT_TYPE)]
        return answer
