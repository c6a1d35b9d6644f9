#!/bin/sh
# Makes the sample media of this folder out of ffmpeg's own test sources (Debian 12, ffmpeg 5.1):
# an MP4 whose index (moov) lies at the end of the file, as most downloads have it, and a Matroska file with
# its Cues at the end. testsrc2 shows a running clock, so that a seek can be checked by eye. The padding
# (filler) keeps the bit rate of a real film in a picture that would compress to nothing.
set -eu
cd "$(dirname "$0")"
seconds=72

clip() { # NAME VIDEO AUDIO_HZ [MUXER OPTIONS]
    name=$1 video=$2 hertz=$3
    shift 3
    ffmpeg -nostdin -hide_banner -loglevel error -y \
        -f lavfi -i "$video=size=640x360:rate=24:duration=$seconds" \
        -f lavfi -i "sine=frequency=$hertz:beep_factor=4:duration=$seconds" \
        -map 0:v -map 1:a -pix_fmt yuv420p -c:v libx264 -preset veryfast -profile:v main -threads 1 \
        -b:v 380k -minrate 380k -maxrate 380k -bufsize 760k -x264-params nal-hrd=cbr:filler=1 \
        -g 48 -keyint_min 48 -sc_threshold 0 -c:a aac -b:a 48k -ac 1 \
        -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -map_metadata -1 "$@" "$name"
}

subtitles() { # NAME TITLE
    for second in $(seq 0 4 $((seconds - 4))); do
        printf '%d\n00:%02d:%02d,000 --> 00:%02d:%02d,500\n%s, %d s\n\n' \
            $((second / 4 + 1)) $((second / 60)) $((second % 60)) \
            $(((second + 3) / 60)) $(((second + 3) % 60)) "$2" "$second"
    done >"$1"
}

clip "Afflux Test Card (2026) 360p.mp4" testsrc2 440
clip "Afflux Clock (2026) 360p.mkv" testsrc 330
subtitles "Afflux Test Card (2026) 360p.en.srt" "Test card"
subtitles "Afflux Clock (2026) 360p.en.srt" "Clock"
