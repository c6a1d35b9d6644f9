//! A work: something that Afflux and others do in turn, and what it costs each.
//!
//! # How a work is added
//!
//! A file of its own with a type that is a [`Work`] and a constructor that makes what all its rounds need; a line in
//! [`super::WORKS`]. The work says which [`Case`]s it has (each one table), who takes part in a case, and does one
//! [`Turn`]: one subject in one case, from a fresh start, in a fresh folder. All else is done here: everybody has a turn in
//! every round, each time another one first; the table is saved after each case of a round; who fails is named with the
//! reason, and the others go on; who fails twice in a row, or takes minutes, has no further turns in that case.
//!
//! [`Process`](super::process::Process) starts and measures a subject, [`Payload`](super::payload::Payload) is a file with
//! its .torrent, and what needs a process of its own on our side is a part ([`super::part`]). [`super::download`] is a
//! work to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::case::{Case, Figures, show};
use super::install::{self, Programs};
use super::report::{Report, Run};
use super::scratch::Scratch;
use super::subject::Subject;
use super::{Arguments, Entry, load};
use crate::house::House;

/// What every work may use.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// `target/bench`: where tables go.
    pub(crate) folder: PathBuf,
    pub(crate) programs: Programs,
    /// Files in memory, and files on disk. Both are gone when this is dropped.
    pub(crate) memory: Scratch,
    pub(crate) disk: Scratch,
    /// Less of everything, for a look.
    pub(crate) is_quick: bool,
    pub(crate) seed: u64,
}

/// One subject in one case.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) workshop: &'a Workshop,
    pub(crate) case: &'a Case,
    pub(crate) subject: Subject,
    /// An empty folder on disk for settings and logs.
    pub(crate) folder: &'a Path,
    /// Whether this is the extra turn in which system calls are counted, and nothing else.
    pub(crate) counts_calls: bool,
}

/// Something that subjects do in turn.
pub(crate) trait Work {
    fn cases(&self) -> Vec<Case>;

    /// Who takes part in a case; what the machine can do comes first.
    fn subjects(&self, case: &Case) -> Vec<Subject>;

    /// Does it once. The figures are those of the case's rows.
    fn take(&mut self, turn: &Turn) -> Result<Figures>;

    /// Whether system calls are counted in this case: once, in a turn before the first round.
    fn counts_calls(&self, _case: &Case, _subject: Subject) -> bool {
        false
    }
}

/// Makes a work; its name on the command line and how long it takes are beside it in [`super::WORKS`].
pub(crate) type Make = fn(&Workshop) -> Result<Box<dyn Work>>;

/// Measures works one after another, and prints their tables.
pub(crate) fn run(house: &House, arguments: &Arguments, works: &[&Entry]) -> Result<()> {
    let folder = house.root.join("target/bench");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let programs = install::build(house)?;
    let workshop = Workshop {
        programs,
        memory: Scratch::in_memory(&folder)?,
        disk: Scratch::on_disk(&folder)?,
        is_quick: arguments.quick,
        seed: super::seed(),
        folder,
    };
    let mut missing: BTreeMap<Subject, Option<String>> = BTreeMap::new();
    for Entry { name, make, .. } in works {
        let mut work = make(&workshop).with_context(|| format!("bench {name}"))?;
        let mut cases: Vec<Arc<Case>> = work.cases().into_iter().map(Arc::new).collect();
        let known: Vec<&str> = cases.iter().map(|case| case.name).collect();
        let known = known.join(", ");
        cases.retain(|case| arguments.wants_case(case.name));
        if cases.is_empty() {
            bail!("bench {name} has no such case: it has {known}");
        }
        let mut subjects: Vec<Subject> = cases.iter().flat_map(|case| work.subjects(case)).collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects.retain(|subject| subject.is_limit() || arguments.wants(subject.name()));
        for &subject in &subjects {
            missing
                .entry(subject)
                .or_insert_with(|| install::provide_subject(house, &workshop.programs, subject));
        }
        let gone = |subject: Subject| missing.get(&subject).cloned().flatten();
        let report = Report {
            name,
            cases,
            subjects: subjects.iter().map(|subject| subject.name()).collect(),
            missing: subjects.iter().filter_map(|it| Some((it.name(), gone(*it)?))).collect(),
            runs: Vec::new(),
            notes: BTreeSet::new(),
        };
        subjects.retain(|subject| gone(*subject).is_none());
        let mut bench =
            Bench { workshop: &workshop, work: work.as_mut(), subjects, report, used: BTreeMap::new() };
        bench.measure(arguments.rounds())?;
        println!("\n{}", bench.report.table());
        println!("Also in {}/{name}.{{md,json,csv,svg}}\n", workshop.folder.display());
    }
    Ok(())
}

