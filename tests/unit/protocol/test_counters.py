"""Counters with declared names."""

import pytest

from rserpool.protocol.counters import CounterName, Counters


class Fruit(CounterName):
    APPLES = "apples", "apples picked"
    PEARS = "pears", "pears picked"


class Vegetable(CounterName):
    LEEKS = "leeks", "leeks pulled"


def test_every_declared_name_counts_from_zero() -> None:
    assert dict(Counters(Fruit)) == {"apples": 0, "pears": 0}


def test_counts_add_up_by_name_and_by_member() -> None:
    counters = Counters(Fruit)
    counters.count(Fruit.APPLES)
    counters.count(Fruit.APPLES, 2)
    assert (counters["apples"], counters[Fruit.APPLES], counters["pears"]) == (3, 3, 0)


def test_undeclared_names_are_errors() -> None:
    counters = Counters(Fruit)
    for use in (
        lambda: counters.count(Vegetable.LEEKS),
        lambda: counters.add_source(Vegetable.LEEKS, int),
        lambda: counters["leeks"],
    ):
        with pytest.raises(KeyError):
            use()
    assert "leeks" not in counters


def test_source_is_added_at_each_reading_and_reading_changes_nothing() -> None:
    served = 5
    counters = Counters(Fruit)
    counters.add_source(Fruit.PEARS, lambda: served)
    counters.count(Fruit.PEARS)
    assert counters["pears"] == counters["pears"] == 6
    served = 7
    assert dict(counters) == {"apples": 0, "pears": 8}


def test_names_are_plain_strings_and_have_descriptions() -> None:
    assert all(type(name) is str for name in Counters(Fruit))
    assert Fruit.APPLES.description == "apples picked"
