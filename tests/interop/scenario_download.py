"""Downloads a file over kernel SCTP while elements and registrars are killed (tests.support.killing).

RSERPOOL_DOWNLOAD_OCTETS sets the file's size.
"""

from tests.interop.guest import finding, out_directory
from tests.interop.network import Network, address
from tests.interop.peers import ASAP_PORT
from tests.interop.registrars import ENRP_PORT
from tests.support import killing
from tests.support.prepared import Prepared, Program

CAPTURED = f"sctp and (port {ASAP_PORT} or port {ENRP_PORT})"
"""Captures ASAP and ENRP, but not the file."""
REGISTRARS, ELEMENTS, USER = (1, 2), (3, 4, 5, 6), 7


def main() -> None:
    with Network(out_directory(), captured=CAPTURED) as net, Prepared(out_directory()) as prepared:

        def start(tag: str, host: int, module: str, arguments: list[str]) -> Program:
            return prepared.start(tag, module, arguments, f"/run/netns/h{host}")

        for host in (*REGISTRARS, *ELEMENTS, USER):
            net.host(host)
        plan = killing.Plan(
            registrars={host: f"{address(host)}:{ASAP_PORT}" for host in REGISTRARS},
            peers={host: f"{address(host)}:{ENRP_PORT}" for host in REGISTRARS},
            elements=ELEMENTS,
            user=USER,
            options=("--transport=kernel",),
            size=killing.SIZE,
            rate=killing.RATE,
        )
        scene = None
        with finding("ready"):
            scene = killing.Scene(plan, start)
        if scene is None:
            return
        with finding("download") as found:
            found |= killing.outcome(scene, scene.download())


if __name__ == "__main__":
    main()
