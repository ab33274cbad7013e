"""One simulated run: the world starts, is disturbed and restored several times, and must settle after each."""

from tests.sim import bounds, usage
from tests.sim.clock import SECOND
from tests.sim.disturbances import DISTURBANCES
from tests.sim.ledger import Violation
from tests.sim.model import named
from tests.sim.world import Shape, World, shape

LOOK = 1.0
"""Seconds between two checks of the world."""
POLL = 3.0
"""Seconds between two checks if the world has settled."""
REST = 2.5
"""Heartbeats for which the world must stay correct to count as settled."""
MESSAGES = 4
"""The messages that spread a change everywhere, plus one that may be ahead of them."""
DISTURBED = (15.0, 50.0)
"""The length of a phase with disturbances, in seconds."""


class Failure(Exception):
    """A violation, and the world in which it occurred."""

    def __init__(self, world: World, violation: Exception) -> None:
        super().__init__(f"seed {world.seed}, at {world.clock.now / SECOND:.1f} s: {violation}")
        self.world = world


class SimulatedRun:
    """A world and the disturbances it goes through."""

    def __init__(self, seed: int, shape: Shape, *, verbose: bool = False) -> None:
        self.world = World(seed, shape, verbose=verbose)
        self._bound = bounds.settled(self.world.settings(1), shape.patience, shape.client, shape.registrars)
        self._watch()

    def run(self) -> World:
        """Run to the end. Raises Failure."""
        world = self.world
        try:
            self._start()
            self._settle("after the start")
            self._change_at_rest("after the start")
            for phase in range(world.shape.phases):
                world.history.text(world.clock.now, "world", f"phase {phase}")
                if world.random.random() < world.shape.calm:
                    self._calm_phase()
                else:
                    self._wild_phase()
                self._settle(f"after phase {phase}")
                self._change_at_rest(f"after phase {phase}")
        except Exception as error:
            raise Failure(world, error) from error
        return world

    def _watch(self) -> None:
        self.world.model.look()
        self.world.clock.after(LOOK, self._watch)

    def _pass(self, seconds: float) -> None:
        self.world.clock.run(self.world.clock.now + round(seconds * SECOND))

    def _start(self) -> None:
        world = self.world
        for node in world.nodes:
            world.clock.after(0.0 if world.shape.at_once else world.random.uniform(0, 20), world.start, node)
        for element in world.elements:
            world.clock.after(world.random.uniform(0, 25), element.start)
        for user in world.users:
            world.clock.after(world.random.uniform(0, 25), user.start)
        self._pass(26)

    def _settle(self, when: str) -> None:
        """Wait until the world is as it must be and stays so for some heartbeats. Raises Violation if that takes longer
        than the bound."""
        world = self.world
        rest = round(REST * world.shape.heartbeat * SECOND)
        deadline = world.clock.now + round(self._bound * SECOND) + rest
        good_since = None
        while good_since is None or world.clock.now < good_since + rest:
            differences = list(world.model.differences())
            if not differences:
                good_since = world.clock.now if good_since is None else good_since
            elif world.clock.now >= deadline:
                text = "\n  ".join(differences[:20])
                raise Violation(f"{when}, {self._bound:.0f} s later, {len(differences)} things differ:\n  {text}")
            else:
                good_since = None
            self._pass(POLL)
        world.history.text(world.clock.now, "world", f"at rest {when}")

    def _change_at_rest(self, when: str) -> None:
        """Check that a change in a settled world reaches all registrars as soon as the messages arrive."""
        world = self.world
        element = world.random.choice(world.elements)
        if world.random.random() < 0.5:
            element.load(world.random.randrange(1, 1000))
        else:
            element.leave()
        self._pass(MESSAGES * world.shape.slowest + 0.1)
        about = named((element.pool, element.identifier))
        if differences := [text for text in world.model.differences() if about in text]:
            raise Violation(f"{when}, a change at rest is not known everywhere at once:\n  " + "\n  ".join(differences))
        world.restart(element)

    # Phases

    def _calm_phase(self) -> None:
        """Kill a registrar and nothing else: every element must stay resolvable at every other registrar."""
        world = self.world
        running = world.model.running()
        if len(running) < 2:
            return
        victim = world.random.choice(running)
        world.model.calm = {(element.pool, element.identifier) for element in world.elements if element.settled}
        identifier = victim.identifier.to_bytes(4, "big")
        world.history.takeovers.clear()
        died = world.clock.now
        served = usage.served(world.clients, world.elements)
        victim.stop(silently=world.random.random() < 0.5)
        self._settle("after a registrar's death")
        world.model.calm = set()
        self._check_takeover(victim.name, identifier, died)
        for caller, side in served.items():
            if caller.serving is not side:
                raise Violation(f"{caller.name} was disturbed by the death of a registrar")
        world.start(victim)

    def _check_takeover(self, name: str, identifier: bytes, died: int) -> None:
        """Check that the killed registrar, and no other, was taken over at most once and in time."""
        told = self.world.history.takeovers
        if len(told) > 1 or any(target != identifier for _, target in told):
            text = ", ".join(f"{winner} of {target.hex()}" for winner, target in told)
            raise Violation(f"{name} ({identifier.hex()}) died, and more is taken over than that, once: {text}")
        bound = bounds.quiet_takeover(self.world.settings(1)) + self.world.shape.slowest
        for when in told.values():
            if (when - died) / SECOND > bound:
                raise Violation(
                    f"{name} was taken over {(when - died) / SECOND:.1f} s after it died, not {bound:.1f} s"
                )

    def _wild_phase(self) -> None:
        """Apply any disturbances for a while, then restore the world."""
        world = self.world
        seconds = world.random.uniform(*DISTURBED)
        kinds = world.shape.kinds or tuple(DISTURBANCES)
        for _ in range(world.random.randint(1, world.shape.disturbances)):
            kind = world.random.choice(kinds)
            world.clock.after(
                world.random.uniform(0, seconds), self._disturb, kind, world.clock.now + round(seconds * SECOND)
            )
        self._pass(seconds)
        self._restore()

    def _disturb(self, kind: str, end: int) -> None:
        world = self.world
        world.history.text(world.clock.now, "world", kind)
        DISTURBANCES[kind](world, (end - world.clock.now) / SECOND)

    def _restore(self) -> None:
        """Restore all that can be restored. Some of what ended stays away if the others do not need it to meet."""
        world = self.world
        world.history.text(world.clock.now, "world", "all is healed")
        world.network.heal()
        gone = [node for node in world.nodes if not node.running]
        for node in gone:
            needed = world.shape.topology in ("first", "ring") or not world.model.running()
            if needed or world.random.random() < 0.7:
                world.start(node)
        for process in (*world.nodes, *world.clients):
            process.go_on()
        for user in world.users:
            user.start()
        for element in world.elements:
            element.thaw()
            if not element.alive and world.random.random() < 0.5:
                world.restart(element)


def run(seed: int, *, verbose: bool = False) -> World:
    """Run a seed to its end. Raises Failure."""
    return SimulatedRun(seed, shape(seed), verbose=verbose).run()
