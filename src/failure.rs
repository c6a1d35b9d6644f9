//! How a command ends badly: one sentence for the user, and the exit status of the contract.

use std::fmt;
use std::process::ExitCode;

/// Why a command failed, told to the person who ran it.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    usage: bool,
}

impl Failure {
    /// The command was asked for something it can't understand or doesn't do: exit status 2.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), usage: true }
    }

    /// The work itself failed: exit status 1.
    pub fn work(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), usage: false }
    }

    /// 2 for wrong usage, 1 for failed work.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.usage { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}
