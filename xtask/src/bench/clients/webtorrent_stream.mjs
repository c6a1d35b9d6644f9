// Streams a torrent's first file with webtorrent's own HTTP server.
//
// Usage: webtorrent_stream.mjs MODULES TORRENT FOLDER
//
// Says "ready", waits for a line, adds the torrent, says "url http://..."; ends with its standard input. Defaults, but
// for discovery beyond the tracker, uTP and encryption, which the swarm doesn't speak.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, torrentFile, folder] = process.argv.slice(2)
const require = createRequire(pathToFileURL(`${modules}/`))
const { default: WebTorrent } = await import(pathToFileURL(require.resolve('webtorrent')))

const client = new WebTorrent({ dht: false, lsd: false, utp: false, natUpnp: false, natPmp: false, secure: 0 })
client.on('error', error => console.error(error))
const instance = client.createServer()
await new Promise(resolve => instance.server.listen(0, '127.0.0.1', resolve))

console.log('ready')
process.stdin.once('data', () => {
  client.add(torrentFile, { path: folder }, torrent => {
    const { port } = instance.server.address()
    console.log(`url http://127.0.0.1:${port}${torrent.files[0].streamURL}`)
  })
})
process.stdin.on('end', () => process.exit())
