"""`connector import` against a service that fails as told."""

import contextlib
import csv
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.importing import following, patience
from cli.main import app
from tests.integration.cli.batch_service import BATCH_ID, KEY, PASSWORD, Service, running_batch_service
from tests.processes import ROOT
from tests.servers import wait_until

HANDLES = ["good1.test", "known1.test", "good2.test", "odd1.test", "bad1.test", "bad2.test", "good3.test"]


@pytest.fixture
def service() -> Iterator[Service]:
    with running_batch_service() as service:
        yield service


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return accounts(tmp_path / "accounts.csv", HANDLES)


def accounts(path: Path, handles: list[str], password: str = PASSWORD) -> Path:
    """A column of the file's own, a BOM, and a quoted cell with a line break, as Excel writes them."""
    rows = [f'"{handle}",{password},"Note, of\r\n{number}",=ref{number}' for number, handle in enumerate(handles, 1)]
    path.write_bytes("\r\n".join(["\ufeffhandle,App_Password,Notes,external_ref", *rows, ""]).encode())
    return path


Import = Callable[..., Result]


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> Import:
    monkeypatch.setenv("CONNECTOR_URL", service.url)
    monkeypatch.setenv("UNIPOST_API_KEY", KEY)
    monkeypatch.setattr(patience, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)

    def run(*arguments: object, **variables: str) -> Result:
        result = CliRunner().invoke(app, [str(each) for each in arguments], env=variables, catch_exceptions=False)
        assert PASSWORD not in result.output
        assert PASSWORD not in result.stderr
        return result

    return run


def results_of(file: Path) -> list[dict[str, str]]:
    with file.with_name("accounts.results.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_row_has_its_outcome(run: Import, service: Service, file: Path) -> None:
    result = run("import", file, "--profile", "pr_1")

    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        "4 of 7 rows are connected, 1 of them since before.",
        "",
        "    rows  cause           the first of them",
        "       2  unauthorized    line 10: Bluesky rejects it.",
        "       1  invalid_handle  line 8: =This is no handle.",
        "",
        f"Results: {file.with_name('accounts.results.csv')}",
    ]
    [posted] = service.posted
    assert (posted.body, posted.content_type) == (file.read_bytes(), "text/csv")
    assert posted.query == {"platform": "bluesky", "profile_id": "pr_1"}

    rows = results_of(file)
    assert list(rows[0]) == [
        *("handle", "Notes", "external_ref"),
        *("status", "account_id", "account_name", "cause", "message"),
    ]
    assert [row["handle"] for row in rows] == HANDLES
    assert (rows[0]["Notes"], rows[0]["external_ref"]) == ("Note, of\r\n1", "=ref1")
    assert [tuple(row.values())[3:] for row in rows] == [
        ("connected", "sa_good1.test", "good1.test", "", ""),
        ("already_connected", "sa_old", "", "", ""),
        ("connected", "sa_good2.test", "good2.test", "", ""),
        ("rejected", "", "", "invalid_handle", "'=This is no handle."),
        ("failed", "", "", "unauthorized", "Bluesky rejects it."),
        ("failed", "", "", "unauthorized", "Bluesky rejects it."),
        ("connected", "sa_good3.test", "good3.test", "", ""),
    ]


def test_nothing_but_the_results_is_left(run: Import, file: Path) -> None:
    run("import", file)

    results = file.with_name("accounts.results.csv")
    assert sorted(file.parent.iterdir()) == [file, results]
    assert stat.S_IMODE(results.stat().st_mode) == 0o600
    assert PASSWORD not in results.read_text()


def test_results_can_be_imported_again(run: Import, service: Service, tmp_path: Path) -> None:
    again = tmp_path / "accounts.csv"
    again.write_text(f"handle,password,status,cause\ngood1.test,{PASSWORD},failed,unauthorized\n")

    assert run("import", again).exit_code == 0
    header, row = again.with_name("accounts.results.csv").read_text().splitlines()
    assert header == "handle,status,account_id,account_name,cause,message"
    assert row == "good1.test,connected,sa_good1.test,good1.test,,"


