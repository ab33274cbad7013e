from rserpool.messages import ErrorCause
from rserpool.protocol.client.requests import Requests


def ignore(causes: tuple[ErrorCause, ...], now: int) -> None:
    pass


def test_oldest_request_over_an_association_is_found_first() -> None:
    requests = Requests()
    failed: list[str] = []
    requests.add("first", 1, lambda causes, now: failed.append("first"))
    requests.add("second", 1, lambda causes, now: failed.append("second"))
    requests.add("first", 2, ignore)
    assert set(requests.associations("first")) == {1, 2}
    oldest = requests.oldest(1)
    assert oldest is not None
    oldest.on_error((), 0)
    assert failed == ["first"]
    requests.close("first")
    following = requests.oldest(1)
    assert following is not None
    following.on_error((), 0)
    assert failed == ["first", "second"]
    assert requests.oldest(2) is None


def test_ended_association_is_forgotten_and_the_request_stays_open() -> None:
    requests = Requests()
    requests.add("only", 1, ignore)
    requests.association_ended(1)
    assert not requests.associations("only")
    assert requests.oldest(1) is None
    assert len(requests) == 1
    requests.close("only")
    requests.close("only")
    assert len(requests) == 0
