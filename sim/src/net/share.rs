//! Max-min fair sharing of lines among flows, kept up to date by what changes.
//!
//! Every flow crosses two lines: its sender's uplink and its receiver's downlink. Each line offers all its flows the same
//! rate, the *level*: such that the line is just full when flows that their other line holds lower take only that. A flow
//! gets the lower one of its two levels. When every line's level fits all others', the rates are max-min fair: each flow
//! is the fastest (or one of them) on a full line.
//!
//! A change makes the two lines of a flow stale; a line whose level has changed makes those stale that it holds lower.
//! That goes on until nothing changes by more than a ten-thousandth, and mostly it ends where it began.

use std::collections::VecDeque;

/// Levels that differ by less are the same.
const CLOSE: f64 = 1e-4;

/// Lines looked at in one go; what is left is looked at in the next. Levels that approach each other in small steps must
/// not hold a run up.
const LOOKS_MAX: usize = 4_096;

/// A line: a node's uplink or downlink.
#[derive(Debug)]
struct Line {
    capacity: f64,
    level: f64,
    flows: Vec<u32>,
    stale: bool,
}

/// A flow's place in both lines.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    lines: [u32; 2],
    at: [u32; 2],
    active: bool,
    rate: f64,
}

/// All lines, and the flows that have something to send.
#[derive(Debug, Default)]
pub(super) struct Share {
    lines: Vec<Line>,
    places: Vec<Place>,
    stale: VecDeque<u32>,
    /// Flows whose rate has changed.
    changed: Vec<u32>,
    caps: Vec<f64>,
}

impl Share {
    /// Adds a line of so many bytes per second.
    pub(super) fn add_line(&mut self, capacity: f64) -> u32 {
        self.lines.push(Line { capacity, level: capacity, flows: Vec::new(), stale: false });
        self.lines.len() as u32 - 1
    }

    /// The flow has something to send from now on.
    pub(super) fn start(&mut self, flow: u32, up: u32, down: u32) {
        if self.places.len() <= flow as usize {
            self.places.resize(flow as usize + 1, Place::default());
        }
        let place = &mut self.places[flow as usize];
        *place = Place { lines: [up, down], at: [0; 2], active: true, rate: 0.0 };
        for (at, &line) in place.at.iter_mut().zip(&[up, down]) {
            let flows = &mut self.lines[line as usize].flows;
            *at = flows.len() as u32;
            flows.push(flow);
        }
        self.mark(up);
        self.mark(down);
    }

    /// The flow has nothing to send any more.
    pub(super) fn stop(&mut self, flow: u32) {
        let Some(place) = self.places.get_mut(flow as usize).filter(|place| place.active) else { return };
        place.active = false;
        let Place { lines, at, .. } = *place;
        for side in 0..2 {
            let flows = &mut self.lines[lines[side] as usize].flows;
            flows.swap_remove(at[side] as usize);
            if let Some(&moved) = flows.get(at[side] as usize) {
                self.places[moved as usize].at[side] = at[side];
            }
            self.mark(lines[side]);
        }
    }

    /// What the flow gets, in bytes per second.
    pub(super) fn rate(&self, flow: u32) -> f64 {
        self.places[flow as usize].rate
    }

    /// Makes levels fit each other again. Afterwards [`Self::take_changed`] tells whose rate has changed.
    pub(super) fn settle(&mut self) {
        for _ in 0..LOOKS_MAX {
            let Some(line) = self.stale.pop_front() else { return };
            self.lines[line as usize].stale = false;
            self.look(line);
        }
    }

    /// A flow whose rate has changed since it was last taken; it may have changed back.
    pub(super) fn take_changed(&mut self) -> Option<u32> {
        self.changed.pop()
    }

    fn mark(&mut self, line: u32) {
        if !std::mem::replace(&mut self.lines[line as usize].stale, true) {
            self.stale.push_back(line);
        }
    }

    /// Computes a line's level anew, and what follows for its flows and their other lines.
    fn look(&mut self, line: u32) {
        let flows = std::mem::take(&mut self.lines[line as usize].flows);
        self.caps.clear();
        for &flow in &flows {
            self.caps.push(self.lines[self.other(flow, line) as usize].level);
        }
        let before = self.lines[line as usize].level;
        let level = level(self.lines[line as usize].capacity, &mut self.caps);
        let same = (level - before).abs() <= before * CLOSE;
        let level = if same { before } else { level };
        self.lines[line as usize].level = level;
        for &flow in &flows {
            let other = self.other(flow, line);
            let cap = self.lines[other as usize].level;
            let rate = level.min(cap);
            let place = &mut self.places[flow as usize];
            if (rate - place.rate).abs() > place.rate * CLOSE {
                place.rate = rate;
                self.changed.push(flow);
            }
            // The other line's level depends on ours only where ours is the lower one, or was.
            if !same && level.min(before) < cap {
                self.mark(other);
            }
        }
        self.lines[line as usize].flows = flows;
    }