struct Bench<'a> {
    workshop: &'a Workshop,
    work: &'a mut dyn Work,
    /// Those that can be had.
    subjects: Vec<Subject>,
    report: Report,
    /// What turns took, by case and subject.
    used: BTreeMap<(&'static str, Subject), Duration>,
}

/// Who has had so much time in a case has no more turns in it: the slowest may not double what a night is for.
const BUDGET: Duration = Duration::from_secs(150);

impl Bench<'_> {
    /// Round 0 counts calls.
    fn measure(&mut self, rounds: u32) -> Result<()> {
        for round in 0..=rounds {
            for case in self.report.cases.clone() {
                self.measure_case(round, &case)?;
            }
        }
        Ok(())
    }

    fn measure_case(&mut self, round: u32, case: &Case) -> Result<()> {
        let takes_part = self.work.subjects(case);
        let mut subjects: Vec<Subject> =
            self.subjects.iter().copied().filter(|subject| takes_part.contains(subject)).collect();
        let first = round as usize % subjects.len().max(1);
        subjects.rotate_left(first);
        for subject in subjects {
            let is_due = round > 0 || self.work.counts_calls(case, subject);
            if is_due && self.is_given_up(case, subject) {
                let (subject, case) = (subject.name(), case.name);
                let note = format!("{subject} on {case} had no more turns: it failed twice, or is too slow");
                self.report.notes.insert(note);
            } else if is_due {
                let run = self.take(round, case, subject);
                self.report.runs.push(run);
                self.report.save(&self.workshop.folder)?;
            }
        }
        Ok(())
    }

    /// Whether it failed the last two times, or is too slow: nobody waits for more of that.
    fn is_given_up(&self, case: &Case, subject: Subject) -> bool {
        if self.used.get(&(case.name, subject)).is_some_and(|used| *used > BUDGET) {
            return true;
        }
        let runs = self.report.runs.iter().rev();
        let mut last = runs
            .filter(|run| run.case == case.name && run.subject == subject.name() && run.round > 0)
            .take(2);
        last.by_ref().filter(|run| run.outcome.is_err()).count() == 2
    }

    fn take(&mut self, round: u32, case: &Case, subject: Subject) -> Run {
        let started_at = Instant::now();
        let folder =
            self.workshop.disk.path().join(format!("{}-{}-{}", self.report.name, case.name, subject.name()));
        let outcome = fresh(&folder).and_then(|()| {
            let counts_calls = round == 0;
            let turn = Turn { workshop: self.workshop, case, subject, folder: &folder, counts_calls };
            self.work.take(&turn)
        });
        if outcome.is_ok() {
            // What failed stays until the end, to be looked at.
            let _ = fs::remove_dir_all(&folder);
        }
        let outcome = outcome.map_err(|error| format!("{error:#}"));
        if round > 0 {
            *self.used.entry((case.name, subject)).or_default() += started_at.elapsed();
        }
        let run =
            Run { round, case: case.name, subject: subject.name(), outcome, status: None, load: load() };
        println!(
            "   {}, round {round}, {} ({} s): {}",
            case.name,
            subject.name(),
            started_at.elapsed().as_secs(),
            told(case, &run)
        );
        run
    }
}

fn fresh(folder: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

/// How a run went, in one line.
fn told(case: &Case, run: &Run) -> String {
    match &run.outcome {
        Err(why) => format!("failed: {why}"),
        Ok(figures) => {
            let told = case.rows.iter().filter_map(|row| {
                let figure = figures.get(row.key)?;
                let figure = figure.map_or_else(|| "never".to_owned(), |it| show(row.unit, it));
                Some(format!("{} {figure}", row.title))
            });
            told.collect::<Vec<_>>().join("; ")
        }
    }
}
