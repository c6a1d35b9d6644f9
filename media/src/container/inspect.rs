//! Looking into a file of which only parts are there.

use std::ops::Range;

use thiserror::Error;

use super::facts::Facts;
use super::known::Known;
use super::{matroska, mp4};
use crate::limits::{ELEMENTS_MAX, INSPECTED_BYTES_MAX, READ_BYTES_MAX, READS_MAX};

/// What an inspection does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It needs these bytes of the file: [`Inspection::supply`].
    Read(Range<u64>),
    /// It has ended.
    Done(Box<Facts>),
    /// It has ended, and nothing can be said.
    Failed(Fault),
}

/// Why nothing can be said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// It begins like no container that we read.
    #[error("the file doesn't begin as any container we know, whatever it is called")]
    Unknown,
    /// It isn't what its container's rules allow.
    #[error("the file is damaged: {0}")]
    Broken(&'static str),
    /// It ends before it should.
    #[error("the file ends too early")]
    Truncated,
    /// It would take more than any honest file.
    #[error("the file asks for too much: {0}")]
    TooMuch(&'static str),
    /// It is of a kind that we don't read.
    #[error("the file is of a kind that isn't read here: {0}")]
    Unsupported(&'static str),
    /// It can't be read.
    #[error("the file can't be read there")]
    Unreadable,
}

/// Why a parser can't go on at this moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// These bytes are missing. It is asked again when they are there.
    Missing(Range<u64>),
    /// The file ends before what it announces.
    Truncated,
    /// It is of no use.
    Fault(Fault),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// One container's rules. `advance` goes on where it was: what it has understood it keeps itself, and asks for a part of the file
/// only once it needs it. When bytes are missing it returns what [`Known`] returned, and is called again with them.
pub(super) trait Parser: std::fmt::Debug {
    fn advance(&mut self, file: &Known, budget: &mut Budget) -> Result<Facts, Halt>;

    /// What it asked for last can't be had: whether it goes on without that. It may not ask for it again.
    fn go_without(&mut self) -> bool;

    /// What the rest of a Matroska file is read with, once its facts are told.
    fn matroska(&self) -> Option<&matroska::Head> {
        None
    }

    /// What the texts of an MP4 are read with, once its facts are told.
    fn mp4(&self) -> Option<&mp4::TextHead> {
        None
    }
}

/// What an inspection may still do.
#[derive(Debug)]
pub(super) struct Budget {
    elements: u32,
}

impl Budget {
    pub(super) fn new(elements: u32) -> Self {
        Self { elements }
    }

    /// One more box, element, chunk or packet is looked at.
    pub(super) fn element(&mut self) -> Result<(), Fault> {
        self.elements = self.elements.checked_sub(1).ok_or(Fault::TooMuch("too many parts"))?;
        Ok(())
    }
}

/// A look into one file.
///
/// Drive it so: [`Self::step`]; if it says [`Step::Read`], get those bytes, give them to [`Self::supply`] (or say
/// [`Self::cannot_read`]), and again, until it has ended. It asks for no byte twice, and for as few as it takes.
#[derive(Debug)]
pub struct Inspection {
    known: Known,
    budget: Budget,
    parser: Option<Box<dyn Parser + Send>>,
    reads_left: u32,
    bytes_left: u64,
    ended: Option<Step>,
}

impl Inspection {
    /// Of a file of so many bytes.
    pub fn new(length: u64) -> Self {
        Self {
            known: Known::new(length),
            budget: Budget::new(ELEMENTS_MAX),
            parser: None,
            reads_left: READS_MAX,
            bytes_left: READ_BYTES_MAX,
            ended: None,
        }
    }

    /// What it does next. Says the same until it is given what it asks for.
    pub fn step(&mut self) -> Step {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let step = match self.advance() {
            Ok(facts) => Step::Done(Box::new(facts)),
            Err(Halt::Missing(range)) => match self.allow(&range) {
                Ok(()) => return Step::Read(range),
                Err(fault) => Step::Failed(fault),
            },
            Err(Halt::Truncated) => Step::Failed(Fault::Truncated),
            Err(Halt::Fault(fault)) => Step::Failed(fault),
        };
        self.ended = Some(step.clone());
        step
    }

    /// The bytes that it asked for last, which begin there.
    pub fn supply(&mut self, offset: u64, bytes: Vec<u8>) {
        self.reads_left = self.reads_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        self.known.add(offset, bytes);
    }

    /// What it asked for last can't be had. It goes on with what else there is, such as without an index that lies at the end of a
    /// file, and fails only if there is nothing to tell then.
    pub fn cannot_read(&mut self) {
        self.reads_left = self.reads_left.saturating_sub(1);
        let goes_on = self.parser.as_mut().is_some_and(|parser| parser.go_without());
        if !goes_on {
            self.ended.get_or_insert(Step::Failed(Fault::Unreadable));
        }
    }

    /// Of Matroska or WebM, once it is done: what their Clusters are read with.
    pub fn matroska(&self) -> Option<&matroska::Head> {
        let is_done = matches!(self.ended, Some(Step::Done(_)));
        self.parser.as_ref().filter(|_| is_done)?.matroska()
    }

    /// The same of the texts of an MP4.
    pub(super) fn mp4(&self) -> Option<&mp4::TextHead> {
        let is_done = matches!(self.ended, Some(Step::Done(_)));
        self.parser.as_ref().filter(|_| is_done)?.mp4()
    }

    fn advance(&mut self) -> Result<Facts, Halt> {
        if self.parser.is_none() {
            self.parser = Some(super::recognise(&self.known)?);
        }
        let Some(parser) = &mut self.parser else { return Err(Fault::Unknown.into()) };
        parser.advance(&self.known, &mut self.budget)
    }

    /// Whether a read is within what an inspection may cost.
    fn allow(&self, range: &Range<u64>) -> Result<(), Fault> {
        let bytes = range.end - range.start;
        match () {
            () if self.reads_left == 0 => Err(Fault::TooMuch("too many reads")),
            () if bytes > self.bytes_left => Err(Fault::TooMuch("too many bytes")),
            () if bytes > (INSPECTED_BYTES_MAX - self.known.kept_bytes().min(INSPECTED_BYTES_MAX)) as u64 => {
                Err(Fault::TooMuch("too much at once"))
            }
            () => Ok(()),
        }
    }
}