    fn other(&self, flow: u32, line: u32) -> u32 {
        let [up, down] = self.places[flow as usize].lines;
        if line == up { down } else { up }
    }
}

/// The level at which flows that can take at most `caps` fill a line; if all of them together don't, what one of them could
/// have more. Sorts `caps`.
fn level(capacity: f64, caps: &mut [f64]) -> f64 {
    if caps.is_empty() {
        return capacity;
    }
    let fair = capacity / caps.len() as f64;
    let least = caps.iter().copied().fold(f64::INFINITY, f64::min);
    if least >= fair {
        return fair;
    }
    let sum: f64 = caps.iter().sum();
    let most = caps.iter().copied().fold(0.0, f64::max);
    if sum <= capacity {
        return most + (capacity - sum);
    }
    caps.sort_unstable_by(f64::total_cmp);
    let (mut left, mut count) = (capacity, caps.len() as f64);
    for &cap in caps.iter() {
        if cap * count >= left {
            return left / count;
        }
        left -= cap;
        count -= 1.0;
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(rate: f64, expected: f64) -> bool {
        (rate - expected).abs() <= expected * 1e-3
    }

    /// Lines `0..n` go up and `n..2n` down.
    fn share(ups: &[f64], downs: &[f64]) -> Share {
        let mut share = Share::default();
        for &capacity in ups.iter().chain(downs) {
            share.add_line(capacity);
        }
        share
    }

    #[test]
    fn an_uplink_is_shared_equally_and_what_a_slow_receiver_leaves_goes_to_the_others() {
        let mut share = share(&[90.0, 0.0, 0.0, 0.0], &[1000.0, 1000.0, 1000.0, 10.0]);
        for flow in 0..3 {
            share.start(flow, 0, 5 + flow);
        }
        share.settle();
        assert!(close(share.rate(0), 40.0) && close(share.rate(1), 40.0) && close(share.rate(2), 10.0));
        share.stop(0);
        share.settle();
        assert!(close(share.rate(1), 80.0) && close(share.rate(2), 10.0));
        share.stop(2);
        share.settle();
        assert!(close(share.rate(1), 90.0));
    }

    #[test]
    fn any_set_of_flows_is_max_min_fair() {
        let mut chance = crate::chance::Chance::new(7);
        for _ in 0..200 {
            let count = 2 + chance.below(12);
            let capacities: Vec<f64> = (0..2 * count).map(|_| 10.0 + 1000.0 * chance.unit()).collect();
            let mut share = share(&capacities[..count], &capacities[count..]);
            let mut flows = Vec::new();
            for flow in 0..(4 * count) as u32 {
                let (up, down) = (chance.below(count) as u32, (count + chance.below(count)) as u32);
                share.start(flow, up, down);
                flows.push((flow, up, down));
                if chance.happens(0.3) {
                    let (gone, ..) = flows.swap_remove(chance.below(flows.len()));
                    share.stop(gone);
                }
                if chance.happens(0.5) {
                    share.settle();
                }
            }
            (0..50).for_each(|_| share.settle());
            let load = |line: u32| -> f64 {
                let crossing = flows.iter().filter(|(_, up, down)| *up == line || *down == line);
                crossing.map(|(flow, ..)| share.rate(*flow)).sum()
            };
            let fastest = |line: u32| -> f64 {
                let crossing = flows.iter().filter(|(_, up, down)| *up == line || *down == line);
                crossing.map(|(flow, ..)| share.rate(*flow)).fold(0.0, f64::max)
            };
            for line in 0..capacities.len() as u32 {
                assert!(load(line) <= capacities[line as usize] * 1.01, "more than the line carries");
            }
            for &(flow, up, down) in &flows {
                let held_by = |line: u32| {
                    load(line) >= capacities[line as usize] * 0.99 && share.rate(flow) >= fastest(line) * 0.99
                };
                assert!(held_by(up) || held_by(down), "flow {flow} could be faster");
            }
        }
    }
}
