"""Choosing a transport, the reason given, and the error if there is none."""

import importlib
from unittest import mock

import pytest

from rserpool.transport.choose import choose
from rserpool.transport.interface import TransportUnavailable

# The function of the same name hides the module.
module = importlib.import_module("rserpool.transport.choose")


def test_usrsctp_is_chosen_without_kernel_sctp_or_pysctp() -> None:
    with mock.patch.object(module, "kernel_has_sctp", return_value=False):
        transport, reason = choose()
        assert transport.name == "usrsctp"
        assert "this kernel has no SCTP" in reason
        with pytest.raises(TransportUnavailable, match="modprobe sctp"):
            choose("kernel")


def test_the_kernel_is_chosen_if_it_has_sctp_and_pysctp_is_installed() -> None:
    with mock.patch.object(module, "kernel_has_sctp", return_value=True):
        if module._has("sctp"):
            assert choose()[0].name == "kernel"
        with mock.patch.object(module, "_has", lambda name: name != "sctp"):
            transport, reason = choose()
            assert transport.name == "usrsctp"
            assert "pysctp is missing" in reason
            with pytest.raises(TransportUnavailable, match="pip install"):
                choose("kernel")


def test_a_missing_transport_is_explained_in_one_line() -> None:
    missing = ImportError("libusrsctp.so.2: cannot open shared object file")
    with (
        mock.patch.object(module, "kernel_has_sctp", return_value=False),
        mock.patch.object(importlib, "import_module", side_effect=missing),
        pytest.raises(TransportUnavailable, match="install libusrsctp") as caught,
    ):
        choose()
    assert "\n" not in str(caught.value)


def test_a_transport_can_be_requested_by_name() -> None:
    assert choose("usrsctp")[0].name == "usrsctp"
    with pytest.raises(ValueError, match="no such transport"):
        choose("pigeon")
