//! Converts a subtitle file to WebVTT, or to SubRip if that is the second argument: `convert_subtitle FILE [srt]`.

use afflux_media::subtitle::{Hint, Options, Target, convert};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: convert_subtitle FILE [srt]")?;
    let target = if arguments.next().as_deref() == Some("srt") { Target::Srt } else { Target::WebVtt };
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    let hint = Hint { extension, ..Hint::default() };
    let converted = convert(&std::fs::read(&path)?, &hint, &Options { target, ..Options::default() })?;
    eprintln!("{} in {}, {} cues", converted.format, converted.encoding, converted.cues);
    print!("{}", converted.text);
    Ok(())
}
