// Gets a magnet's metadata with webtorrent.
//
// Usage: webtorrent_magnet.mjs MODULES MAGNET FOLDER
//
// Says "ready", waits for a line, adds the magnet, says "metadata" once it has it; ends with its standard input.
// Defaults, but for discovery beyond the tracker, uTP and encryption.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, magnet, folder] = process.argv.slice(2)
const require = createRequire(pathToFileURL(`${modules}/`))
const { default: WebTorrent } = await import(pathToFileURL(require.resolve('webtorrent')))

const client = new WebTorrent({ dht: false, lsd: false, utp: false, natUpnp: false, natPmp: false, secure: 0 })
client.on('error', error => console.error(error))

console.log('ready')
process.stdin.once('data', () => {
  client.add(magnet, { path: folder }).on('metadata', () => console.log('metadata'))
})
process.stdin.on('end', () => process.exit())
