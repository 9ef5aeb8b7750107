"""The settings, and then everything that they name."""

from collections.abc import Iterator

from cli.doctor.checks import CHECKS
from cli.doctor.examining import examine
from cli.doctor.findings import Finding, fail, ok
from cli.doctor.subject import Subject
from connections.settings import SettingsError, load_settings


def findings() -> Iterator[tuple[str, Finding]]:
    """What each check has found, as soon as it has. Without settings there is nothing else to look at."""
    try:
        settings = load_settings()
    except SettingsError as error:
        yield "settings", fail(str(error), "correct the environment; README.md lists every setting")
        return
    yield "settings", ok(f"{settings.env}, files in {settings.var_dir.absolute()}", environment=settings.env)
    subject = Subject(settings)
    try:
        yield from examine(subject, CHECKS)
    finally:
        subject.close()
