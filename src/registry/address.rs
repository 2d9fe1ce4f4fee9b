//! Which addresses a registry may be at: what a person typed must never make the portal knock at its own machine, its
//! neighbours, or a cloud's metadata service.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// IANA's IPv4 special-purpose registry (<https://www.iana.org/assignments/iana-ipv4-special-registry>), whether marked
/// as globally reachable or not: none of it is where a registry lives.
const SPECIAL_V4: [Ipv4Net; 20] = [
    v4(0, 0, 0, 0, 8),        // this network
    v4(10, 0, 0, 0, 8),       // private
    v4(100, 64, 0, 0, 10),    // carrier-grade NAT; a cloud's metadata service is at 100.100.100.200
    v4(127, 0, 0, 0, 8),      // loopback
    v4(168, 63, 129, 16, 32), // not IANA's: a cloud's service for its own machines
    v4(169, 254, 0, 0, 16),   // link-local, metadata services
    v4(172, 16, 0, 0, 12),    // private
    v4(192, 0, 0, 0, 24),     // protocol assignments; a cloud's metadata service is at 192.0.0.192
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 31, 196, 0, 24),  // AS112
    v4(192, 52, 193, 0, 24),  // AMT
    v4(192, 88, 99, 0, 24),   // 6to4 relays
    v4(192, 168, 0, 0, 16),   // private
    v4(192, 175, 48, 0, 24),  // AS112
    v4(198, 18, 0, 0, 15),    // benchmarks
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 4),      // multicast (IANA's multicast registry)
    v4(240, 0, 0, 0, 4),      // reserved
    v4(255, 255, 255, 255, 32),
];

/// All that IANA has given out for global unicast (<https://www.iana.org/assignments/ipv6-address-space>). What lies
/// outside is loopback, unspecified, IPv4-mapped, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), discard-only, SRv6, unique
/// local, link-local, site-local, multicast, or not assigned.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// IANA's IPv6 special-purpose registry (<https://www.iana.org/assignments/iana-ipv6-special-registry>) inside of
/// [`GLOBAL_V6`].
const SPECIAL_V6: [Ipv6Net; 5] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, ORCHID, benchmarks and more
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4: holds an IPv4 address
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

/// Whether a registry may be at this address: a global unicast address of no special purpose.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// A name's addresses without those that no registry may be at.
fn public_only(name: &str, found: impl Iterator<Item = SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
    if public.is_empty() {
        let message = format!("{name} has no public address");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(public)
}

/// The system's resolver, whose answers are filtered at the moment of connecting: a name that is public when it is
/// looked at and private when it is connected to gains nothing.
pub(super) struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public = public_only(name.as_str(), found)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_pass() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "44.205.64.79",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::6810:84e5",
            "2600:1f18:2148:bc02::1",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn special_addresses_do_not() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    /// What the standard library knows of special purposes agrees, for addresses in and at the edges of every range and
    /// anywhere; and an IPv6 address never smuggles an IPv4 one.
    #[test]
    fn no_special_address_passes() {
        let mut random = rand::rngs::StdRng::seed_from_u64(20);
        let mut samples: Vec<Ipv4Addr> = (0..200_000).map(|_| Ipv4Addr::from(random.random::<u32>())).collect();
        for network in SPECIAL_V4 {
            let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
            for inside in [first, last, random.random_range(first..=last)] {
                assert!(!is_public(Ipv4Addr::from(inside).into()), "{network}");
                samples.push(inside.into());
            }
            samples.extend([first.wrapping_sub(1), last.wrapping_add(1)].map(Ipv4Addr::from));
        }
        for v4 in samples {
            let special = v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_unspecified()
                || v4.octets()[0] == 0
                || v4.octets()[0] >= 240
                || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64);
            assert!(!(special && is_public(v4.into())), "{v4}");
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for smuggler in [
                v4.to_ipv6_mapped(),
                v4.to_ipv6_compatible(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
            ] {
                assert!(!is_public(smuggler.into()), "{smuggler} ({v4})");
            }
        }
        for _ in 0..200_000 {
            let v6 = Ipv6Addr::from(random.random::<u128>());
            let special = v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local();
            assert!(!(special && is_public(v6.into())), "{v6}");
        }
    }

    #[test]
    fn of_a_names_addresses_the_public_ones_are_left() {
        let found = |list: &[&str]| list.iter().map(|text| SocketAddr::new(address(text), 0)).collect::<Vec<_>>();
        let mixed = found(&["127.0.0.1", "1.1.1.1", "fd00::1", "2606:4700::1"]);
        assert_eq!(public_only("x", mixed.into_iter()).unwrap(), found(&["1.1.1.1", "2606:4700::1"]));
        for none in [found(&["127.0.0.1", "::1"]), found(&["169.254.169.254"]), found(&[])] {
            assert!(public_only("x", none.into_iter()).is_err());
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused() {
        let refused = PublicResolver.resolve("localhost".parse().unwrap()).await;
        assert!(refused.err().unwrap().to_string().contains("no public address"));
    }
}
