//! The kernel's tables of TCP sockets (`/proc/net/tcp`, `/proc/net/tcp6`; proc(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cloud::cluster::Listeners;

/// The state LISTEN (TCP_LISTEN in the kernel's tcp_states.h).
const LISTEN: &str = "0A";

/// What listens, by one or both tables one after the other. None: this is no such table.
///
/// The text comes out of a program in the container: whatever it is, it yields port numbers or nothing.
pub(super) fn listeners(text: &str) -> Option<Listeners> {
    if !text.lines().any(|line| line.trim_start().starts_with("sl ") && line.contains("local_address")) {
        return None;
    }
    let mut found = Listeners { complete: true, ..Listeners::default() };
    for (address, port) in text.lines().filter_map(listening) {
        let ports = if is_loopback(address) { &mut found.loopback } else { &mut found.open };
        ports.push(port);
    }
    found.open.sort_unstable();
    found.open.dedup();
    found.loopback.sort_unstable();
    found.loopback.dedup();
    // Reached from outside by another socket: then the one on loopback does not matter.
    found.loopback.retain(|port| !found.open.contains(port));
    Some(found)
}

/// `0: 0100007F:1F90 00000000:0000 0A …`: number, local address, remote address, state.
fn listening(line: &str) -> Option<(IpAddr, u16)> {
    let mut fields = line.split_ascii_whitespace();
    let (_, local, _, state) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some((ip(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// Words of 32 bits in the machine's own order of bytes: little-endian on every architecture that images are made for
/// but s390x. Loopback is told apart for both orders.
fn ip(text: &str) -> Option<IpAddr> {
    let bytes = hex::decode(text).ok()?;
    let in_order: Vec<u8> = bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    match in_order.len() {
        4 => <[u8; 4]>::try_from(in_order).ok().map(|octets| Ipv4Addr::from(octets).into()),
        16 => <[u8; 16]>::try_from(in_order).ok().map(|octets| Ipv6Addr::from(octets).to_canonical()),
        _ => None,
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n   \
        1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n   \
        2: 0A58F40A:0051 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0\n   \
        3: 0A58F40A:9C40 0B58F40A:0050 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1\n";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue\n   \
        0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000\n   \
        1: 00000000000000000000000001000000:2328 00000000000000000000000000000000:0000 0A 00000000:00000000\n   \
        2: 0000000000000000FFFF00000100007F:1389 00000000000000000000000000000000:0000 0A 00000000:00000000\n   \
        3: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 01 00000000:00000000\n";

    #[test]
    fn sockets_that_listen_are_told_by_whom_they_hear() {
        let both = listeners(&format!("{TCP}{TCP6}")).unwrap();
        assert_eq!(both, Listeners { open: vec![80, 81, 3000], loopback: vec![5001, 8080, 9000], complete: true });
        assert_eq!(listeners(TCP).unwrap().loopback, [8080]);
        assert_eq!(listeners(TCP6).unwrap().open, [3000]);
    }

    #[test]
    fn a_port_that_is_open_once_is_open() {
        let both = format!("{TCP}   9: 0100007F:0050 00000000:0000 0A 0\n");
        let found = listeners(&both).unwrap();
        assert!(found.open.contains(&80) && !found.loopback.contains(&80), "{found:?}");
    }

    #[test]
    fn nothing_listening_is_not_the_same_as_no_table() {
        let header = TCP.lines().next().unwrap();
        assert_eq!(listeners(header), Some(Listeners { complete: true, ..Listeners::default() }));
        for text in ["", "cat: can't open '/proc/net/tcp'", "0: 00000000:0050 00000000:0000 0A", "<script>"] {
            assert_eq!(listeners(text), None, "{text}");
        }
        let odd =
            format!("{header}\n 0: zz:50 x 0A\n 1: 00:0050 x 0A\n 2: 00000000:FFFFF x 0A\n 3:\n 4: 00000000 x 0A");
        assert_eq!(listeners(&odd), Some(Listeners { complete: true, ..Listeners::default() }));
    }
}
