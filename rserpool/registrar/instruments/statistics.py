"""The registrar's statistics in rsplib's formats: periodic lines, and totals with time averages at the end."""

from dataclasses import astuple, dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much the registrar holds at this moment."""

    peers: int
    pools: int
    elements: int
    owned: int
    """Pool elements whose home is this registrar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts since the registrar's start, in the order of TOTAL_NAMES."""

    registrations: int
    """Accepted ones, re-registrations included."""
    reregistrations: int
    deregistrations: int
    handle_resolutions: int
    failure_reports: int
    synchronizations: int
    """Requests of peers for the handle table."""
    handle_updates: int
    keep_alives: int


class Averages:
    """Time-weighted averages of sizes. Times are seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self._began = self._since = now
        self._sizes = Sizes(peers=0, pools=0, elements=0, owned=0)
        self._areas = dict.fromkeys(AVERAGE_NAMES, 0.0)

    def hold(self, sizes: Sizes, now: float) -> None:
        """Set the sizes from ``now`` on."""
        for name in self._areas:
            self._areas[name] += getattr(self._sizes, name) * (now - self._since)
        self._sizes, self._since = sizes, now

    def read(self, now: float) -> dict[str, float]:
        """The averages from the start until ``now``, by field of Sizes."""
        self.hold(self._sizes, now)
        duration = now - self._began
        return {name: area / duration if duration > 0 else 0.0 for name, area in self._areas.items()}


def line(absolute: float, relative: float, cpu: tuple[float, float], sizes: Sizes, totals: Totals) -> str:
    """One line of the statistics file without its number. ``cpu``: seconds in user and system mode."""
    user, system = cpu
    now = f"{sizes.peers} {sizes.pools} {sizes.elements} {sizes.owned}"
    so_far = " ".join(map(str, astuple(totals)))
    return f"{absolute:.6f} {relative:.6f}   {user + system:.6f} {user:.6f} {system:.6f}   {now}   {so_far}"


def scalars(run: int, object_name: str, totals: Totals, averages: dict[str, float]) -> str:
    """The scalar file's lines of one run."""
    name = object_name.replace("\\", "\\\\").replace('"', '\\"')

    def total(label: str, number: int) -> str:
        quoted = f'"Registrar Total {label}"'
        return f'scalar "{name}" {quoted}{number:{47 - len(quoted)}d}\n'

    def average(label: str, number: float) -> str:
        quoted = f'"Registrar Average Number Of {label}"'
        return f'scalar "{name}" {quoted:49} {number:.6f}\n'

    lines = [f'run {run} "scenario"\n']
    lines += [total(label, number) for label, number in zip(TOTAL_NAMES, astuple(totals), strict=True)]
    lines += [average(label, averages[key]) for key, label in AVERAGE_NAMES.items()]
    return "".join(lines)
