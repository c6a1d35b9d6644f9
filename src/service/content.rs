//! Whether a file is what its name says: judged by the name before it is opened, and by its first bytes before any of it is
//! served. Nothing is ever unpacked.

use std::collections::BTreeMap;

use afflux_metainfo::layout::FileSpan;
use afflux_metainfo::{FileIndex, Layout};
use afflux_stream::magic::{ContentPolicy, HEAD_BYTES, HeadVerdict, judge_head};
use afflux_stream::{Kind, Media, Verdict, verdict};
use tokio::sync::watch;
use tracing::warn;

use super::parts::read_part;
use super::sessions::Opened;

/// What is known of the heads of a session's files.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<FileIndex, watch::Receiver<Option<Head>>>);

/// What the first bytes of a file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// What the name says, or nothing.
    Fine,
    /// Something else, in a sentence.
    Other(String),
}

impl Checks {
    /// Begins to look at a file's head, unless that was done.
    pub(super) fn begin(&mut self, opened: &Opened, file: FileIndex) {
        if self.0.contains_key(&file) {
            return;
        }
        let (told, head) = watch::channel(None);
        self.0.insert(file, head);
        let opened = opened.clone();
        tokio::spawn(async move {
            tokio::select! {
                head = look(&opened, file) => { told.send_replace(Some(head)); }
                // Nobody waits any more.
                () = told.closed() => {}
            }
        });
    }

    /// The look at a file's head.
    pub(super) fn of(&self, file: FileIndex) -> Option<watch::Receiver<Option<Head>>> {
        self.0.get(&file).cloned()
    }

    /// Why a file isn't what its name says, as far as that is known.
    pub(super) fn refusal(&self, file: FileIndex) -> Option<String> {
        match &*self.0.get(&file)?.borrow() {
            Some(Head::Other(reason)) => Some(reason.clone()),
            _ => None,
        }
    }
}

/// Reads the head of a file and judges it. A head that can't be had is fine: nothing of the file can be had then.
async fn look(opened: &Opened, file: FileIndex) -> Head {
    let Ok(media) = opened.viewing.open(&opened.ready, file) else { return Head::Fine };
    let facts = media.facts();
    let most = facts.length.min(HEAD_BYTES as u64);
    let Some(head) = read_part(&media, 0..most).await else { return Head::Fine };
    let judged = judge_head(&facts.name, &head);
    match judged {
        HeadVerdict::Differs(reason) if judged.verdict(ContentPolicy::Block) == Verdict::Block => {
            warn!(name = facts.name, reason = reason.code(), "a file isn't what its name says");
            Head::Other(format!("{:?}: {}", facts.name, reason.sentence()))
        }
        _ => Head::Fine,
    }
}

/// Why a file isn't served, by its name alone.
pub(super) fn refusal_by_name(layout: &Layout, file: FileIndex) -> Option<String> {
    let path = layout.file(file)?.display_path();
    let reason = || format!("{} looks like a trap: it isn't what its name says", path.escape_debug());
    (verdict(&path) == Verdict::Block).then(reason)
}

/// Whether a file is a subtitle by its name.
pub(super) fn is_subtitle(file: &FileSpan) -> bool {
    kind(file) == Kind::Subtitle
}

/// Whether a file is something that is played.
pub(super) fn plays(file: &FileSpan) -> bool {
    matches!(kind(file), Kind::Video | Kind::Audio)
}

fn kind(file: &FileSpan) -> Kind {
    afflux_stream::media_type(file.path.last().map_or("", String::as_str)).kind
}
