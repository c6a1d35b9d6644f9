//! Measures how many names of subtitles are understood: `score_sidecars FILE`, where a line is
//! `{"video"?, "sidecar", "title"?, "language"? | "language3"?, "default"?, "forced"?, "sdh"?}`; what isn't there isn't asked.

use afflux_media::Language;
use afflux_media::sidecar::{Sidecar, sidecars};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: score_sidecars FILE")?;
    let rows = std::fs::read_to_string(path)?;
    let (mut right, mut all) = (0, 0);
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row)?;
        let name = row["sidecar"].as_str().ok_or("a row has no sidecar")?;
        let video = row["video"].as_str().map_or_else(|| video_of(name), str::to_owned);
        let found = sidecars(&video, &[video.as_str(), name]);
        let wrong =
            found.first().map_or_else(|| vec!["not found".to_owned()], |sidecar| faults(sidecar, &row));
        all += 1;
        right += u32::from(wrong.is_empty());
        if !wrong.is_empty() {
            println!("{name}: {}", wrong.join(", "));
        }
    }
    println!("{right} of {all} fully right");
    Ok(())
}

/// A row without a video has one whose name ends with its brackets, else before the first dot.
fn video_of(name: &str) -> String {
    let end = name.rfind(']').map(|at| at + 1).or(name.find('.')).unwrap_or(name.len());
    format!("{}.mkv", &name[..end])
}

fn faults(sidecar: &Sidecar, row: &Value) -> Vec<String> {
    let language = sidecar.language.map(|tag| tag.language);
    let facts = [
        ("title", Value::from(sidecar.title.clone())),
        ("language", Value::from(language.map(Language::name))),
        ("language3", Value::from(language.map(Language::alpha3_b))),
        ("default", sidecar.is_default.into()),
        ("forced", sidecar.is_forced.into()),
        ("sdh", sidecar.is_sdh.into()),
    ];
    let is_wrong = |(name, found): &(&str, Value)| row.get(name).is_some_and(|expected| expected != found);
    facts.into_iter().filter(is_wrong).map(|(name, found)| format!("{name} is {found}")).collect()
}
