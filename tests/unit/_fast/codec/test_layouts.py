"""The installation of the record classes in the core."""

import dataclasses
import subprocess
import sys

import pytest

from rserpool import messages as m
from rserpool._fast.codec import layouts
from rserpool.messages.parameters import PARAMETERS

RECORDS: tuple[type, ...] = (*PARAMETERS, *m.ASAP_MESSAGES, *m.ENRP_MESSAGES)


def test_every_record_has_its_layout() -> None:
    assert sorted(record.__name__ for record in RECORDS) == sorted(name for name, _ in layouts.NAMES)
    for name, fields in layouts.NAMES:
        record = getattr(m, name)
        assert {field.name for field in dataclasses.fields(record)} == set(fields)


def test_record_class_with_other_fields_is_refused() -> None:
    other = dataclasses.make_dataclass("DCCPTransport", ["port"], frozen=True, slots=True)
    with pytest.raises(TypeError, match="DCCPTransport"):
        layouts.install([other, *(record for record in RECORDS if record is not m.DCCPTransport)])


def test_unknown_record_class_is_refused() -> None:
    with pytest.raises(TypeError, match="Surprise"):
        layouts.install([*RECORDS, dataclasses.make_dataclass("Surprise", [])])


def test_core_without_the_records_names_the_missing_module() -> None:
    code = "from rserpool._fast.codec import decode; decode.decode(bytes.fromhex('0a00000800000001'), 'asap')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "LocalProtocolError: rserpool.messages has not been imported" in run.stderr
