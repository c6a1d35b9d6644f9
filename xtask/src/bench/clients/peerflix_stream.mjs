// Streams a torrent's first file with peerflix's own HTTP server.
//
// Usage: peerflix_stream.mjs MODULES TORRENT FOLDER
//
// Says "ready", waits for a line, adds the torrent, says "url http://..."; ends with its standard input. Defaults of its
// command line, but for discovery beyond the tracker.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, torrentFile, folder] = process.argv.slice(2)
const require = createRequire(pathToFileURL(`${modules}/`))
const peerflix = require('peerflix')

console.log('ready')
process.stdin.once('data', () => {
  const options = { path: folder, dht: false, connections: 100, hostname: '127.0.0.1', port: 0, index: 0 }
  const engine = peerflix(readFileSync(torrentFile), options)
  engine.server.on('listening', () => {
    console.log(`url http://127.0.0.1:${engine.server.address().port}/0`)
  })
})
process.stdin.on('end', () => process.exit())
