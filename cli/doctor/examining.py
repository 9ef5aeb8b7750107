"""One check after the other: none is waited for longer than its deadline, and none that fails stops the next."""

import threading
from collections.abc import Iterator, Sequence

from cli.doctor.checks import Check
from cli.doctor.findings import Finding, Verdict, fail, skipped
from cli.doctor.subject import Subject
from cli.reasons import FAILURES, reason

DEADLINE_SECONDS = 3.0


def examine(
    subject: Subject, checks: Sequence[Check], *, seconds: float = DEADLINE_SECONDS
) -> Iterator[tuple[str, Finding]]:
    """What each check has found, by its name, as soon as it has. Those that have nothing to say are left out."""
    verdicts: dict[str, Verdict] = {}
    for check in checks:
        failed = [need for need in check.needs if verdicts.get(need) in {Verdict.FAIL, Verdict.SKIPPED}]
        finding = skipped(failed[0]) if failed else _look(check, subject, seconds)
        if finding is not None:
            verdicts[check.name] = finding.verdict
            yield check.name, finding


def _look(check: Check, subject: Subject, seconds: float) -> Finding | None:
    """In a thread that is left alone when it hangs: what hangs there, nobody can end."""
    found: list[Finding | None] = []

    def look() -> None:
        try:
            found.append(check.look(subject))
        except tuple(FAILURES) as error:
            found.append(fail(reason(error), check.advice))

    thread = threading.Thread(target=look, daemon=True, name=f"check of {check.name}")
    thread.start()
    thread.join(seconds)
    if found:
        return found[0]
    if thread.is_alive():
        return fail(f"no answer within {seconds:g} s", check.advice)
    return fail("the check itself has failed", "report what it says on stderr: this is a bug")
