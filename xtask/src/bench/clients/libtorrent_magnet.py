"""Gets a magnet's metadata with libtorrent.

Usage: libtorrent_magnet.py MAGNET FOLDER

Says "ready", waits for a line, adds the magnet, says "metadata" once it has it; ends with its standard input. Defaults,
but for discovery beyond the tracker, uTP and encryption.
"""

import sys

import libtorrent as lt


def main():
    magnet, folder = sys.argv[1:]
    session = lt.session(
        {
            "listen_interfaces": "127.0.0.1:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "out_enc_policy": lt.enc_policy.disabled,
            "alert_mask": lt.alert.category_t.status_notification,
        }
    )
    print("ready", flush=True)
    sys.stdin.readline()
    params = lt.parse_magnet_uri(magnet)
    params.save_path = folder
    session.add_torrent(params)
    while True:
        session.wait_for_alert(1000)
        if any(isinstance(alert, lt.metadata_received_alert) for alert in session.pop_alerts()):
            break
    print("metadata", flush=True)
    sys.stdin.read()


main()
