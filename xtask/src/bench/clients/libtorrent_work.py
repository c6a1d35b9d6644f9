"""Downloads, seeds or verifies a torrent with libtorrent.

Usage: libtorrent_work.py download TORRENT FOLDER PEER...
       libtorrent_work.py seed TORRENT FOLDER ADDRESS
       libtorrent_work.py check TORRENT FOLDER

Says "ready", waits for a line, adds the torrent. `seed` says "seeding", dials each address that is the first word of a line, and
goes on until its standard input closes; the others say "done BYTES_WASTED", write what is still to be written, and end. Defaults, but for discovery, uTP and encryption.
"""

import os
import sys

import libtorrent as lt

verb, torrent, folder, *more = sys.argv[1:]

session = lt.session(
    {
        "listen_interfaces": more[0] if verb == "seed" else "127.0.0.1:0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "in_enc_policy": lt.enc_policy.disabled,
        "out_enc_policy": lt.enc_policy.disabled,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.storage_notification,
    }
)


def wait_for(kind):
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_error_alert | lt.file_error_alert):
                sys.exit(alert.message())
            if isinstance(alert, kind):
                return


def dial(handle, peer):
    host, port = peer.rsplit(":", 1)
    handle.connect_peer((host, int(port)))


params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = folder
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
if verb == "seed":
    params.flags |= lt.torrent_flags.seed_mode

print("ready", flush=True)
sys.stdin.readline()
handle = session.add_torrent(params)
if verb == "seed":
    print("seeding", flush=True)
    for line in sys.stdin:
        dial(handle, line.split()[0])
    os._exit(0)
for peer in more if verb == "download" else []:
    dial(handle, peer)
wait_for(lt.torrent_finished_alert)
status = handle.status()
print(f"done {status.total_failed_bytes + status.total_redundant_bytes}", flush=True)
if verb == "download":
    handle.flush_cache()
    wait_for(lt.cache_flushed_alert)
os._exit(0)
