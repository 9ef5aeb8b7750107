"""Checks of the keys. Their ids only; a key itself is never shown."""

from cli.doctor.findings import Finding, fail, ok, warn
from cli.doctor.subject import Subject
from connections.repository.keys import KeyUse, keys_in_use
from connections.vault import KeysMissing, ShimKeys, WorkerKeys


def check_keys(subject: Subject) -> Finding:
    return keys_finding(_ring(subject), _excerpt(subject), is_production=subject.settings.is_production)


def keys_finding(ring: WorkerKeys | None, excerpt: ShimKeys | None, *, is_production: bool) -> Finding:
    """A machine of the API has an excerpt and no ring, one of workers may have a ring only."""
    if ring is None and excerpt is None:
        advice = "`connector keys generate` makes them; if there were some, put them back instead"
        return (fail if is_production else warn)("there are none", advice)
    if ring is None:
        return warn("an excerpt and no ring", "right on a machine of the API; workers need the ring")
    ids = ", ".join(ring.ids)
    if excerpt is None:
        return warn(f"{ids}, no excerpt", "right on a machine of workers; the API needs the excerpt", keys=ring.ids)
    if not ring.opens(excerpt):
        advice = "give the API the excerpt that belongs to this ring, and restart nothing: it is taken up"
        return fail(f"{ids}, and an excerpt of another ring", advice, keys=ring.ids)
    if ring.is_rotating:
        return warn(f"{ids}: a rotation is not finished", "`connector keys rotate` goes on with it", keys=ring.ids)
    return ok(f"{ids}, and the excerpt of them", keys=ring.ids)


def check_stored_secrets(subject: Subject) -> Finding | None:
    ring = _ring(subject)
    if ring is None:
        return None
    with subject.database.read() as connection:
        use = keys_in_use(connection)
    return stored_secrets_finding(use, ring)


def stored_secrets_finding(use: KeyUse, ring: WorkerKeys) -> Finding:
    named = use.sealing | use.tokens
    lost = sorted(key_id for key_id in named - {*ring.ids} if key_id is not None)
    if lost:
        advice = "put back the ring that has them; `connector keys status` counts the rows"
        return fail(f"rows need keys that the ring does not have: {', '.join(lost)}", advice, lost=lost)
    if None in named:
        advice = "`connector keys status` tells more"
        return warn("some rows do not say which key they need: an older version wrote them", advice, lost=[])
    return ok("every row's key is in the ring", lost=[])


def _ring(subject: Subject) -> WorkerKeys | None:
    try:
        return subject.keys.load_ring()
    except KeysMissing:
        return None


def _excerpt(subject: Subject) -> ShimKeys | None:
    try:
        return subject.keys.load_excerpt()
    except KeysMissing:
        return None
