"""Which addresses a user's host name may lead to."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from mailhub.mail.errors import HostNotAllowed, HostNotFound
from mailhub.mail.host_guard import HostGuard

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "64:ff9b:1:a9fe:a9:fe00::",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2001::1",
    "2001:db8::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_refuses_what_is_not_public(address: str) -> None:
    assert not HostGuard().permits(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_lets_public_addresses_through(address: str) -> None:
    assert HostGuard().permits(ip_address(address))


def test_lets_an_allowed_network_through_in_every_writing() -> None:
    guard = HostGuard.allowing(["10.0.0.0/8", "fd00::/8"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::1"):
        assert guard.permits(ip_address(address)), address
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fe80::1"):
        assert not guard.permits(ip_address(address)), address


def test_an_allowed_network_is_checked_when_made() -> None:
    with pytest.raises(ValueError, match="not-a-network"):
        HostGuard.allowing(["not-a-network"])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "localhost", "::1", "0"]
)
def test_refuses_every_way_to_write_this_machine(host: str) -> None:
    with pytest.raises(HostNotAllowed):
        HostGuard().resolve(host, 25)


@pytest.mark.parametrize(
    "host", ["", "no such host", "a" * 70 + ".example", "x\0y", "nowhere.invalid"]
)
def test_a_name_that_is_none_is_not_found(host: str) -> None:
    with pytest.raises(HostNotFound):
        HostGuard().resolve(host, 25)


def test_connects_to_the_address_that_was_checked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        guard = HostGuard.allowing(["127.0.0.0/8"])
        with guard.connect("127.0.0.1", port, 5) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)
        with pytest.raises(HostNotAllowed):
            HostGuard().connect("127.0.0.1", port, 5)
        listener.settimeout(5)
        accepted, _ = listener.accept()
        accepted.close()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_refused_connection_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        HostGuard.allowing(["127.0.0.0/8"]).connect("127.0.0.1", port, 5)
