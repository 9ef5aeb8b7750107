"""One row of a batch: as it was sent, and what it comes to."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from connections.contract import Issue, RejectedRow
from connections.errors import InvalidIdentity, PayloadTooLarge, ValidationFailed
from connections.intake import read_credential, read_profile_id, sent_name, wrong_type
from connections.platforms import PLATFORMS, PlatformShape

MAX_ROWS = 10_000
MAX_BYTES = 16 * 2**20
TOO_LARGE = f"A batch has at most {MAX_BYTES // 2**20} MiB. Send the rest as another batch."
MAX_EXTERNAL_REF = 255

# All that anybody looks at in a row.
KNOWN_MEMBERS = frozenset({"profile_id", "external_ref"}).union(
    *({wanted.name, *wanted.aliases} for shape in PLATFORMS.values() for wanted in shape.fields)
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heading:
    """What holds for all rows of a batch, as it was sent: `platform` and `profile_id`."""

    platform: object
    profile_id: object = None


@dataclass(frozen=True, slots=True)
class SentRow:
    """`number` counts from 1, `line` is where it begins in a file. `fault` is set when it is no row to look into."""

    number: int
    line: int | None = None
    members: Mapping[str, object] = field(default_factory=dict, repr=False)
    fault: Issue | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that is well-formed. `account` is its identifier in normal form, the same for all ways of writing it."""

    sent: SentRow
    identifier: str
    account: str
    password: str = field(repr=False)
    profile_id: str | None
    external_ref: str | None
    identifier_name: str

    def rejected(self, issue: Issue) -> RejectedRow:
        return rejected(self.sent, [issue], self.external_ref)


def read_row(sent: SentRow, shape: PlatformShape, normal_form: Callable[[str], str]) -> Candidate | RejectedRow:
    """`normal_form` is that of the platform's identifiers, and raises `InvalidIdentity`. Nothing is looked up."""
    if sent.fault is not None:
        return rejected(sent, [sent.fault])
    issues: list[Issue] = []
    external_ref = _external_ref(sent.members.get("external_ref"), issues)
    profile_id = read_profile_id(sent.members.get("profile_id"), issues)
    identifier, password = (read_credential(sent.members, wanted, issues) for wanted in shape.fields)
    identifier_name = sent_name(sent.members, shape.identifier)
    account = ""
    if identifier:
        try:
            account = normal_form(identifier)
        except InvalidIdentity as error:
            issues.append(Issue(field=identifier_name, code=error.issue_code, message=error.message))
    if issues:
        return rejected(sent, issues, external_ref)
    return Candidate(sent, identifier, account, password, profile_id, external_ref, identifier_name)


def numbered(found: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Counts rows from 1. Raises `PayloadTooLarge` at the first beyond those that a batch may have."""
    for number, one in enumerate(found, 1):
        if number > MAX_ROWS:
            raise PayloadTooLarge(f"A batch has at most {MAX_ROWS:,} rows. Send the others as another batch.")
        yield number, one


def rejected(sent: SentRow, issues: list[Issue], external_ref: str | None = None) -> RejectedRow:
    return RejectedRow(row=sent.number, line=sent.line, external_ref=external_ref, issues=issues)


def body_fault(code: str, message: str, *, line: int | None = None) -> ValidationFailed:
    """What makes the whole body useless. The message names the line if there is one, and quotes nothing."""
    issue = Issue(field="body", code=code, message=message)
    return ValidationFailed(message, issues=[issue], details=None if line is None else {"line": line})


def _external_ref(value: object, issues: list[Issue]) -> str | None:
    """The caller's own name for the row: any text, but for NUL, which Postgres cannot store."""
    if value is None:
        return None
    if not isinstance(value, str):
        issues.append(wrong_type("external_ref", value, "a string"))
    elif len(value) > MAX_EXTERNAL_REF:
        message = f"external_ref is longer than {MAX_EXTERNAL_REF} characters."
        issues.append(Issue(field="external_ref", code="too_long", message=message))
    elif "\0" in value:
        issues.append(Issue(field="external_ref", code="invalid_characters", message="external_ref holds a NUL."))
    else:
        return value
    return None
