"""Counters with declared names. Reading a counter changes nothing; counting under an undeclared name is an error."""

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Self


class CounterName(enum.StrEnum):
    """Base of the enumerations that declare counters: each member is a name and a description of what is counted."""

    description: str

    def __new__(cls, name: str, description: str) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.description = description
        return member


class Counters(Mapping[str, int]):
    """The count of every declared name, from 0."""

    def __init__(self, names: type[CounterName]) -> None:
        self._counts = {str(name): 0 for name in names}
        self._sources: dict[str, Callable[[], int]] = {}

    def count(self, name: CounterName, number: int = 1) -> None:
        """Add to a counter. Raises KeyError if the name is not declared."""
        self._counts[name] += number

    def add_source(self, name: CounterName, read: Callable[[], int]) -> None:
        """Whenever the counter is read, add what ``read`` returns. Raises KeyError if the name is not declared."""
        self._counts[name] += 0
        self._sources[name] = read

    def __getitem__(self, name: str) -> int:
        counted = self._counts[name]
        source = self._sources.get(name)
        return counted if source is None else counted + source()

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)
