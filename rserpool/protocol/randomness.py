"""The source of randomness that is injected into state machines."""

import typing


class Randomness(typing.Protocol):
    """A source of random numbers: random.Random, or random.SystemRandom."""

    def random(self) -> float:
        """Return a number of at least 0.0 and less than 1.0."""
