//! Scenario files that `afflux-sim` is given.

use afflux_sim::Scenario;
use afflux_sim::scenario::{Arrival, Role, limits};

/// A scenario file: no panic; every mistake has a place in the text and can be shown; what is accepted is inside the
/// limits.
pub fn scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Scenario::parse(text) {
        Ok(scenario) => assert_within_limits(&scenario),
        Err(error) => {
            assert!((1..=limits::MISTAKES_MAX).contains(&error.mistakes().len()));
            for mistake in error.mistakes() {
                assert!((1..=text.matches('\n').count() + 1).contains(&mistake.line));
                assert!(mistake.column >= 1 && mistake.width >= 1);
                let shown = mistake.source.chars().count();
                assert!(shown <= limits::SHOWN_CHARS_MAX);
            }
            let report = error.render("scenario.toml");
            let moves = |char: char| char.is_control() && char != '\n';
            assert!(!report.contains(moves), "{report:?} would move the terminal's cursor");
        }
    }
}

fn assert_within_limits(scenario: &Scenario) {
    let content = &scenario.content;
    assert!((limits::LENGTH_MIN..=limits::LENGTH_MAX).contains(&content.length));
    assert!(content.piece_length.is_power_of_two());
    assert!(content.length.div_ceil(content.piece_length) <= limits::PIECES_MAX);
    assert!((limits::LIMIT_MIN..=limits::LIMIT_MAX).contains(&scenario.limit));
    assert!((1..=limits::GROUPS_MAX).contains(&scenario.groups.len()));
    assert!(
        scenario.groups.iter().map(|group| u64::from(group.count)).sum::<u64>()
            <= u64::from(limits::PEERS_MAX)
    );
    assert!(scenario.groups.iter().any(|group| group.counted()));
    for group in &scenario.groups {
        assert!((1..=limits::NAME_CHARS_MAX).contains(&group.name.len()));
        assert!((limits::RATE_MIN..=limits::RATE_MAX).contains(&group.access.up));
        assert!((0.0..=limits::LOSS_MAX).contains(&group.access.loss));
        if let Arrival::At(last) | Arrival::Spread(last) = group.arrival {
            assert!(last < scenario.limit);
        }
        if let Role::Viewer(player) = &group.role {
            assert!((0.0..1.0).contains(&player.start));
        }
    }
}
