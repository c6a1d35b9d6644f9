//! The readers of one torrent: what they want, and who waits for which piece.
//!
//! Readers live in HTTP bodies, on whatever thread polls them; the torrent's task is told by a flag, never by
//! a queue that could run full. Both locks are leaves: nothing is called or awaited under them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use afflux_metainfo::{FileIndex, PieceIndex};
use afflux_swarm::limits::READERS_MAX;
use afflux_swarm::{Kind, ReaderKey, Window};
use tokio::sync::Notify;

use super::torrent::Ready;

/// Where most containers have their index: within so much of the file's end.
const TAIL_BYTES: u64 = 512 * 1024;

/// What a reader wants changed since the torrent's task last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its window is this now.
    Want(ReaderKey, Window),
    /// It is gone.
    Forget(ReaderKey),
}

/// Whose readers some are: a viewing can be looked at and paused apart from others of the same torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ViewingKey(u64);

#[derive(Debug, Default)]
struct Wishes {
    next_key: u64,
    next_viewing: u64,
    /// The newest window of each reader that changed; `None`: it went away, or is paused.
    changed: BTreeMap<u64, Option<Window>>,
    seats: BTreeMap<u64, Seat>,
    paused: BTreeSet<ViewingKey>,
}

/// A reader alive.
#[derive(Debug)]
struct Seat {
    viewing: ViewingKey,
    /// What it wants, once it has said so.
    window: Option<Window>,
    /// Nobody reads here: something is fetched ahead of a reader.
    ahead: bool,
}

impl Wishes {
    fn take_changed(&mut self) -> BTreeMap<u64, Option<Window>> {
        let mut changed = std::mem::take(&mut self.changed);
        if self.seats.len() >= READERS_MAX && changed.values().any(Option::is_none) {
            let told = self.seats.iter().filter(|(_, seat)| !self.paused.contains(&seat.viewing));
            changed.extend(told.filter_map(|(&key, seat)| Some((key, Some(seat.window?)))));
        }
        changed
    }

    fn want(&mut self, key: u64, window: Window, ahead: bool) {
        let Some(seat) = self.seats.get_mut(&key) else { return };
        seat.window = Some(window);
        seat.ahead = ahead;
        if !self.paused.contains(&seat.viewing) {
            self.changed.insert(key, Some(window));
        }
    }

    /// Tells all windows of a viewing anew: as they are, or that nothing is wanted.
    fn retell(&mut self, viewing: ViewingKey) {
        let paused = self.paused.contains(&viewing);
        let seats = self.seats.iter().filter(|(_, seat)| seat.viewing == viewing && seat.window.is_some());
        self.changed.extend(seats.map(|(&key, seat)| (key, seat.window.filter(|_| !paused))));
    }
}

/// All readers of one torrent.
#[derive(Debug, Default)]
pub(super) struct Readers {
    wishes: Mutex<Wishes>,
    waiting: Mutex<BTreeMap<(PieceIndex, u64), Waker>>,
    notify: Notify,
}

/// One reader's place; dropping it forgets its window.
#[derive(Debug)]
pub(super) struct Place {
    key: u64,
    readers: Arc<Readers>,
    /// The piece it waits for.
    waits_for: Option<PieceIndex>,
}

impl Readers {
    /// A place for a new reader of a viewing.
    pub(super) fn enter(self: &Arc<Self>, viewing: ViewingKey) -> Place {
        let mut wishes = lock(&self.wishes);
        wishes.next_key += 1;
        let key = wishes.next_key;
        wishes.seats.insert(key, Seat { viewing, window: None, ahead: false });
        Place { key, readers: Arc::clone(self), waits_for: None }
    }

    /// A new viewing.
    pub(super) fn add_viewing(&self) -> ViewingKey {
        let mut wishes = lock(&self.wishes);
        wishes.next_viewing += 1;
        ViewingKey(wishes.next_viewing)
    }

    /// The windows of all readers that have said one, oldest reader first.
    pub(super) fn windows(&self) -> Vec<Window> {
        self.windows_where(|_| true)
    }

    /// The same of one viewing.
    pub(super) fn windows_of(&self, viewing: ViewingKey) -> Vec<Window> {
        self.windows_where(|seat| seat.viewing == viewing)
    }

    fn windows_where(&self, is_meant: impl Fn(&Seat) -> bool) -> Vec<Window> {
        let wishes = lock(&self.wishes);
        let seats = wishes.seats.values().filter(|seat| !seat.ahead && is_meant(seat));
        seats.filter_map(|seat| seat.window).collect()
    }

