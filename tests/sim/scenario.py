"""One run: the world starts, is disturbed and healed again and again, and must come to rest every time."""

from collections.abc import Callable

from tests.sim import bounds
from tests.sim.clock import SECOND
from tests.sim.model import Violation, named
from tests.sim.world import Shape, World, shape

LOOK = 1.0
"""Seconds between two looks at the world."""
POLL = 3.0
"""Seconds between two looks whether it has come to rest."""
REST = 2.5
"""Heartbeats for which all must stay as it must be, to be believed."""
MESSAGES = 4
"""Messages that a change needs to be known everywhere, and one that may be before them."""
DISTURBED = (15.0, 50.0)
"""Seconds for which a phase disturbs."""


class Failure(Exception):
    """A violation, and the world in which it happened."""

    def __init__(self, world: World, violation: Exception) -> None:
        super().__init__(f"seed {world.seed}, at {world.clock.now / SECOND:.1f} s: {violation}")
        self.world = world


class Scenario:
    """A world and what is done to it."""

    def __init__(self, seed: int, shape: Shape, *, verbose: bool = False) -> None:
        self.world = World(seed, shape, verbose=verbose)
        self._bound = bounds.settled(self.world.settings(1), shape.patience)
        self._watch()

    def run(self) -> World:
        """All of it. Raises Failure."""
        world = self.world
        try:
            self._start()
            self._settle("after the start")
            for phase in range(world.shape.phases):
                world.history.text(world.clock.now, "world", f"phase {phase}")
                if world.random.random() < world.shape.calm:
                    self._calm_phase()
                else:
                    self._wild_phase()
                self._settle(f"after phase {phase}")
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
        self._pass(26)

    def _settle(self, when: str) -> None:
        """Wait until all is as it must be and stays so for some heartbeats; Violation where that takes longer than the
        bound."""
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
        self._change_at_rest(when)

    def _change_at_rest(self, when: str) -> None:
        """What changes while all is well is known everywhere as soon as the messages have arrived."""
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
        """A registrar is killed, and that is all: every element stays resolved at every other registrar."""
        world = self.world
        running = world.model.running()
        if len(running) < 2:
            return
        victim = world.random.choice(running)
        world.model.calm = {(element.pool, element.identifier) for element in world.elements if element.settled}
        identifier = victim.identifier.to_bytes(4, "big")
        world.history.takeovers.clear()
        died = world.clock.now
        victim.stop(silently=world.random.random() < 0.5)
        self._settle("after a registrar's death")
        world.model.calm = set()
        self._check_takeover(victim.name, identifier, died)
        world.start(victim)

    def _check_takeover(self, name: str, identifier: bytes, died: int) -> None:
        """The one that died was taken over, if at all, once and in time, and nobody else was."""
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
        """Anything may happen, for a while; then all is made good."""
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
        """All that can be made good is; some that ended stay away for ever, if the others do not need them to meet."""
        world = self.world
        world.history.text(world.clock.now, "world", "all is healed")
        world.network.heal()
        gone = [node for node in world.nodes if not node.running]
        for node in gone:
            needed = world.shape.topology in ("first", "ring") or not world.model.running()
            if needed or world.random.random() < 0.7:
                world.start(node)
        for node in world.nodes:
            node.go_on()
        for element in world.elements:
            element.thaw()
            if not element.alive and world.random.random() < 0.5:
                world.restart(element)


def run(seed: int, *, verbose: bool = False) -> World:
    """Run a seed to its end. Raises Failure."""
    return Scenario(seed, shape(seed), verbose=verbose).run()


# Disturbances: (world, seconds that are left of the phase)


def registrar_dies(world: World, left: float) -> None:
    running = world.model.running()
    if running:
        node = world.random.choice(running)
        node.stop(silently=world.random.random() < 0.5)
        if world.random.random() < 0.6:
            world.clock.after(world.random.uniform(0.01, left), world.start, node)


def twins_start(world: World, left: float) -> None:
    """Two registrars start at the same instant; they may have drawn the same identifier."""
    if len(world.nodes) < 3:
        return
    pair = world.random.sample(world.nodes, 2)
    for node in pair:
        if node.running:
            node.stop(silently=False)
    identifier = world.draw() if world.random.random() < 0.5 else 0
    for node in pair:
        world.clock.after(min(left, 1.0), world.start, node, identifier)


def registrar_stands_still(world: World, left: float) -> None:
    node = world.random.choice(world.nodes)
    node.stand_still()
    world.clock.after(world.random.uniform(0.1, left), node.go_on)


def clock_leaps(world: World, left: float) -> None:
    world.random.choice(world.nodes).leap(world.random.uniform(1, 600))


def partition(world: World, left: float) -> None:
    """The registrars fall apart into two groups, each element goes with one of them."""
    for host in [*(node.host for node in world.nodes), *(element.host for element in world.elements)]:
        host.group = world.random.randrange(2)
    world.network.links_changed()
    if world.random.random() < 0.6:
        world.clock.after(world.random.uniform(0.1, left), world.network.heal)


def link_breaks(world: World, left: float) -> None:
    """Two registrars do not reach each other; everybody else reaches both."""
    one, other = world.random.sample(world.nodes, 2)
    world.network.cut(one.host, other.host)
    if world.random.random() < 0.5:
        world.clock.after(world.random.uniform(0.1, left), world.network.heal)


def element_is_cut_off(world: World, left: float) -> None:
    """Some elements do not reach some registrars."""
    for element in world.random.sample(world.elements, min(5, len(world.elements))):
        world.network.cut(element.host, world.random.choice(world.nodes).host)
    if world.random.random() < 0.5:
        world.clock.after(world.random.uniform(0.1, left), world.network.heal)


def associations_are_lost(world: World, left: float) -> None:
    for _ in range(world.random.randint(1, 5)):
        node = world.random.choice(world.nodes)
        for endpoint in node.endpoints():
            world.network.lose(endpoint, 3.0)


def elements_die(world: World, left: float) -> None:
    for element in world.random.sample(world.elements, world.random.randint(1, len(world.elements) // 2)):
        if world.random.random() < 0.3:
            element.leave()
        else:
            element.stop(silently=world.random.random() < 0.5)
        if world.random.random() < 0.6:
            world.clock.after(world.random.uniform(0.01, left), world.restart, element)


def elements_freeze(world: World, left: float) -> None:
    for element in world.random.sample(world.elements, world.random.randint(1, len(world.elements) // 2)):
        element.freeze()
        world.clock.after(world.random.uniform(0.1, left), element.thaw)


def loads_change(world: World, left: float) -> None:
    for element in world.elements:
        for _ in range(world.random.randint(0, 4)):
            world.clock.after(world.random.uniform(0, left), element.load, world.random.randrange(1, 1000))


DISTURBANCES: dict[str, Callable[[World, float], None]] = {
    "a registrar dies": registrar_dies,
    "two registrars start at once": twins_start,
    "a registrar stands still": registrar_stands_still,
    "a clock leaps": clock_leaps,
    "a partition": partition,
    "a link breaks": link_breaks,
    "elements are cut off": element_is_cut_off,
    "associations are lost": associations_are_lost,
    "elements die": elements_die,
    "elements freeze": elements_freeze,
    "loads change": loads_change,
}
