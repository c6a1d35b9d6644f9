//! What follows `cargo xtask bench`.

use anyhow::{Context, Result, bail};

use super::client::Client;
use super::subject::Subject;
use super::{STREAM, WORKS, scenario};

/// Rounds unless told.
const ROUNDS: u32 = 7;

/// What is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Arguments {
    /// None: all, but of `stream` only what takes no hours.
    works: Vec<String>,
    /// None: the usual number.
    rounds: Option<u32>,
    /// Names of subjects; none: all.
    only: Vec<String>,
    /// Names of links of `stream`; none: all.
    links: Vec<String>,
    /// Names of cases of works; none: all.
    cases: Vec<String>,
    pub(crate) quick: bool,
}

impl Arguments {
    /// Reads what follows `bench`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().copied().with_context(|| format!("{word} needs a value"));
            match word {
                "--quick" => parsed.quick = true,
                "--rounds" => {
                    let rounds = value()?.parse().ok().filter(|rounds| (1..=100).contains(rounds));
                    parsed.rounds = Some(rounds.context("--rounds takes a number from 1 to 100")?);
                }
                "--only" => parsed.only = value()?.split(',').map(subject_named).collect::<Result<_>>()?,
                "--case" => parsed.cases = value()?.split(',').map(str::to_owned).collect(),
                "--link" => parsed.links = value()?.split(',').map(link_named).collect::<Result<_>>()?,
                _ => parsed.works.push(work_named(word)?),
            }
        }
        if !parsed.links.is_empty() && parsed.works != [STREAM] {
            bail!("--link belongs to `bench stream`");
        }
        Ok(parsed)
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(ROUNDS)
    }

    /// Whether a work is asked for.
    pub(crate) fn has(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|name| name == work)
    }

    /// Whether hours don't matter.
    pub(crate) fn is_patient(&self) -> bool {
        !self.works.is_empty()
    }

    /// Whether a client is asked for, by its name.
    pub(crate) fn wants(&self, subject: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == subject)
    }

    /// Whether a case is asked for.
    pub(crate) fn wants_case(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| name == case)
    }

    /// Whether a link is asked for.
    pub(crate) fn wants_link(&self, link: &str) -> bool {
        self.links.is_empty() || self.links.iter().any(|name| name == link)
    }
}

fn work_named(name: &str) -> Result<String> {
    let mut known = WORKS.iter().map(|work| work.name).chain([STREAM]);
    if known.clone().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let what = if name.starts_with('-') { "no option of bench" } else { "nothing that bench measures" };
    let known: Vec<&str> = known.by_ref().collect();
    bail!("`{name}` is {what}: it measures {}", known.join(", "))
}

fn subject_named(name: &str) -> Result<String> {
    if Subject::named(name).is_some() || Client::named(name).is_some() {
        return Ok(name.to_owned());
    }
    let mut known: Vec<&str> = Subject::ALL.iter().map(|subject| subject.name()).collect();
    known
        .extend(Client::ALL.iter().map(|client| client.name()).filter(|name| Subject::named(name).is_none()));
    bail!("--only {name}: allowed are {}", known.join(", "))
}

fn link_named(name: &str) -> Result<String> {
    let known = scenario::all(true);
    if known.iter().any(|scenario| scenario.case.name == name) {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = known.iter().map(|scenario| scenario.case.name).collect();
    bail!("--link {name}: allowed are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_what_to_measure() {
        let all = Arguments::parse(&[]).unwrap();
        assert!(all.has("stream") && all.has("download") && all.wants("aria2") && !all.is_patient());
        assert_eq!(all.rounds(), 7);
        let words =
            ["stream", "--only", "rqbit,afflux-lt-deadline", "--rounds", "2", "--quick", "--link", "tight"];
        let some = Arguments::parse(&words).unwrap();
        assert!(some.has("stream") && !some.has("download") && some.is_patient() && some.quick);
        assert!(some.wants("rqbit") && !some.wants("aria2"));
        assert!(some.wants_link("tight") && !some.wants_link("odd"));
        assert_eq!(some.rounds(), 2);
    }

    #[test]
    fn wrong_arguments_are_told_what_is_allowed() {
        for (wrong, told) in [
            (&["stream", "--rounds"][..], "needs a value"),
            (&["--rounds", "0"], "from 1 to 100"),
            (&["download", "--only", "utorrent"], "allowed are floor,"),
            (&["stream", "--link", "loose"], "allowed are fast,"),
            (&["download", "--link", "fast"], "belongs to"),
            (&["--fast"], "no option"),
            (&["upload"], "nothing that bench measures: it measures download,"),
        ] {
            let error = Arguments::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
