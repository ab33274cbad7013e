"""Which transport is taken, why, and what is said where none can be."""

import importlib
from unittest import mock

import pytest

from rserpool.transport.choose import choose
from rserpool.transport.interface import TransportUnavailable

# The function of the same name hides the module.
module = importlib.import_module("rserpool.transport.choose")


def test_usrsctp_where_the_kernel_has_none() -> None:
    with mock.patch.object(module, "kernel_has_sctp", return_value=False):
        transport, reason = choose()
        assert transport.name == "usrsctp"
        assert "this kernel has no SCTP" in reason
        with pytest.raises(TransportUnavailable, match="modprobe sctp"):
            choose("kernel")


def test_the_kernel_where_it_has_sctp_and_pysctp_is_there() -> None:
    with mock.patch.object(module, "kernel_has_sctp", return_value=True):
        if module._has("sctp"):
            assert choose()[0].name == "kernel"
        with mock.patch.object(module, "_has", lambda name: name != "sctp"):
            transport, reason = choose()
            assert transport.name == "usrsctp"
            assert "pysctp is missing" in reason
            with pytest.raises(TransportUnavailable, match="pip install"):
                choose("kernel")


def test_nothing_at_all_is_one_line() -> None:
    missing = ImportError("libusrsctp.so.2: cannot open shared object file")
    with (
        mock.patch.object(module, "kernel_has_sctp", return_value=False),
        mock.patch.object(importlib, "import_module", side_effect=missing),
        pytest.raises(TransportUnavailable, match="install libusrsctp") as caught,
    ):
        choose()
    assert "\n" not in str(caught.value)


def test_asked_for_by_name() -> None:
    assert choose("usrsctp")[0].name == "usrsctp"
    with pytest.raises(ValueError, match="no such transport"):
        choose("pigeon")
