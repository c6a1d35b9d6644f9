#!/usr/bin/env python3
"""libtorrent, driven from the tests: one mode per run, one JSON object per line on standard output.

create PATH OUT --piece-length N    makes a v1 .torrent
info TORRENT                        says what libtorrent reads in it
session                             one torrent: seeds what is in --save, or downloads into it
nodes                               DHT nodes that know each other
"""

import argparse
import json
import os
import sys
import time

import libtorrent as lt


def say(**fields):
    print(json.dumps(fields), flush=True)


def settings(address, dht):
    """A session that keeps to itself but for what a test asks of it, and minds no loopback address."""
    return {
        "listen_interfaces": address,
        "enable_dht": dht,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "allow_multiple_connections_per_ip": True,
        "dht_bootstrap_nodes": "",
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_prefer_verified_node_ids": False,
        "dht_enforce_node_id": False,
        "dht_ignore_dark_internet": False,
        "dht_announce_interval": 15,
        "min_reconnect_time": 1,
        "urlseed_wait_retry": 1,
        "no_connect_privileged_ports": False,
        "ssrf_mitigation": False,
        "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification
        | lt.alert.category_t.tracker_notification,
    }


def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def create(arguments):
    files = lt.file_storage()
    lt.add_files(files, arguments.path)
    maker = lt.create_torrent(files, piece_size=arguments.piece_length, flags=lt.create_torrent.v1_only)
    maker.set_creator("")
    for url in arguments.tracker:
        maker.add_tracker(url)
    lt.set_piece_hashes(maker, os.path.dirname(os.path.abspath(arguments.path)))
    with open(arguments.out, "wb") as out:
        out.write(lt.bencode(maker.generate()))
    say(event="created", infoHash=str(lt.torrent_info(arguments.out).info_hash()))


def info(arguments):
    torrent = lt.torrent_info(arguments.torrent)
    files = torrent.files()
    say(
        event="info",
        infoHash=str(torrent.info_hash()),
        name=torrent.name(),
        pieceLength=torrent.piece_length(),
        pieceCount=torrent.num_pieces(),
        totalSize=torrent.total_size(),
        private=torrent.priv(),
        trackers=[tracker.url for tracker in torrent.trackers()],
        files=[{"path": files.file_path(nth), "size": files.file_size(nth)} for nth in range(files.num_files())],
    )


def limit_everyone(session):
    """libtorrent exempts local peers from limits unless every address is put into the global class."""
    everyone = lt.ip_filter()
    everyone.add_rule("0.0.0.0", "255.255.255.255", 1)
    session.set_peer_class_filter(everyone)


def session(arguments):
    options = settings(arguments.listen, arguments.node != [])
    session = lt.session(options)
    limit_everyone(session)
    for node in arguments.node:
        session.add_dht_node(endpoint(node))
    if arguments.torrent:
        parameters = lt.add_torrent_params()
        parameters.ti = lt.torrent_info(arguments.torrent)
    else:
        parameters = lt.parse_magnet_uri(arguments.magnet)
    parameters.save_path = arguments.save
    parameters.upload_limit = arguments.upload_limit
    parameters.download_limit = arguments.download_limit
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    torrent = session.add_torrent(parameters)
    for url in arguments.tracker:
        torrent.add_tracker({"url": url, "tier": 0})
    say(event="listening", port=session.listen_port())
    watch(session, torrent, arguments)


def watch(session, torrent, arguments):
    """Tells what happens to the torrent until the process is killed."""
    seen = set()
    announced = 0.0

    def once(event, **fields):
        if event not in seen:
            seen.add(event)
            say(event=event, **fields)

    while True:
        for alert in session.pop_alerts():
            print(type(alert).__name__, alert.message(), file=sys.stderr, flush=True)
            if isinstance(alert, lt.tracker_reply_alert):
                once("announced")
        status = torrent.status()
        if status.errc.value():
            once("error", message=status.errc.message())
        if status.has_metadata:
            once("metadata", name=torrent.torrent_file().name(), infoHash=str(torrent.torrent_file().info_hash()))
        if status.is_seeding:
            once("seeding")
        for peer in arguments.peer:
            if status.num_peers == 0:
                torrent.connect_peer(endpoint(peer))
        if arguments.node and time.monotonic() - announced > 3:
            announced = time.monotonic()
            torrent.force_dht_announce()
            once("dht", nodes=session.status().dht_nodes)
        print(
            f"{status.state} progress={status.progress:.3f} peers={status.num_peers} "
            f"down={status.total_payload_download} up={status.total_payload_upload} "
            f"dht={session.status().dht_nodes}",
            file=sys.stderr,
            flush=True,
        )
        time.sleep(0.3)


def nodes(arguments):
    sessions = []
    for nth in range(arguments.count):
        session = lt.session(settings(f"127.0.0.{20 + nth}:{arguments.port}", True))
        for known in range(nth):
            session.add_dht_node((f"127.0.0.{20 + known}", arguments.port))
        sessions.append(session)
        time.sleep(0.2)
    say(event="nodes", nodes=[f"127.0.0.{20 + nth}:{arguments.port}" for nth in range(arguments.count)])
    while True:
        print([session.status().dht_nodes for session in sessions], file=sys.stderr, flush=True)
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser()
    modes = parser.add_subparsers(required=True)

    mode = modes.add_parser("create")
    mode.add_argument("path")
    mode.add_argument("out")
    mode.add_argument("--piece-length", type=int, required=True)
    mode.add_argument("--tracker", action="append", default=[])
    mode.set_defaults(run=create)

    mode = modes.add_parser("info")
    mode.add_argument("torrent")
    mode.set_defaults(run=info)

    mode = modes.add_parser("session")
    mode.add_argument("--listen", required=True)
    mode.add_argument("--torrent")
    mode.add_argument("--magnet")
    mode.add_argument("--save", required=True)
    mode.add_argument("--upload-limit", type=int, default=-1)
    mode.add_argument("--download-limit", type=int, default=-1)
    mode.add_argument("--peer", action="append", default=[])
    mode.add_argument("--node", action="append", default=[])
    mode.add_argument("--tracker", action="append", default=[])
    mode.set_defaults(run=session)

    mode = modes.add_parser("nodes")
    mode.add_argument("--port", type=int, required=True)
    mode.add_argument("--count", type=int, default=5)
    mode.set_defaults(run=nodes)

    arguments = parser.parse_args()
    arguments.run(arguments)


main()
