//! The hierarchy of rates against plain sums: no level ever lets more through than its rates and its burst allow, whatever
//! is changed meanwhile, and whoever asks when it is told to gets bytes in the end.

use std::time::{Duration, Instant};

use afflux_swarm::shaper::{
    BURST_TIME, ClassKey, Direction, Grant, Limits, LinkKey, Need, QUANTUM_BYTES_MAX, QUANTUM_BYTES_MIN,
    Shaper, TorrentKey,
};

const CLASSES: usize = 3;
const TORRENTS: usize = 3;
const LINKS: usize = 6;
const RATES: [Option<u64>; 5] = [None, Some(1_000), Some(20_000), Some(300_000), Some(4_000_000)];
const NEEDS: [Need; 5] = [Need::Stalling, Need::Soon, Need::Full, Need::Background, Need::Idle];
/// Debts are so few that they are paid within the patience.
const OVERDRAWS_MAX: u32 = 16;
/// All that can lie before a link at the lowest rate, with a tenth of it for its need.
const PATIENCE: Duration = Duration::from_secs(7_200);
/// After its bytes a link asks again so much later.
const PAUSE: Duration = Duration::from_millis(50);

/// What one level has let through in one direction since it has a limit.
#[derive(Clone, Copy, Default)]
struct Sum {
    rate: Option<u64>,
    passed: f64,
    most: f64,
    burst: f64,
}

impl Sum {
    fn set(&mut self, rate: Option<u64>) {
        // Who has the turn already when a limit comes is let through yet, and so is who moves up once when another leaves.
        let early = (LINKS as u32 * QUANTUM_BYTES_MAX) as f64;
        let burst =
            rate.map_or(0.0, |rate| rate as f64 * BURST_TIME.as_secs_f64()) + f64::from(QUANTUM_BYTES_MIN);
        match (self.rate, rate) {
            (Some(_), Some(_)) => self.burst = self.burst.max(burst + early),
            _ => *self = Self { burst: burst + early, ..Self::default() },
        }
        self.rate = rate;
    }

    fn wait(&mut self, time: Duration) {
        self.most += self.rate.unwrap_or(0) as f64 * time.as_secs_f64();
    }

    fn pass(&mut self, bytes: u32) {
        self.passed += f64::from(bytes);
        assert!(
            self.rate.is_none() || self.passed <= self.most + self.burst + 1.0,
            "{} bytes of {}",
            self.passed,
            self.most
        );
    }
}

struct Model {
    shaper: Shaper,
    now: Instant,
    classes: Vec<ClassKey>,
    torrents: Vec<(TorrentKey, Vec<usize>)>,
    links: Vec<(LinkKey, usize)>,
    /// Global, classes, torrents, links.
    sums: [Vec<[Sum; 2]>; 4],
    overdraws: u32,
}

