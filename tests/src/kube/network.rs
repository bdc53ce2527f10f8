//! A node's network: a bridge, and a network namespace with an address of its own for each pod.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::Failure;
use crate::process::run;

/// Begins the name of every interface and namespace here, before the process that made it.
const PREFIX: &str = "cv";

/// First two bytes of all addresses here.
const RANGE: [u8; 2] = [10, 213];

/// Of a bridge's addresses the first is the node's and the next are Services'; pods count up from here and never get one again.
const FIRST_POD: u8 = 10;

/// Networks of this process, for their names.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A bridge. Dropping it removes it.
#[derive(Debug)]
pub struct Network {
    bridge: String,
    subnet: u8,
    next: AtomicU8,
}

impl Network {
    /// Makes one, after removing what processes that are gone have left.
    pub fn create() -> Result<Self, Failure> {
        sweep();
        let taken = run("ip", &["-4", "-o", "address"])?;
        let is_free = |subnet: &u8| !taken.contains(&format!(" {}.{}.{subnet}.", RANGE[0], RANGE[1]));
        let subnet = (1..=250).find(is_free).ok_or("no subnet is free")?;
        let turn = MADE.fetch_add(1, Ordering::Relaxed);
        let bridge = format!("{PREFIX}{:x}x{turn}", std::process::id());
        let network = Self { bridge, subnet, next: AtomicU8::new(FIRST_POD) };
        run("ip", &["link", "add", &network.bridge, "type", "bridge"])?;
        run("ip", &["address", "add", &format!("{}/24", network.node()), "dev", &network.bridge])?;
        run("ip", &["link", "set", &network.bridge, "up"])?;
        Ok(network)
    }

    /// The node's own address, from which its kubelet probes.
    pub fn node(&self) -> Ipv4Addr {
        Ipv4Addr::new(RANGE[0], RANGE[1], self.subnet, 1)
    }

    /// An address that is not in use, for the Service of that place in the render.
    pub fn virtual_address(&self, place: u8) -> Ipv4Addr {
        assert!(place < FIRST_POD - 2, "no address is left for a Service");
        Ipv4Addr::new(RANGE[0], RANGE[1], self.subnet, 2 + place)
    }

    /// A namespace with a fresh address: a pod that is made anew gets another one, as in a cluster.
    pub fn attach(&self) -> Result<Namespace, Failure> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let link = format!("{}-{number}", self.bridge);
        let address = Ipv4Addr::new(RANGE[0], RANGE[1], self.subnet, number);
        let namespace = Namespace { name: link.clone(), link, address };
        let (name, link) = (&namespace.name, &namespace.link);
        run("ip", &["netns", "add", name])?;
        run("ip", &["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        run("ip", &["link", "set", link, "master", &self.bridge, "up"])?;
        run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        run("ip", &["-n", name, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        run("ip", &["-n", name, "link", "set", "eth0", "up"])?;
        Ok(namespace)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = run("ip", &["link", "delete", &self.bridge]);
    }
}

/// A network namespace on the bridge. Dropping it ends what runs in it and removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// The node's end of the pod's cable.
    link: String,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Namespace {
    /// What to put before a command that shall run in it.
    pub fn entering(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net=/run/netns/{}", self.name)]
    }

    /// Pulls or plugs the cable: whatever is sent meanwhile is lost without an answer.
    pub fn plug(&self, is_in: bool) -> Result<(), Failure> {
        run("ip", &["link", "set", &self.link, if is_in { "up" } else { "down" }]).map(drop)
    }

    /// Replaces its packet filter by these rules of nft.
    pub fn filter(&self, rules: &str) -> Result<(), Failure> {
        let [enter, name] = self.entering();
        let mut child = Command::new(enter).args([&name, "nft", "-f", "-"]).stdin(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().ok_or("nft has no input")?;
        input.write_all(format!("flush ruleset\n{rules}").as_bytes())?;
        drop(input);
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("nft ended with {status} over:\n{rules}").into()) }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Ends a namespace's processes and removes it; its end of the cable goes with it.
fn remove(namespace: &str) {
    for pid in run("ip", &["netns", "pids", namespace]).unwrap_or_default().lines() {
        let _ = run("kill", &["-KILL", pid]);
    }
    let _ = run("ip", &["netns", "delete", namespace]);
}

/// Removes what a killed run has left behind.
fn sweep() {
    let names = |listing: String| -> Vec<String> {
        let words = listing.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
        words.filter(|name| is_orphaned(name)).collect()
    };
    for name in names(run("ip", &["netns", "list"]).unwrap_or_default()) {
        remove(&name);
    }
    for name in names(run("ip", &["-br", "link", "show", "type", "bridge"]).unwrap_or_default()) {
        let _ = run("ip", &["link", "delete", &name]);
    }
}

fn is_orphaned(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('x').next());
    let owner = owner.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_namespace_is_reached_unless_its_cable_is_pulled() {
        let network = Network::create().expect("root, and iproute2");
        let pod = network.attach().expect("a namespace");
        let _server = TcpListener::bind((network.node(), 0)).expect("the node's address is there");
        let mut ping = pod.entering().to_vec();
        ping.extend(["ip", "-br", "address", "show", "eth0"].map(str::to_owned));
        let shown = run(&ping[0], &ping[1..]).expect("it runs there");
        assert!(shown.contains(&format!("{}/24", pod.address)), "{shown}");
        let reaches = || {
            let mut dial = pod.entering().to_vec();
            let port = _server.local_addr().expect("bound").port();
            dial.extend(["timeout", "1", "bash", "-c"].map(str::to_owned));
            dial.push(format!("exec 3<>/dev/tcp/{}/{port}", network.node()));
            run(&dial[0], &dial[1..]).is_ok()
        };
        assert!(reaches());
        pod.plug(false).expect("pulled");
        assert!(!reaches());
        pod.plug(true).expect("plugged");
        assert!(reaches());
    }

    #[test]
    fn only_names_of_dead_processes_are_orphaned() {
        assert!(!is_orphaned(&format!("{PREFIX}{:x}x0-10", std::process::id())));
        assert!(is_orphaned(&format!("{PREFIX}7fffffffx0-10")));
        assert!(!is_orphaned("docker0"));
    }
}
