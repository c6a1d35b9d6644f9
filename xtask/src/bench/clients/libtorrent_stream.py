"""Streams a torrent's first file with libtorrent's piece deadlines.

Usage: libtorrent_stream.py QUEUE_SECONDS TORRENT FOLDER

QUEUE_SECONDS is how much is kept asked of each peer: what was asked goes before what a seek wants. libtorrent's default
is 3, the least is 1. Says "ready", waits for a line, adds the torrent, says "url http://..."; ends with its standard
input. Else the session has libtorrent's defaults, but for discovery, uTP and encryption, which the swarm doesn't speak.
What is wanted:

- Each reader wants the pieces of the next AHEAD_BYTES from its place on. Their deadlines are one after another at the
  pace at which the film plays, the first at once.
- Pieces that no reader wants any more lose their deadline (a seek).
- The rest of the film is wanted as any download is.
"""

import http.server
import re
import sys
import threading

import libtorrent as lt

# What is given a deadline ahead of each reader; two pieces at the least.
AHEAD_BYTES = 8 * 1024 * 1024
FILM_BYTES_PER_SECOND = 1_000_000
# libtorrent's default.
PRIORITY = 4
# Verified pieces held for readers; older ones are asked of libtorrent again, which has them on disk.
HELD_BYTES_MAX = 64 * 1024 * 1024

SETTINGS = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "out_enc_policy": lt.enc_policy.disabled,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.storage_notification,
}


class Stream:
    """One torrent, and who reads where."""

    def __init__(self, session, info, folder):
        self.session = session
        self.info = info
        self.size = info.total_size()
        self.piece_bytes = info.piece_length()
        self.changed = threading.Condition()
        self.places = {}
        self.wanted = set()
        self.held = {}
        params = lt.add_torrent_params()
        params.ti = info
        params.save_path = folder
        self.torrent = session.add_torrent(params)
        threading.Thread(target=self.take_alerts, daemon=True).start()

    def take_alerts(self):
        while True:
            self.session.wait_for_alert(1000)
            for alert in self.session.pop_alerts():
                if isinstance(alert, lt.read_piece_alert):
                    self.take_piece(alert)

    def take_piece(self, alert):
        with self.changed:
            if alert.error.value() == 0:
                self.held[alert.piece] = bytes(alert.buffer)
                self.let_go()
            # Without a deadline any more, or read: either way it has to be asked for again.
            self.wanted.discard(alert.piece)
            self.changed.notify_all()

    def let_go(self):
        """Drops the pieces held longest that no reader stands at."""
        needed = {place // self.piece_bytes for place in self.places.values()}
        for piece in list(self.held):
            if len(self.held) * self.piece_bytes <= HELD_BYTES_MAX:
                return
            if piece not in needed:
                del self.held[piece]

    def windows(self):
        """Pieces that readers want, with their deadlines in ms."""
        deadlines = {}
        for place in self.places.values():
            first = place // self.piece_bytes
            count = max(2, AHEAD_BYTES // self.piece_bytes)
            last = min(first + count, self.info.num_pieces())
            for piece in range(first, last):
                begins = max(0, piece * self.piece_bytes - place)
                deadline = begins * 1000 // FILM_BYTES_PER_SECOND
                deadlines[piece] = min(deadline, deadlines.get(piece, deadline))
        return deadlines

    def retarget(self):
        """Tells libtorrent what changed since it was last told."""
        deadlines = self.windows()
        for piece in self.wanted - deadlines.keys():
            self.torrent.reset_piece_deadline(piece)
            # A deadline raises it, and it would stay so.
            self.torrent.piece_priority(piece, PRIORITY)
        self.wanted &= deadlines.keys()
        for piece, deadline in sorted(deadlines.items()):
            if piece not in self.wanted and piece not in self.held:
                self.torrent.set_piece_deadline(piece, deadline, lt.deadline_flags_t.alert_when_available)
                self.wanted.add(piece)

    def move(self, reader, place):
        with self.changed:
            if place is None:
                self.places.pop(reader, None)
            else:
                self.places[reader] = place
            self.retarget()

    def read(self, place, length):
        """The bytes at `place`, once their piece is there: not more than `length`, nor beyond the piece."""
        piece, begin = divmod(place, self.piece_bytes)
        with self.changed:
            while piece not in self.held:
                self.retarget()
                self.changed.wait()
            return memoryview(self.held[piece])[begin : begin + length]


class Handler(http.server.BaseHTTPRequestHandler):
    """GET with or without a range."""

    protocol_version = "HTTP/1.1"
    stream = None

    def do_GET(self):
        size = self.stream.size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]) if asked and asked[2] else size - 1, size - 1)
        if first > last:
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        self.send_body(first, last + 1)

    def send_body(self, place, end):
        reader = object()
        piece = None
        try:
            while place < end:
                if place // self.stream.piece_bytes != piece:
                    piece = place // self.stream.piece_bytes
                    self.stream.move(reader, place)
                bytes_there = self.stream.read(place, min(end - place, 128 * 1024))
                self.wfile.write(bytes_there)
                place += len(bytes_there)
        except OSError:
            self.close_connection = True
        finally:
            self.stream.move(reader, None)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    queue_seconds, torrent, folder = sys.argv[1:]
    session = lt.session(SETTINGS | {"request_queue_time": int(queue_seconds)})
    server = Server(("127.0.0.1", 0), Handler)
    print("ready", flush=True)
    sys.stdin.readline()
    Handler.stream = Stream(session, lt.torrent_info(torrent), folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"url http://127.0.0.1:{server.server_port}/0", flush=True)
    sys.stdin.read()


main()
