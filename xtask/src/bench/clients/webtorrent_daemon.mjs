// A webtorrent client with complete torrents, that waits.
//
// Usage: webtorrent_daemon.mjs MODULES PORT CONNECTIONS TORRENTS FOLDER
//
// Adds every .torrent of the folder TORRENTS, whose files are in FOLDER, says "ready" when all of them are done, and ends
// with its standard input. Defaults, but for discovery, uTP and encryption, and for as many connections as are told.

import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, port, connections, torrents, folder] = process.argv.slice(2)
const require = createRequire(pathToFileURL(`${modules}/`))
const { default: WebTorrent } = await import(pathToFileURL(require.resolve('webtorrent')))

const client = new WebTorrent({
  dht: false, lsd: false, utp: false, natUpnp: false, natPmp: false, secure: 0, tracker: false,
  torrentPort: Number(port), maxConns: Number(connections)
})
client.on('error', error => console.error(error))

for (const name of readdirSync(torrents).filter(name => name.endsWith('.torrent'))) {
  // One after another: it reads a whole torrent at once to verify it.
  await new Promise(resolve => client.add(`${torrents}/${name}`, { path: folder }, torrent => {
    if (torrent.done) resolve()
    else torrent.on('done', resolve)
  }))
}
console.log('ready')
process.stdin.resume()
process.stdin.on('end', () => process.exit())
