//! Two network namespaces joined by a cable, for clients that refuse loopback peers. They have no name and end with the
//! process that holds them.

use std::ffi::OsStr;
use std::process::Command;

use super::process::{Process, tool};
use super::{Scratch, wait_for};

/// Addresses of the two ends.
pub(crate) const NEAR: &str = "10.213.7.1";
pub(crate) const FAR: &str = "10.213.7.2";

/// One end.
pub(crate) struct Namespace {
    holder: Process,
}

impl Namespace {
    /// Both ends, with addresses `NEAR` and `FAR`. Needs root.
    pub(crate) fn pair(scratch: &Scratch) -> (Self, Self) {
        let (near, far) = (Self::hold(scratch, "namespace-near"), Self::hold(scratch, "namespace-far"));
        let (near_id, far_id) = (near.holder.id().to_string(), far.holder.id().to_string());
        let cable = [
            "link", "add", "cable0", "netns", &near_id, "type", "veth", "peer", "name", "cable0", "netns",
            &far_id,
        ];
        run(Command::new(ip()).args(cable));
        for (namespace, address) in [(&near, NEAR), (&far, FAR)] {
            run(namespace.command(ip()).args(["link", "set", "lo", "up"]));
            run(namespace.command(ip()).args(["address", "add", &format!("{address}/24"), "dev", "cable0"]));
            run(namespace.command(ip()).args(["link", "set", "cable0", "up"]));
        }
        (near, far)
    }

    fn hold(scratch: &Scratch, name: &str) -> Self {
        let holder = Process::start(
            scratch,
            name,
            Command::new(tool("unshare", "util-linux")).args(["--net", "sleep", "infinity"]),
        );
        let ours = std::fs::read_link("/proc/self/ns/net").expect("/proc is mounted");
        wait_for("a network namespace of its own (tests in namespaces need root)", || {
            let theirs = std::fs::read_link(format!("/proc/{}/ns/net", holder.id())).ok()?;
            (theirs != ours).then_some(())
        });
        Self { holder }
    }

    /// A command that runs at this end.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(tool("nsenter", "util-linux"));
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg("--").arg(program);
        command
    }
}

fn ip() -> std::path::PathBuf {
    tool("ip", "iproute2")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
