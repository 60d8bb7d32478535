"""Which addresses belong to the inside of a network: this machine, its neighbours, what no name should lead to. Pure."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Where unicast addresses of the internet are given out from; the rest is reserved, local or multicast.
_GLOBAL_IPV6 = IPv6Network("2000::/3")
# Carries an IPv4 address in its last 32 bits, which a translator connects to.
_NAT64 = IPv6Network("64:ff9b::/96")
# Clouds give credentials to whoever asks there. Link-local addresses, the usual place, are told by their kind.
_METADATA = tuple(ip_network(text) for text in ("100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128"))
# For protocols, not for hosts; some versions of Python call most of it global.
_PROTOCOLS = ip_network("192.0.0.0/24")


def meant_by(address: Address) -> Address:
    """The IPv4 address that an IPv6 address carries, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


def is_outside(address: Address) -> bool:
    """Whether it is an address of the internet, for everybody the same."""
    meant = meant_by(address)
    if meant.is_multicast or not meant.is_global or meant in _PROTOCOLS:
        return False
    return isinstance(meant, IPv4Address) or meant in _GLOBAL_IPV6


def is_usual(address: Address) -> bool:
    """Whether a name that somebody trusts may lead there: no link-local address, no place of credentials, no group."""
    meant = meant_by(address)
    odd = meant.is_link_local or meant.is_multicast or meant.is_unspecified
    return not odd and not any(meant in network for network in _METADATA)


def address_of(text: str) -> Address:
    """From what a resolver says: an IPv6 address may have its interface behind it. Raises ValueError."""
    return ip_address(text.partition("%")[0])
