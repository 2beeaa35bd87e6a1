"""Azurite's helper leaves no process behind."""

import socket

import pytest

from tests.support.azurite import missing, running_azurite


@pytest.mark.skipif(bool(missing()), reason=missing() or "present")
def test_azurite_is_gone_when_its_block_ends() -> None:
    with running_azurite() as azurite:
        assert listens(azurite.port)
    assert not listens(azurite.port)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
