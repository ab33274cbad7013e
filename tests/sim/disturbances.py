"""The disturbances of a world: functions of the world and of the seconds left in the phase."""

from collections.abc import Callable

from tests.sim.member import Member
from tests.sim.world import World


def registrar_dies(world: World, left: float) -> None:
    running = world.model.running()
    if running:
        node = world.random.choice(running)
        node.stop(silently=world.random.random() < 0.5)
        if world.random.random() < 0.6:
            world.clock.after(world.random.uniform(0.01, left), world.start, node)


def twins_start(world: World, left: float) -> None:
    """Start two registrars at the same instant, possibly with the same identifier."""
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
    leaps = world.random.choice([*world.nodes, *world.clients])
    leaps.leap(world.random.uniform(1, 600))


def partition(world: World, left: float) -> None:
    """Split the registrars into two groups, and put each element into one of them."""
    for one in [*world.nodes, *world.elements, *world.users]:
        one.host.group = world.random.randrange(2)
    world.network.links_changed()
    if world.random.random() < 0.6:
        world.clock.after(world.random.uniform(0.1, left), world.network.heal)


def link_breaks(world: World, left: float) -> None:
    """Cut the link between two registrars; all others reach both."""
    one, other = world.random.sample(world.nodes, 2)
    world.network.cut(one.host, other.host)
    if world.random.random() < 0.5:
        world.clock.after(world.random.uniform(0.1, left), world.network.heal)


def element_is_cut_off(world: World, left: float) -> None:
    """Cut some elements off from some registrars."""
    for element in world.random.sample(world.elements, min(5, len(world.elements))):
        world.network.cut(element.host, world.random.choice(world.nodes).host)
    if world.random.random() < 0.5:
        world.clock.after(world.random.uniform(0.1, left), world.network.heal)


def associations_are_lost(world: World, left: float) -> None:
    for _ in range(world.random.randint(1, 5)):
        node = world.random.choice([*world.nodes, *world.users])
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


def users_die(world: World, left: float) -> None:
    for user in world.users:
        if world.random.random() < 0.5:
            user.stop(silently=world.random.random() < 0.5)
            world.clock.after(world.random.uniform(0.01, left), user.start)


def users_freeze(world: World, left: float) -> None:
    for user in world.users:
        if world.random.random() < 0.5:
            user.stand_still()
            world.clock.after(world.random.uniform(0.1, left), user.go_on)


def users_are_cut_off(world: World, left: float) -> None:
    """Cut users off from some elements that their registrars reach."""
    for user in world.users:
        for element in world.random.sample(world.elements, world.random.randint(1, len(world.elements) // 2)):
            world.network.cut(user.host, element.host)
    if world.random.random() < 0.5:
        world.clock.after(world.random.uniform(0.1, left), world.network.heal)


def sessions_move(world: World, left: float) -> None:
    """Let applications close their sessions or ask for other elements, and let elements close theirs."""
    for user in world.users:
        for caller in user.callers:
            what = world.random.choice((caller.force, caller.force, caller.finish))
            world.clock.after(world.random.uniform(0, left), user.ask, what)
    for element in world.elements:
        if isinstance(element, Member) and world.random.random() < 0.3:
            world.clock.after(world.random.uniform(0, left), element.client.ask, element.service.end_one)


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
    "users die": users_die,
    "users freeze": users_freeze,
    "users are cut off": users_are_cut_off,
    "sessions move": sessions_move,
}
