"""A browser for all tests, a tab and an API for each. Without a browser they are skipped, unless CI says otherwise."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser, Page, find_chromium, running_browser
from tests.browser.scripted import ScriptedApi

# Read before the environment is cleaned: a test that finds no browser must know whether it may say so.
_IS_REQUIRED = os.environ.get("CONNECTOR_REQUIRE_BROWSER") == "1"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        (pytest.fail if _IS_REQUIRED else pytest.skip)("no Chromium on this machine (Debian: apt-get install chromium)")
    with running_browser(executable, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """Fails a test in which the page threw an exception, or did something that its policy forbids."""
    page = Page(browser, tmp_path)
    try:
        yield page
        assert page.faults() == []
    finally:
        page.close()


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    api = ScriptedApi()
    api.start()
    try:
        yield api
    finally:
        api.stop()
