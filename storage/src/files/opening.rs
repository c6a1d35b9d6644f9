//! Opening files when they are first needed.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use afflux_metainfo::FileIndex;
use rustix::fd::OwnedFd;
use rustix::fs::FileType;

use super::handles::Handle;
use super::walk::{Access, fingerprint_of, retry};
use super::{Files, PARTS, Places};
use crate::disk::Error;
use crate::lock::lock;
use crate::resume::Fingerprint;

impl Files {
    pub(super) fn handle(
        &self,
        places: &Places,
        file: FileIndex,
        writable: bool,
    ) -> Result<Arc<Handle>, Error> {
        match self.handles.get((self.store, file), writable) {
            Some(handle) => Ok(handle),
            None => {
                let before = lock(&self.state).witness.known(file);
                self.open_handle(places, file, writable, before)
            }
        }
    }

    pub(super) fn open_handle(
        &self,
        places: &Places,
        file: FileIndex,
        writable: bool,
        before: Option<Fingerprint>,
    ) -> Result<Arc<Handle>, Error> {
        let fd = self.open(places, file, writable, before)?;
        let handle =
            Arc::new(Handle { fd, writable, in_memory: OnceLock::new(), hot_streak: AtomicU64::new(0) });
        self.handles.insert((self.store, file), handle.clone());
        Ok(handle)
    }

    pub(super) fn open(
        &self,
        places: &Places,
        file: FileIndex,
        writable: bool,
        before: Option<Fingerprint>,
    ) -> Result<OwnedFd, Error> {
        let least = *lock(&self.state).least(file);
        let access = match (writable, least) {
            (false, _) => Access::Read,
            (true, 0) => Access::Create,
            (true, _) => Access::Write,
        };
        let fd = places.open(file, access)?;
        let path = || places.path(file);
        let stat =
            retry(|| rustix::fs::fstat(&fd)).map_err(|e| Error::from_errno("examining", &path(), e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::InTheWay { path: path() });
        }
        if writable && (stat.st_size as u64) < least {
            return Err(Error::Truncated { path: path() });
        }
        if access == Access::Read {
            lock(&self.state).witness.meet(file, fingerprint_of(&stat));
        }
        let now = fingerprint_of(&stat);
        match access {
            Access::Read => self.attest(places, file, before, now)?,
            _ if before.is_some() && before != now => return Err(self.changed(places, file)),
            _ => {}
        }
        if access == Access::Create {
            lock(&self.state).made.insert(file);
        }
        if writable && file != PARTS {
            let length = places.layout.files()[file.as_usize()].length;
            self.allocate(file, &fd, &stat, length)
                .map_err(|errno| Error::from_errno("growing", &path(), errno))?;
        }
        Ok(fd)
    }
}
