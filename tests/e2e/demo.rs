//! The demo, as a newcomer runs it.

use crate::harness::Scratch;
use crate::harness::afflux::Afflux;

#[test]
fn the_demo_checks_itself_and_prints_what_it_measured() {
    let scratch = Scratch::new();
    let mut demo = Afflux::new(&scratch, "demo").args(["demo", "--check"]).start();
    demo.succeed();
    let said = demo.stdout();
    for measure in ["every byte is right", "first byte", "seeks", "buffer"] {
        assert!(said.contains(measure), "{measure:?} is missing in {said}");
    }
    assert_eq!(said.matches("which was missing").count(), 3, "{said}");
}

#[test]
fn the_demo_without_a_player_prints_its_url_and_ends_on_a_signal() {
    let scratch = Scratch::new();
    let mut demo = Afflux::new(&scratch, "demo").args(["demo", "--json", "--port", "0"]).start();
    let url = demo.event("ready")["url"].as_str().expect("a URL").to_owned();
    let response = crate::harness::http::get(&url, Some((0, 999)));
    assert_eq!((response.status, response.bytes().len()), (206, 1000));
    demo.signal("INT");
    demo.succeed();
}