@pytest.mark.parametrize(
    ("handles", "status"),
    [(["good1.test", "known1.test"], 0), (["bad1.test", "odd1.test"], 1), (["bad1.test", "known1.test"], 2)],
)
def test_the_exit_status(run: Import, file: Path, handles: list[str], status: int) -> None:
    assert run("import", accounts(file, handles)).exit_code == status


def test_the_outcome_for_programs(run: Import, file: Path) -> None:
    result = run("import", file, "--json", "--out", file.with_name("out.csv"))

    assert json.loads(result.stdout) == {
        "batch_id": BATCH_ID,
        "total": 7,
        "counts": {"connected": 3, "already_connected": 1, "failed": 2, "rejected": 1},
        "causes": {"unauthorized": 2, "invalid_handle": 1},
        "results": str(file.with_name("out.csv")),
    }
    assert file.with_name("out.csv").exists()


@pytest.mark.parametrize("fault", ["drop", "swallow", 503, 429], ids=str)
def test_what_may_have_been_sent_is_sent_again(run: Import, service: Service, file: Path, fault: Any) -> None:
    service.script.posts = [fault, fault]

    result = run("import", file)

    assert result.exit_code == 2
    assert result.stderr.count("trying again in 1 s") == 2
    assert len({posted.key for posted in service.posted}) == 1
    assert {posted.body for posted in service.posted} == {file.read_bytes()}


def test_a_cut_stream_of_events_goes_on(run: Import, service: Service, file: Path) -> None:
    service.script.release.clear()
    service.script.events = ["cut", "none", "cut", "end"]
    service.script.gets = [503]
    ended = service.script.release

    def let_it_end() -> bool:
        if len(service.last_event_ids) == 4:
            ended.set()
        return ended.is_set()

    with Background(lambda: run("import", file)) as importing:
        wait_until(let_it_end, what="the fourth stream of events")

    assert importing.result.exit_code == 2
    assert service.last_event_ids == [None, "e1", "e1", "e3"]
    assert "It cannot be done now; trying again in 1 s" in importing.result.stderr


def test_stopped_and_gone_on_with_from_elsewhere(service: Service, file: Path) -> None:
    service.script.release.clear()
    state = file.with_name("accounts.results.csv.state")
    with importing(service, file) as process:
        wait_until(service.followed.is_set, what="the events to be followed")
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
        assert PASSWORD not in state.read_text()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    last = f"connector: batch {BATCH_ID} goes on by itself; `connector import {file} --resume` goes on with the report"
    assert complaint.splitlines()[-1] == last
    assert "Traceback" not in complaint

    service.script.release.set()
    with importing(service, file, "--resume") as process:
        printed, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert printed.startswith("4 of 7 rows are connected")
    assert len(service.posted) == 1
    assert len(results_of(file)) == 7
    assert not state.exists()


def test_killed_in_mid_post_and_gone_on_with(service: Service, file: Path) -> None:
    service.script.posts = ["hang"]
    with importing(service, file) as process:
        wait_until(lambda: service.posted, what="the file to be sent")
        process.kill()
        process.wait()
    service.script.posts = []

    with importing(service, file, "--resume") as process:
        process.communicate(timeout=30)

    assert process.returncode == 2
    first, second = service.posted
    assert first == second


