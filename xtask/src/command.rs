//! Child processes, each shown before it runs and named when it fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{self, Stdio};

use anyhow::{Context, Result, bail};

/// A child process to be.
pub(crate) struct Command {
    inner: process::Command,
    shown: String,
}

impl Command {
    /// `program`, to be run in `folder`.
    pub(crate) fn new(program: &str, folder: &Path) -> Self {
        let mut inner = process::Command::new(program);
        inner.current_dir(folder).stdin(Stdio::null());
        Self { inner, shown: program.to_owned() }
    }

    /// Cargo, the same one that runs us.
    pub(crate) fn cargo(folder: &Path) -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        Self { shown: "cargo".to_owned(), ..Self::new(&cargo, folder) }
    }

    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.inner.arg(argument);
        self.shown.push(' ');
        self.shown.push_str(argument);
        self
    }

    pub(crate) fn args<'a>(self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.inner.env(name, value);
        self.shown = format!("{name}=… {}", self.shown);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.inner.env_remove(name);
        self
    }

    /// Runs it with our own outputs; an error unless it succeeds.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("   {}", self.shown);
        let status = self.inner.status().with_context(|| format!("`{}` can't be started", self.shown))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.shown);
        }
        Ok(())
    }

    /// Runs it without showing anything; whether it succeeded.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self.inner.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Runs it and returns what it printed; an error, with its standard error, unless it succeeds.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.inner.output().with_context(|| format!("`{}` can't be started", self.shown))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed ({}): {}", self.shown, output.status, said.trim());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no text", self.shown))
    }

    /// Runs it, passes on each line that it prints, and gives it to `each`; whether it succeeded.
    pub(crate) fn watch(mut self, mut each: impl FnMut(&str)) -> Result<bool> {
        println!("   {}", self.shown);
        let started = self.inner.stdout(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("`{}` can't be started", self.shown))?;
        let stdout = child.stdout.take().context("the child has no standard output")?;
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.with_context(|| format!("`{}` can't be read", self.shown))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            each(&line);
        }
        Ok(child.wait()?.success())
    }
}
