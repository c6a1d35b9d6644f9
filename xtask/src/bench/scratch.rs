//! Folders for what is measured, in memory and on disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where Linux has a file system in memory.
const MEMORY: &str = "/dev/shm";

const PREFIX: &str = "afflux-bench-";

const WARM_CHUNK_BYTES: usize = 1024 * 1024;

/// A folder of this process, removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// In memory, or where that can't be had below `folder`, with a word about it.
    pub(crate) fn in_memory(folder: &Path) -> Result<Self> {
        if Path::new(MEMORY).is_dir() {
            return Self::below(Path::new(MEMORY));
        }
        println!("   {MEMORY} is missing: what should be in memory is on disk");
        Self::below(&folder.join("in-memory"))
    }

    /// Below `folder`.
    pub(crate) fn on_disk(folder: &Path) -> Result<Self> {
        Self::below(&folder.join("runs"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An empty folder in it, removed when dropped.
    pub(crate) fn folder(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path })
    }

    /// Makes memory ready for `bytes` of files here: soon, what is not used goes back.
    ///
    /// A virtual machine gives memory that it doesn't use back to its host after a second or two. Whoever touches it first
    /// then pays for that: ten times what writing a file costs (2.2 s of processor time per GiB instead of 0.2). That would
    /// be measured instead of the client.
    pub(crate) fn warm(&self, bytes: u64) -> Result<()> {
        let path = self.path.join("warm");
        let chunk = vec![0; WARM_CHUNK_BYTES];
        let mut file = File::create(&path).with_context(|| path.display().to_string())?;
        for _ in 0..bytes.div_ceil(chunk.len() as u64) {
            file.write_all(&chunk).with_context(|| path.display().to_string())?;
        }
        drop(file);
        fs::remove_file(&path).with_context(|| path.display().to_string())
    }

    fn below(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        remove_abandoned(folder)?;
        let path = folder.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Ctrl-C leaves folders behind; memory would fill up with them.
fn remove_abandoned(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(owner) = owner.and_then(|id| id.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{owner}")).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ended_run_left_is_removed() {
        let folder = std::env::temp_dir().join(format!("afflux-xtask-scratch-{}", std::process::id()));
        // No process has this id: the kernel's greatest is 2^22.
        let abandoned = folder.join(format!("{PREFIX}4294967295"));
        let other = folder.join("other");
        fs::create_dir_all(&abandoned).unwrap();
        fs::create_dir_all(&other).unwrap();
        let scratch = Scratch::below(&folder).unwrap();
        assert!(!abandoned.exists() && other.exists() && scratch.path().exists());
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
