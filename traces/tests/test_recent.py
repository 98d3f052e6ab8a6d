import orjson

from traces.recent import KEPT_S, MAX_BYTES, Recent


def kept(recent: Recent) -> list[bytes]:
    return [command[-1] for command in recent.commands()]


def test_traces_are_kept_for_a_while() -> None:
    recent = Recent()
    recent.keep("a", b"1", 100.0)
    recent.keep("b", b"2", 100.0 + KEPT_S)
    assert kept(recent) == [b"1", b"2"]
    recent.keep("c", b"3", 100.1 + KEPT_S)
    assert kept(recent) == [b"2", b"3"]


def test_memory_is_bounded_whatever_comes() -> None:
    recent = Recent()
    for number in range(5):
        recent.keep(str(number), orjson.dumps(number) + b" " * (MAX_BYTES // 2 - 1), 100.0)
    assert [int(trace) for trace in kept(recent)] == [3, 4]
    recent.keep("x", b" " * (MAX_BYTES + 1), 100.0)
    assert kept(recent) == []