@contextlib.contextmanager
def importing(service: Service, file: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """`connector import` as a process. Killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "import", str(file), *options],
        cwd=ROOT,
        env={**os.environ, "CONNECTOR_URL": service.url, "UNIPOST_API_KEY": KEY},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_only_one_import_of_a_file_at_a_time(run: Import, service: Service, file: Path) -> None:
    assert run("import", file, "--no-wait").exit_code == 0

    again = run("import", file)

    assert again.exit_code == 1
    state = file.with_name("accounts.results.csv.state")
    assert again.stderr == (
        f"connector: an import of this file was not finished; `connector import {file} --resume`, "
        f"or remove {state} to begin anew\n"
    )
    assert len(service.posted) == 1


def test_not_waiting(run: Import, service: Service, file: Path) -> None:
    begun = run("import", file, "--no-wait")
    assert begun.exit_code == 0
    assert begun.stdout.splitlines() == [
        f"Batch {BATCH_ID} with 7 rows. To look: `connector batch show {BATCH_ID}`",
        f"To wait for its end and write {file.with_name('accounts.results.csv')}: `connector import {file} --resume`",
    ]
    assert run("import", file, "--resume").exit_code == 2
    assert len(service.posted) == 1


def test_not_waiting_for_programs(run: Import, file: Path) -> None:
    assert json.loads(run("import", file, "--no-wait", "--json").stdout) == {"batch_id": BATCH_ID}


def test_another_file_is_not_gone_on_with(run: Import, service: Service, file: Path) -> None:
    run("import", file, "--no-wait")
    accounts(file, [*HANDLES[1:], HANDLES[0]])

    result = run("import", file, "--resume")

    assert (result.exit_code, result.stderr) == (
        1,
        f"connector: {file} has other accounts than when the import was begun; put it back; "
        f"`connector batch results {BATCH_ID}` has the results\n",
    )
    assert not file.with_name("accounts.results.csv").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--url", "http://127.0.0.1:1"), "this import was begun at {url}, not at http://127.0.0.1:1; "),
        (("--profile", "pr_2"), "this import was begun for the only profile; leave --profile away"),
    ],
    ids=["url", "profile"],
)
def test_going_on_means_the_same_import(
    run: Import, service: Service, file: Path, options: tuple[str, ...], said: str
) -> None:
    run("import", file, "--no-wait", "--url", f"{service.url}/")

    result = run("import", file, "--resume", *options)

    assert result.exit_code == 1
    assert said.format(url=service.url) in result.stderr


def test_nothing_to_go_on_with(run: Import, file: Path) -> None:
    result = run("import", file, "--resume")

    assert result.exit_code == 1
    assert "there is nothing to go on with" in result.stderr


@pytest.mark.parametrize("status", [401, 413, 422])
def test_what_is_refused_leaves_nothing_behind(run: Import, service: Service, file: Path, status: int) -> None:
    service.script.posts = [status]

    result = run("import", file)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == [
        "connector: Not accepted: It cannot be done now.",
        "  code     SOME_ERROR",
        "  request  req_1",
    ]
    assert list(file.parent.iterdir()) == [file]


def test_what_is_refused_after_a_lost_answer_can_be_gone_on_with(run: Import, service: Service, file: Path) -> None:
    """The first try may have made a batch: its key must not be forgotten."""
    service.script.posts = ["swallow", 401]

    assert run("import", file).exit_code == 1
    assert run("import", file, "--resume").exit_code == 2
    assert len({posted.key for posted in service.posted}) == 1


def test_no_service(run: Import, file: Path) -> None:
    result = run("import", file, "--url", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == [
        "connector: nothing answers at http://127.0.0.1:1; start the service or set CONNECTOR_URL"
    ]
    assert list(file.parent.iterdir()) == [file]


GOOD = f"good1.test,{PASSWORD}\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "There are no rows."),
        (b"handle,app_password\n", "There are no rows."),
        (
            f"handle\n{GOOD}".encode(),
            "Line 1 must name the columns, and there is none called app_password or password.",
        ),
        (GOOD.encode(), "Line 1 must name the columns, and there is none called handle or identifier."),
        (f"handle,handle,password\n{GOOD}".encode(), "Line 1 names the column handle twice."),
        (f"handle,password\n{GOOD}caf\xe9.test,x\n".encode("latin-1"), "Line 3 is not UTF-8."),
        (f"handle,password\n{GOOD}".encode("utf-16"), "The file is UTF-16, from line 1 on."),
        (f"handle,password\n{GOOD}\0\n".encode(), "Line 3 holds a NUL byte"),
        (f'handle,password\n{GOOD}"good2.test,{PASSWORD}\n'.encode(), "what begins on line 3"),
        (
            f"handle,password\n{GOOD}good2.test,{'x' * 70_000}\n".encode(),
            "What begins on line 3 is longer than 64 KiB.",
        ),
        (
            f"handle,password\n{GOOD * 10_001}".encode(),
            "10,000 rows. Send the others as another batch. The row on line 10001 is the last that fits.",
        ),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "Line 3 holds a NUL byte: this is no text file."),
    ],
    ids=[
        *("empty", "no_rows", "no_password", "no_header", "twice", "latin1", "utf16"),
        *("nul", "quote", "huge_cell", "too_many", "binary"),
    ],
)
def test_a_bad_file_is_not_sent(run: Import, service: Service, file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)

    result = run("import", file)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"connector: {file}: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert service.asked == []
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_is_too_large(run: Import, service: Service, file: Path) -> None:
    with file.open("ab") as stream:
        stream.truncate(16 * 1024 * 1024 + 1)

    assert "at most 16 MiB" in run("import", file).stderr
    assert service.asked == []


def test_a_file_that_is_not_there(run: Import, tmp_path: Path) -> None:
    result = run("import", tmp_path / "none.csv")

    message = f"connector: {tmp_path / 'none.csv'} cannot be read: No such file or directory\n"
    assert (result.exit_code, result.stderr) == (1, message)


def test_the_accounts_are_not_written_over(run: Import, service: Service, file: Path) -> None:
    before = file.read_bytes()

    assert run("import", file, "--out", file).exit_code == 1
    assert (file.read_bytes(), service.asked) == (before, [])


def test_the_local_service_is_found(run: Import, service: Service, file: Path) -> None:
    dev_env = file.with_name("dev.env")
    dev_env.write_text(f"CONNECTOR_URL={service.url}\nUNIPOST_API_KEY={KEY}\n")
    nothing_set = {"CONNECTOR_URL": "", "UNIPOST_API_KEY": "", "CONNECTOR_VAR_DIR": str(file.parent)}

    result = run("import", file, **nothing_set)

    assert result.exit_code == 2
    told = f"connector: CONNECTOR_URL and UNIPOST_API_KEY from {dev_env}, the local service at {service.url}"
    assert result.stderr.splitlines()[0] == told


@pytest.mark.parametrize(
    "elsewhere", [{"CONNECTOR_ENV": "production"}, {"CONNECTOR_URL": "http://127.0.0.1:1"}], ids=["production", "url"]
)
def test_its_key_goes_nowhere_else(run: Import, service: Service, file: Path, elsewhere: dict[str, str]) -> None:
    file.with_name("dev.env").write_text(f"CONNECTOR_URL={service.url}\nUNIPOST_API_KEY={KEY}\n")
    nothing_set = {"CONNECTOR_URL": "", "UNIPOST_API_KEY": "", "CONNECTOR_VAR_DIR": str(file.parent)}

    result = run("import", file, **{**nothing_set, **elsewhere})

    message = "connector: set UNIPOST_API_KEY to an API key of your workspace\n"
    assert (result.exit_code, result.stderr, service.asked) == (1, message, [])


def test_looking_at_a_batch(run: Import, file: Path) -> None:
    run("import", file, "--no-wait")

    assert run("batch", "show", BATCH_ID).stdout.splitlines() == [
        f"Batch {BATCH_ID}: finished",
        "  7 of 7 rows, 100 %",
        "  connected 3, already connected 1, failed 2, rejected 1",
        "  10.0 rows/s",
    ]
    assert run("batch", "results", BATCH_ID).stdout.splitlines()[:2] == ["1,connected", "2,already_connected"]
    out = file.with_name("out.ndjson")
    run("batch", "results", BATCH_ID, "--format", "ndjson", "--out", out)
    assert len(out.read_text().splitlines()) == 7


def test_canceling_a_batch(run: Import, service: Service, file: Path) -> None:
    run("import", file, "--no-wait")

    assert run("batch", "cancel", BATCH_ID).exit_code == 0
    assert service.is_canceled


@pytest.mark.parametrize("command", ["show", "results", "cancel"])
def test_no_such_batch(run: Import, service: Service, command: str) -> None:
    result = run("batch", command, "../tasks")

    assert (result.exit_code, result.stderr) == (1, "connector: '../tasks' is not the id of a batch\n")
    assert service.asked == []


def test_a_batch_of_somebody_else(run: Import) -> None:
    result = run("batch", "show", "cb_2")

    assert result.exit_code == 1
    assert result.stderr.startswith("connector: Refused: There is no such batch.\n")


class Background:
    """Runs something in a thread while the block runs."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self.result: Result
        self._call = call
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.result = self._call()

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()
