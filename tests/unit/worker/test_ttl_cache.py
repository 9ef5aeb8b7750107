from worker.ttl_cache import TtlCache


def test_forgets_by_time() -> None:
    now = 0.0
    cache: TtlCache[str, int | None] = TtlCache(10, clock=lambda: now)
    cache.put("a", 1, 5)
    cache.put("nothing", None, 5)
    now = 4.9
    found, nothing = cache.get("a"), cache.get("nothing")
    assert found is not None
    assert found.value == 1
    assert nothing is not None
    assert nothing.value is None
    now = 5.0
    assert cache.get("a") is None


def test_forgets_the_oldest_when_full() -> None:
    cache: TtlCache[int, int] = TtlCache(2)
    for number in (1, 2, 1, 3):
        cache.put(number, number, 60)
    assert cache.get(2) is None
    assert cache.get(1) is not None
    assert cache.get(3) is not None


def test_what_is_taken_out_is_taken_once() -> None:
    now = 0.0
    cache: TtlCache[str, int] = TtlCache(10, clock=lambda: now)
    cache.put("a", 1, 5)
    assert [cache.pop("a"), cache.pop("a")] == [True, False]
    cache.put("a", 1, 5)
    now = 5.0
    assert not cache.pop("a")
