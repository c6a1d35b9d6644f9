// What the page does for the test: plays a while, seeks, and reads back what is shown.

const video = document.querySelector("video");
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [video.width, video.height];
const context = canvas.getContext("2d", { willReadFrequently: true });

const PLAYED_SECONDS = 1;
const NEAR_SECONDS = 1;

// Everything that went wrong with the film or its subtitles.
const complaints = [];
video.addEventListener("error", () => complaints.push(`video ${video.error.code}: ${video.error.message}`));
document.querySelector("track").addEventListener("error", () => complaints.push("the track failed"));

const isShown = () => new Promise((done) => video.requestVideoFrameCallback((_, frame) => done(frame)));

// The brightness of the picture, in Base64.
function picture() {
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let text = "";
  for (let at = 1; at < pixels.length; at += 4) text += String.fromCharCode(pixels[at]);
  return btoa(text);
}

// Plays on for a while; pictures on the way.
async function play() {
  const from = video.currentTime;
  const pictures = [];
  await video.play();
  while (video.currentTime < from + PLAYED_SECONDS) {
    await isShown();
    pictures.push(picture());
    // Some are enough.
    await new Promise((done) => setTimeout(done, 200));
  }
  video.pause();
  return pictures;
}

// Goes to a moment; the picture and the lines that are shown there.
async function seek(seconds) {
  const arrived = new Promise((done) => video.addEventListener("seeked", done, { once: true }));
  video.currentTime = seconds;
  // The last picture of before may still be on its way.
  while (Math.abs((await isShown()).mediaTime - seconds) > NEAR_SECONDS);
  await arrived;
  const cues = video.textTracks[0].activeCues;
  return { picture: picture(), lines: Array.from(cues, (cue) => cue.text) };
}
