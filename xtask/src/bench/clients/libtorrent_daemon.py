"""A libtorrent session with complete torrents, that waits.

Usage: libtorrent_daemon.py PORT CONNECTIONS TORRENTS FOLDER

Adds every .torrent of the folder TORRENTS, whose files are in FOLDER, says "ready" when all of them are seeding, and ends
with its standard input. Defaults, but for discovery, uTP and encryption, for as many connections as are told, and
for torrents that all run at once, unmanaged.
"""

import pathlib
import sys
import time

import libtorrent as lt


def main():
    port, connections, torrents, folder = sys.argv[1:]
    session = lt.session(
        {
            "listen_interfaces": f"127.0.0.1:{port}",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "connections_limit": int(connections),
            "alert_mask": 0,
        }
    )
    handles = []
    for torrent in pathlib.Path(torrents).glob("*.torrent"):
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(str(torrent))
        params.save_path = folder
        # What is managed for us is checked one after another, with pauses.
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        handles.append(session.add_torrent(params))
    while not all(handle.status().is_seeding for handle in handles):
        time.sleep(0.5)
    print("ready", flush=True)
    sys.stdin.read()


main()
