"""Which addresses a host name given by a user may resolve to.

A host that a user names could point at this machine, its neighbours or a cloud's
metadata service (server-side request forgery). The guard resolves the name once,
refuses any address that is not globally reachable unless its network is allowed,
and hands back the very addresses that were checked: the connection is made to
those, so a second look-up cannot change the answer (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from mailhub.mail.errors import HostNotAllowed, HostNotFound

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# NAT64 and 6to4 carry an IPv4 address inside an IPv6 one (RFC 6052, RFC 3056).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# What `is_global` lets through in some versions of Python, and must not be reached.
_REFUSED: tuple[IPNetwork, ...] = (
    ipaddress.IPv4Network("168.63.129.16/32"),  # the platform service of a large cloud
    ipaddress.IPv4Network("192.0.0.0/24"),  # IETF assignments; metadata of another cloud
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible addresses, RFC 4291 section 2.5.5.1
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 for local use, RFC 8215
    ipaddress.IPv6Network("fec0::/10"),  # site-local addresses, RFC 3879
)
# A name with more addresses than this is no mail server's.
_MOST_TRIED = 8


@dataclass(frozen=True, slots=True)
class HostGuard:
    """Refuses loopback, link-local, private and metadata addresses.

    `allowed_networks` are private networks that may be reached all the same.
    """

    allowed_networks: tuple[IPNetwork, ...] = ()

    @classmethod
    def allowing(cls, networks: list[str]) -> HostGuard:
        """A guard that also lets these CIDR networks through; ValueError on a bad one."""
        return cls(tuple(ipaddress.ip_network(network, strict=False) for network in networks))

    def permits(self, address: IPAddress) -> bool:
        """Whether a connection to this address may be made."""
        inner = _embedded_ipv4(address)
        if inner is not None:
            return self.permits(inner)
        if _within(address, self.allowed_networks):
            return True
        if _within(address, _REFUSED):
            return False
        return address.is_global and not address.is_multicast

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of `host`, checked, in the order to try them.

        Raises HostNotFound where the name has none, HostNotAllowed where any of them
        is not permitted (one bad address among good ones is an attack, not an accident).
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, ValueError) as error:
            # A ValueError is a NUL character or a label that cannot be encoded.
            raise HostNotFound(f"The host {host} could not be found.") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for text in addresses:
            if not self.permits(ipaddress.ip_address(text.partition("%")[0])):
                raise HostNotAllowed(f"The host {host} points at a private address.")
        return addresses

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """A TCP connection to one of the checked addresses.

        Raises HostNotFound, HostNotAllowed, or the last OSError of the addresses tried.
        """
        failure: OSError | None = None
        for address in self.resolve(host, port)[:_MOST_TRIED]:
            try:
                return socket.create_connection((address, port), timeout)
            except OSError as error:
                failure = error
        raise failure or OSError(f"no address for {host}")


def _within(address: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _embedded_ipv4(address: IPAddress) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.sixtofour
