"""The registrar's statistics in rsplib's formats: a line now and then, and totals with time averages at the end."""

from dataclasses import astuple, dataclass, fields

from rserpool.messages import HandleTableRequest, HandleUpdate
from rserpool.registrar.instruments.observers import Channel, Sizes, Totals

HEADER = (
    "AbsTime RelTime Runtime UserTime SystemTime   Peers Pools PoolElements OwnedPoolElements   Registrations "
    "Reregistrations Deregistrations HandleResolutions FailureReports Synchronizations HandleUpdates "
    "EndpointKeepAlives\n"
)
TOTAL_NAMES = (
    "Registrations",
    "Reregistrations",
    "Deregistrations",
    "Handle Resolutions",
    "Failure Reports",
    "Synchronizations",
    "Handle Updates",
    "Endpoint Keep Alives",
)
AVERAGE_NAMES = {"pools": "Pools", "elements": "Pool Elements", "owned": "Owned Pool Elements", "peers": "Peers"}


@dataclass(slots=True)
class PeerTraffic:
    """An observer that counts what peer registrars asked of this one."""

    synchronizations: int = 0
    """Requests for the handle table."""
    handle_updates: int = 0

    def sent(self, channel: Channel, data: bytes) -> None:
        """See Observer; only what comes in counts."""

    def received(self, channel: Channel, data: bytes) -> None:
        """See Observer."""
        if channel is Channel.ENRP and data:
            self.synchronizations += data[0] == HandleTableRequest.TYPE
            self.handle_updates += data[0] == HandleUpdate.TYPE

    def settled(self) -> None:
        """See Observer; sizes do not matter here."""


class Averages:
    """Time-weighted averages of sizes. Times are in seconds, of a clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._began = self._since = now
        self._sizes = Sizes(peers=0, pools=0, elements=0, owned=0)
        self._areas = dict.fromkeys(AVERAGE_NAMES, 0.0)

    def hold(self, sizes: Sizes, now: float) -> None:
        """From now on the sizes are these."""
        for name in self._areas:
            self._areas[name] += getattr(self._sizes, name) * (now - self._since)
        self._sizes, self._since = sizes, now

    def read(self, now: float) -> dict[str, float]:
        """The averages from the beginning to now, by field of Sizes."""
        self.hold(self._sizes, now)
        lasted = now - self._began
        return {name: area / lasted if lasted > 0 else 0.0 for name, area in self._areas.items()}


def totals_in_order(totals: Totals, traffic: PeerTraffic) -> tuple[int, ...]:
    """All totals in the order of TOTAL_NAMES."""
    counted = {field.name: getattr(totals, field.name) for field in fields(totals)}
    keep_alives = counted.pop("keep_alives")
    return (*counted.values(), *astuple(traffic), keep_alives)


def line(absolute: float, relative: float, cpu: tuple[float, float], sizes: Sizes, totals: tuple[int, ...]) -> str:
    """One line of the statistics file without its number. ``cpu``: seconds in user and in system mode."""
    user, system = cpu
    now = f"{sizes.peers} {sizes.pools} {sizes.elements} {sizes.owned}"
    so_far = " ".join(map(str, totals))
    return f"{absolute:.6f} {relative:.6f}   {user + system:.6f} {user:.6f} {system:.6f}   {now}   {so_far}"


def scalars(run: int, object_name: str, totals: tuple[int, ...], averages: dict[str, float]) -> str:
    """The scalar file's lines of one run."""
    name = object_name.replace("\\", "\\\\").replace('"', '\\"')

    def total(label: str, number: int) -> str:
        quoted = f'"Registrar Total {label}"'
        return f'scalar "{name}" {quoted}{number:{47 - len(quoted)}d}\n'

    def average(label: str, number: float) -> str:
        quoted = f'"Registrar Average Number Of {label}"'
        return f'scalar "{name}" {quoted:49} {number:.6f}\n'

    lines = [f'run {run} "scenario"\n']
    lines += [total(label, number) for label, number in zip(TOTAL_NAMES, totals, strict=True)]
    lines += [average(label, averages[key]) for key, label in AVERAGE_NAMES.items()]
    return "".join(lines)
