"""TCP connections with an SSL context: plaintext for handlers and lanes, ciphertext on the wire."""

import ssl

import pytest

from rserpool.transport.tcp.endpoint import TcpTransport
from tests.unit.transport.conftest import Run
from tests.unit.transport.support import HOST, Recorder, message
from tests.unit.transport.tcp.test_endpoint import REQUEST, lane_of_one_pool

pytestmark = pytest.mark.needs_tcp


def context(protocol: int) -> ssl.SSLContext:
    """A context that needs no certificates, with anonymous key exchange. For tests only."""
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
    return made


def test_lanes_and_handlers_see_plaintext_of_encrypted_connections(run: Run) -> None:
    async def main() -> None:
        made = TcpTransport(server_tls=context(ssl.PROTOCOL_TLS_SERVER), client_tls=context(ssl.PROTOCOL_TLS_CLIENT))
        at_server, at_client = Recorder(echo=True), Recorder()
        server = await made.endpoint(at_server, addresses=[HOST])
        client = await made.endpoint(at_client, listen=False)
        assoc = client.connect([HOST], server.port)
        await at_client.until(lambda: assoc in at_client.up)
        await at_server.until(lambda: bool(at_server.up))
        server.attach(next(iter(at_server.up)), lane_of_one_pool())
        for number, data in enumerate((REQUEST, message(16), REQUEST), 1):
            client.send(assoc, data, 11)
            await at_client.until(lambda number=number: len(at_client.messages) == number)  # type: ignore[misc]
        answer = lane_of_one_pool().answer(REQUEST, 0)
        assert [data for _, data, _ in at_client.messages] == [answer, message(16), answer]
        assert len(at_server.messages) == 1
        assert server._joined_reader is None
        await made.stop()

    run(main())
