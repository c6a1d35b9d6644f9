// Downloads, seeds or verifies a torrent with webtorrent.
//
// Usage: webtorrent_work.mjs MODULES download TORRENT FOLDER PEER...
//        webtorrent_work.mjs MODULES seed TORRENT FOLDER PORT
//        webtorrent_work.mjs MODULES check TORRENT FOLDER
//
// Says "ready", waits for a line, adds the torrent, says "done" when it is complete and verified; ends with its standard
// input. Defaults, but for discovery, uTP and encryption.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, verb, torrentFile, folder, ...more] = process.argv.slice(2)
const require = createRequire(pathToFileURL(`${modules}/`))
const { default: WebTorrent } = await import(pathToFileURL(require.resolve('webtorrent')))

const torrentPort = verb === 'seed' ? Number(more[0]) : 0
const options = { dht: false, lsd: false, tracker: false, utp: false, natUpnp: false, natPmp: false, secure: 0, torrentPort }
const client = new WebTorrent(options)
client.on('error', error => {
  console.error(error)
  process.exit(1)
})

console.log('ready')
process.stdin.once('data', () => {
  // Without it what is seeded would be verified first.
  const torrent = client.add(torrentFile, { path: folder, skipVerify: verb === 'seed' })
  torrent.on('done', () => console.log('done'))
  // Which of the two it takes a peer at depends on what it has opened by then.
  const dial = () => more.forEach(peer => torrent.addPeer(peer))
  if (verb === 'download') torrent.on('infoHash', dial).on('ready', dial)
})
process.stdin.on('end', () => process.exit())
