"""What a connect costs here and with what people would use instead: `make bench`.

All do one and the same job, a login at one upstream that takes 50 ms, and keep what it gave: bare httpx, handlers that
do it inline, the usual task queues, and Connector. A round measures each of them once, started afresh, and the medians
of the rounds are shown. The machine is shared: compare within a run, and CPU rather than connects a second, since on
few cores upstream and callers take their part of these.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.compare.catalogue import contenders
from bench.compare.contender import Contender
from bench.compare.place import running_place
from bench.compare.plot import draw
from bench.compare.report import as_json, show, versions
from bench.compare.run import Measured, Sizes, measure
from bench.compare.summary import Summary, summarized
from bench.compare.upstream import LOGIN_SECONDS

RESULTS = Path(__file__).parent.parent.parent / "docs" / "bench"


def main() -> None:
    options = parsed()
    for tls in options.tls:
        title = f"One login of {1000 * LOGIN_SECONDS:.0f} ms, {'' if tls else 'no '}TLS; "
        title += f"{options.jobs} connects, medians of rounds: {options.rounds}"
        summaries = compare(options, tls=tls)
        show(title, summaries)
        if options.keep_in:
            keep("tls" if tls else "plain", title, summaries, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, help="3, or 1 when quick")
    add("--jobs", type=int, help="connects of many at the same time, a round: 1000, or 300 when quick")
    add("--alone", type=int, help="connects with one caller, a round: 60, or 20 when quick")
    add("--quick", action="store_true")
    add("--only", nargs="+", metavar="NAME", help="those whose names contain one of these, and the floor")
    add("--tls", action="store_const", const=(True,), default=(False,), help="with an upstream that speaks TLS")
    add("--both", dest="tls", action="store_const", const=(False, True), help="without TLS, then with it")
    add(
        "--target", type=float, metavar="MS", help="CPU a connect that is drawn as a line; the leanest queue's if unset"
    )
    add("--keep-in", type=Path, metavar="PATH", help="for numbers and pictures; docs/bench unless quick or only a part")
    options = parser.parse_args()
    for name, quick, full in (("rounds", 1, 3), ("jobs", 300, 1000), ("alone", 20, 60)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
    if options.keep_in is None and not options.quick and not options.only:
        options.keep_in = RESULTS
    return options


def compare(options: argparse.Namespace, *, tls: bool) -> list[Summary]:
    """Round after round, everybody in turns. Whoever fails once is left out from then on."""
    floor, *others = contenders()
    chosen = [floor, *(one for one in others if not options.only or any(part in one.name for part in options.only))]
    sizes = Sizes(alone=options.alone, many=options.jobs)
    measured: defaultdict[Contender, list[Measured]] = defaultdict(list)
    with running_place(accounts=sizes.accounts, tls=tls) as place:
        for number in range(1, 1 + options.rounds):
            for contender in tuple(chosen):
                print(f"{number}/{options.rounds}  {contender.name}", flush=True)
                try:
                    measured[contender].append(measure(contender, place, sizes))
                except (RuntimeError, TimeoutError) as error:
                    print(f"     left out: {error}", flush=True)
                    chosen.remove(contender)
    return [summarized(one, measured[one], measured[floor]) for one in chosen]


def keep(run: str, title: str, summaries: Sequence[Summary], options: argparse.Namespace) -> None:
    """Beside what was kept of the other run, the one with TLS or the one without."""
    path: Path = options.keep_in / "compare.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[run] = {
        "packages": versions(),
        "rounds": options.rounds,
        "connects": options.jobs,
        "contenders": [as_json(one) for one in summaries],
    }
    path.write_text(json.dumps(kept, indent=2) + "\n")
    draw(title, summaries, options.target or leanest_queue(summaries), options.keep_in / f"compare-{run}.png")


def leanest_queue(summaries: Sequence[Summary]) -> float | None:
    """Milliseconds of CPU a connect of the library that needs least; None when none was measured."""
    return min((one.total_cpu for one in summaries if one.contender.family == "library"), default=None)


if __name__ == "__main__":
    main()
