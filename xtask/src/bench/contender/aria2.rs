//! stub
use super::{Contender, Done, Job};
use crate::bench::process::Process;
use anyhow::{Result, bail};
use std::net::SocketAddrV4;
pub(super) struct Aria2;
impl Contender for Aria2 {
    fn download(&self, _: &Job, _: &[SocketAddrV4]) -> Result<Done> {
        bail!("")
    }
    fn seed(&self, _: &Job, _: SocketAddrV4) -> Result<Process> {
        bail!("")
    }
    fn check(&self, _: &Job) -> Result<Done> {
        bail!("")
    }
}
