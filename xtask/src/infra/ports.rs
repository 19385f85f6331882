//! Free ports on the loopback address.

use anyhow::{Result, bail};
use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

/// Below what Linux hands out to outgoing connections, so that nobody takes a port while its server restarts.
const FIRST: u16 = 20_000;
/// How many ports are tried from there.
const COUNT: u16 = 12_000;

/// Finds ports that nobody listens on and that differ from each other.
pub(crate) fn free<const N: usize>() -> Result<[u16; N]> {
    // Two runs that start together should not try the same ports.
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let offset = moment.wrapping_add(process::id().wrapping_mul(7919)) % u32::from(COUNT);
    let mut held = Vec::with_capacity(N);
    for step in 0..u32::from(COUNT) {
        let Ok(distance) = u16::try_from((offset + step) % u32::from(COUNT)) else { continue };
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + distance)) else { continue };
        held.push((FIRST + distance, listener));
        if held.len() == N {
            let mut ports = [0; N];
            for (port, (found, _)) in ports.iter_mut().zip(&held) {
                *port = *found;
            }
            return Ok(ports);
        }
    }
    bail!("fewer than {N} free ports between {FIRST} and {}", FIRST + COUNT)
}

#[cfg(test)]
mod tests {
    use super::free;

    #[test]
    fn free_ports_differ_from_each_other() {
        let mut ports = free::<5>().unwrap().to_vec();
        ports.dedup();
        assert_eq!(ports.len(), 5);
    }
}