/// Every four bytes are a step: what, of whom, how much, and how long after the last.
pub fn shaper(data: &[u8]) {
    let mut model = Model::new();
    for step in data.as_chunks::<4>().0.iter().take(512) {
        model.wait(Duration::from_millis(u64::from(step[3])));
        model.play(step);
        while model.shaper.poll_woken().is_some() {}
    }
    model.everybody_gets_bytes();
}

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        let mut shaper = Shaper::new(Limits::default(), now);
        let classes = (0..CLASSES).map(|_| shaper.add_class(Limits::default(), now)).collect();
        let torrents: Vec<_> =
            (0..TORRENTS).map(|_| (shaper.add_torrent(None, Limits::default(), now), Vec::new())).collect();
        let add = |nth: usize| shaper.add_link(torrents[nth % TORRENTS].0, Limits::default(), now);
        let links =
            (0..LINKS).map(add).zip(0..).filter_map(|(key, nth)| Some((key?, nth % TORRENTS))).collect();
        let sums = [1, CLASSES, TORRENTS, LINKS].map(|count| vec![[Sum::default(); 2]; count]);
        Self { shaper, now, classes, torrents, links, sums, overdraws: 0 }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.sums.iter_mut().flatten().flatten().for_each(|sum| sum.wait(time));
    }

    fn play(&mut self, &[what, whom, much, _]: &[u8; 4]) {
        let (whom, now) = (usize::from(whom), self.now);
        let direction = if what & 0x80 == 0 { Direction::Download } else { Direction::Upload };
        let limits = Limits {
            download: RATES[usize::from(much) % RATES.len()],
            upload: RATES[usize::from(much) / RATES.len() % RATES.len()],
        };
        let (class, torrent, nth) = (whom % CLASSES, whom % TORRENTS, whom % LINKS);
        let link = self.links[nth].0;
        match what & 0x0f {
            0 => {
                self.shaper.set_global(limits, now);
                self.limit(0, 0, limits);
            }
            1 => {
                self.shaper.set_class(self.classes[class], limits, now);
                self.limit(1, class, limits);
            }
            2 => {
                self.shaper.set_torrent(self.torrents[torrent].0, limits, now);
                self.limit(2, torrent, limits);
            }
            3 => {
                self.shaper.set_link(link, limits, now);
                self.limit(3, nth, limits);
            }
            4 => self.share(torrent, much, whom),
            5 => {
                self.shaper.remove_class(self.classes[class]);
                self.classes[class] = self.shaper.add_class(limits, now);
                self.torrents.iter_mut().for_each(|(_, shares)| shares.retain(|&shared| shared != class));
                self.forget_classes();
                self.sums[1][class] = [Sum::default(); 2];
                self.limit(1, class, limits);
            }
            6 => {
                self.shaper.remove_link(link);
                let key = self.torrents[self.links[nth].1].0;
                self.links[nth].0 =
                    self.shaper.add_link(key, Limits::default(), now).expect("the torrent is there");
                self.limit(3, nth, Limits::default());
            }
            7 => self.shaper.give_up(link, direction),
            8 => self.shaper.debit(link, direction, u32::from(much) * 1_000, now),
            9 if self.overdraws < OVERDRAWS_MAX => {
                self.overdraws += 1;
                self.shaper.overdraw(link, direction, u32::from(much) * 16, now);
            }
            10 => {
                if let Grant::Now(bytes) = self.shaper.take(link, direction, u32::from(much), now) {
                    self.shaper.refund(link, direction, bytes);
                }
            }
            _ => {
                self.take(nth, direction, u32::from(much) * 1_024 + 1);
            }
        }
    }

    /// Whom a torrent is for: a bit for each class, their needs after the number.
    fn share(&mut self, torrent: usize, classes: u8, needs: usize) {
        let (key, shares) = &mut self.torrents[torrent];
        *shares = (0..CLASSES).filter(|class| classes >> class & 1 == 1).collect();
        let named: Vec<_> =
            shares.iter().map(|&class| (self.classes[class], NEEDS[(needs + class) % NEEDS.len()])).collect();
        self.shaper.set_torrent_classes(*key, &named);
        self.forget_classes();
    }

    /// Who pays for what is asked from now on may be another than before.
    fn forget_classes(&mut self) {
        for sum in self.sums[1].iter_mut().flatten() {
            let rate = sum.rate.take();
            sum.set(rate);
        }
    }

    fn limit(&mut self, level: usize, nth: usize, limits: Limits) {
        let [download, upload] = &mut self.sums[level][nth];
        download.set(limits.download);
        upload.set(limits.upload);
    }

    fn take(&mut self, nth: usize, direction: Direction, want: u32) -> Grant {
        let (link, torrent) = self.links[nth];
        let grant = self.shaper.take(link, direction, want, self.now);
        match grant {
            Grant::Now(bytes) => {
                assert!((1..=want).contains(&bytes));
                // Which of several classes pays isn't told.
                let class = match self.torrents[torrent].1[..] {
                    [class] => Some((1, class)),
                    _ => None,
                };
                let levels = [Some((0, 0)), class, Some((2, torrent)), Some((3, nth))];
                for (level, nth) in levels.into_iter().flatten() {
                    self.sums[level][nth][usize::from(direction == Direction::Upload)].pass(bytes);
                }
            }
            Grant::Later(then) => assert!(then > self.now, "a wait ends later than it begins"),
        }
        grant
    }

    /// From here on nothing changes, and all want all they can get.
    fn everybody_gets_bytes(&mut self) {
        for direction in [Direction::Download, Direction::Upload] {
            let begin = self.now;
            let mut next = [begin; LINKS];
            let mut fed = [false; LINKS];
            while fed.contains(&false) {
                let nth = (0..LINKS).min_by_key(|&nth| next[nth]).expect("there are links");
                self.wait(next[nth].saturating_duration_since(self.now));
                assert!(self.now <= begin + PATIENCE, "some wait for ever: {fed:?}");
                next[nth] = match self.take(nth, direction, 16 * 1_024) {
                    Grant::Now(_) => {
                        fed[nth] = true;
                        self.now + PAUSE
                    }
                    Grant::Later(then) => then,
                };
                while let Some(woken) = self.shaper.poll_woken() {
                    if let Some(nth) = self.links.iter().position(|&(link, _)| link == woken) {
                        next[nth] = next[nth].min(self.now);
                    }
                }
            }
        }
    }
}
