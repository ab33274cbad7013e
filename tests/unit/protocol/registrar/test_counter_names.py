"""The registrar's declared counters."""

from rserpool.protocol.registrar.counter_names import Count
from tests.support.bench import Bench


def test_registrar_has_every_declared_counter_from_the_start() -> None:
    assert dict(Bench().counters) == {str(name): 0 for name in Count}


def test_descriptions_are_present_and_distinct() -> None:
    descriptions = [name.description for name in Count]
    assert all(descriptions)
    assert len(set(descriptions)) == len(descriptions)


def test_fast_lane_and_readable_way_add_to_the_same_counter() -> None:
    bench = Bench()
    number = bench.associate()
    bench.register(number, 1)
    bench.context.associations[number].lane = None
    bench.register(number, 2)
    assert (bench.counters["registrations"], bench.asap.lanes.counters.registrations) == (2, 1)