    /// Fetches nothing for a viewing until it goes on.
    pub(super) fn pause(&self, viewing: ViewingKey) {
        let mut wishes = lock(&self.wishes);
        if wishes.paused.insert(viewing) {
            wishes.retell(viewing);
            drop(wishes);
            self.notify.notify_one();
        }
    }

    /// Fetches what a viewing wants again.
    pub(super) fn resume(&self, viewing: ViewingKey) {
        let mut wishes = lock(&self.wishes);
        if wishes.paused.remove(&viewing) {
            wishes.retell(viewing);
            drop(wishes);
            self.notify.notify_one();
        }
    }

    /// Waits until some reader wants something else.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Takes what changed: readers that left before those that want, so that a seek frees before it asks. The swarm takes no
    /// more than `READERS_MAX` readers; when one of so many leaves, the others are told again, since one of them may have been
    /// refused and has nothing new to say while it waits.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        let changed = lock(&self.wishes).take_changed();
        let (wants, gone): (Vec<_>, Vec<_>) = changed.into_iter().partition(|(_, window)| window.is_some());
        let gone = gone.into_iter().map(|(key, _)| Change::Forget(ReaderKey(key)));
        gone.chain(wants.into_iter().filter_map(|(key, window)| Some(Change::Want(ReaderKey(key), window?))))
            .collect()
    }

    /// A piece can be read now, or never will: whoever waits for it looks again.
    pub(super) fn wake(&self, piece: PieceIndex) {
        let woken = {
            let mut waiting = lock(&self.waiting);
            let mut rest = waiting.split_off(&(piece, 0));
            let mut later = rest.split_off(&(PieceIndex(piece.0.saturating_add(1)), 0));
            waiting.append(&mut later);
            rest
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Whether a reader can't go on without the piece.
    pub(super) fn is_awaited(&self, piece: PieceIndex) -> bool {
        lock(&self.waiting).range((piece, 0)..=(piece, u64::MAX)).next().is_some()
    }

    /// Everybody looks again: the torrent ended, or can't go on.
    pub(super) fn wake_all(&self) {
        let woken = std::mem::take(&mut *lock(&self.waiting));
        woken.into_values().for_each(Waker::wake);
    }
}

impl Place {
    /// Says what the reader wants from now on.
    pub(super) fn want(&self, window: Window) {
        lock(&self.readers.wishes).want(self.key, window, false);
        self.readers.notify.notify_one();
    }

    /// The same for a window that no reader stands behind: others don't see it.
    pub(super) fn want_ahead(&self, window: Window) {
        lock(&self.readers.wishes).want(self.key, window, true);
        self.readers.notify.notify_one();
    }

    /// Wakes the reader when the piece can be read. Look again after this: it may have come in between.
    pub(super) fn wait_for(&mut self, piece: PieceIndex, waker: &Waker) {
        let mut waiting = lock(&self.readers.waiting);
        if let Some(other) = self.waits_for.replace(piece).filter(|&other| other != piece) {
            waiting.remove(&(other, self.key));
        }
        waiting.insert((piece, self.key), waker.clone());
    }
}

/// Windows without a reader behind them, fetched before anybody reads there.
#[derive(Debug)]
pub struct WarmUp {
    _places: Vec<Place>,
}

impl WarmUp {
    /// The head and the tail of a file: players begin with both.
    pub(super) fn ends(
        readers: &Arc<Readers>,
        viewing: ViewingKey,
        ready: &Ready,
        file: FileIndex,
        bytes: u64,
    ) -> Self {
        let length = ready.layout.file(file).map_or(0, |file| file.length);
        let head_end = length.min(bytes);
        let tail_start = head_end.max(length.saturating_sub(TAIL_BYTES));
        Self::parts(readers, viewing, ready, file, &[0..head_end, tail_start..length])
    }

    /// Parts of a file, in its own bytes.
    pub(super) fn parts(
        readers: &Arc<Readers>,
        viewing: ViewingKey,
        ready: &Ready,
        file: FileIndex,
        parts: &[Range<u64>],
    ) -> Self {
        let range = ready.layout.file(file).map_or(0..0, |file| file.range());
        let window = |part: &Range<u64>| {
            let (start, end) = (range.start + part.start, (range.start + part.end).min(range.end));
            let place = readers.enter(viewing);
            place.want_ahead(Window {
                position: start,
                urgent_end: end,
                soon_end: end,
                file_end: range.end,
                rate: None,
                waiting: false,
                kind: Kind::Probe,
            });
            place
        };
        Self { _places: parts.iter().map(window).collect() }
    }

    /// Small stretches of the torrent, in its own bytes, that belong to what is read.
    pub(super) fn beside(readers: &Arc<Readers>, viewing: ViewingKey, stretches: &[Range<u64>]) -> Self {
        let window = |stretch: &Range<u64>| {
            let place = readers.enter(viewing);
            place.want_ahead(Window {
                position: stretch.start,
                urgent_end: stretch.start,
                soon_end: stretch.end,
                file_end: stretch.end,
                rate: None,
                waiting: false,
                kind: Kind::Beside,
            });
            place
        };
        Self { _places: stretches.iter().map(window).collect() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(piece) = self.waits_for {
            lock(&self.readers.waiting).remove(&(piece, self.key));
        }
        let mut wishes = lock(&self.readers.wishes);
        wishes.seats.remove(&self.key);
        wishes.changed.insert(self.key, None);
        drop(wishes);
        self.readers.notify.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    fn window(position: u64) -> Window {
        Window {
            position,
            urgent_end: position,
            soon_end: position,
            file_end: position,
            rate: None,
            waiting: false,
            kind: Kind::Play,
        }
    }

    #[test]
    fn only_the_newest_window_counts_and_leavers_come_first() {
        let readers = Arc::new(Readers::default());
        let (first, second) = (readers.enter(ViewingKey::default()), readers.enter(ViewingKey::default()));
        first.want(window(1));
        second.want(window(2));
        second.want(window(3));
        drop(first);
        assert_eq!(
            readers.take_changes(),
            [Change::Forget(ReaderKey(1)), Change::Want(ReaderKey(2), window(3))]
        );
        assert!(readers.take_changes().is_empty());
        assert_eq!(readers.windows(), [window(3)]);
    }

    #[test]
    fn a_reader_too_many_is_told_of_again_when_another_leaves() {
        let readers = Arc::new(Readers::default());
        let mut places: Vec<Place> =
            (0..=READERS_MAX).map(|_| readers.enter(ViewingKey::default())).collect();
        places.iter().for_each(|place| place.want(window(1)));
        assert_eq!(readers.take_changes().len(), READERS_MAX + 1);
        drop(places.remove(0));
        let changes = readers.take_changes();
        assert_eq!(changes[0], Change::Forget(ReaderKey(1)));
        let last = ReaderKey(READERS_MAX as u64 + 1);
        assert_eq!((changes.len(), changes.last()), (READERS_MAX + 1, Some(&Change::Want(last, window(1)))));
        drop(places.remove(0));
        assert_eq!(readers.take_changes().len(), 1, "there is room for all");
    }

    #[test]
    fn a_paused_viewing_wants_nothing_until_it_goes_on_and_others_go_on_meanwhile() {
        let readers = Arc::new(Readers::default());
        let (mine, yours) = (readers.add_viewing(), readers.add_viewing());
        let (first, second) = (readers.enter(mine), readers.enter(yours));
        first.want(window(1));
        second.want(window(2));
        readers.take_changes();
        readers.pause(mine);
        assert_eq!(readers.take_changes(), [Change::Forget(ReaderKey(1))]);
        first.want(window(3));
        second.want(window(4));
        assert_eq!(readers.take_changes(), [Change::Want(ReaderKey(2), window(4))]);
        assert_eq!(readers.windows_of(mine), [window(3)], "where the reader is can be seen");
        readers.resume(mine);
        assert_eq!(readers.take_changes(), [Change::Want(ReaderKey(1), window(3))]);
    }

    #[test]
    fn a_piece_wakes_those_who_wait_for_it_and_nobody_else() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let readers = Arc::new(Readers::default());
        let woken = |piece| {
            let counters = [Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0)))];
            let mut places = [readers.enter(ViewingKey::default()), readers.enter(ViewingKey::default())];
            for (nth, place) in places.iter_mut().enumerate() {
                place.wait_for(PieceIndex(nth as u32 + 5), &Waker::from(Arc::clone(&counters[nth])));
            }
            readers.wake(PieceIndex(piece));
            counters.map(|counter| counter.0.load(Ordering::Relaxed))
        };
        assert_eq!(woken(4), [0, 0]);
        assert_eq!(woken(5), [1, 0]);
        assert_eq!(woken(6), [0, 1]);
    }
}
