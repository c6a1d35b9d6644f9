"""What schemathesis is told besides the description: a torrent and a session that are there whenever they are asked for."""

import os
from urllib.parse import unquote

import requests
import schemathesis
from hypothesis import strategies as st

TORRENT = open(os.environ["AFFLUX_TORRENT"], "rb").read()
HASH = os.environ["AFFLUX_HASH"]
# Where the film of that torrent is, and what it is.
PLACE = os.environ["AFFLUX_FILM"]
FILM = open(PLACE, "rb").read()
BASE = os.environ["AFFLUX_BASE"]
USER = os.environ["AFFLUX_USER"]
ME = {"Authorization": "Bearer " + os.environ["AFFLUX_TOKEN"]}

schemathesis.openapi.media_type("application/x-bittorrent", st.just(TORRENT) | st.binary(max_size=200))


def begin_session():
    """Names the torrent and starts a session, unless both are there already; the film and limits are as they were."""
    if not os.path.exists(PLACE):
        os.makedirs(os.path.dirname(PLACE), exist_ok=True)
        with open(PLACE, "wb") as film:
            film.write(FILM)
    unlimited = {"maxStreams": None, "downloadLimit": None, "uploadLimit": None}
    requests.patch(f"{BASE}/api/limits", json=unlimited, headers=ME, timeout=30)
    parse = {**ME, "Content-Type": "application/x-bittorrent"}
    start = {**ME, "Accept": "application/json"}
    requests.post(f"{BASE}/api/torrents/parse", data=TORRENT, headers=parse, timeout=30)
    answer = requests.get(f"{BASE}/api/stream/{HASH}", headers=start, timeout=30)
    return answer.json() if answer.ok else None


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of all right hashes become that of the torrent that is there, and half of its files' numbers that of its film: nobody
    finds them by chance."""
    hash_ = (path_parameters or {}).get("hash")
    if isinstance(hash_, str) and len(hash_) in (40, 64) and hash_[-1] in "02468ACEace":
        path_parameters = {**path_parameters, "hash": HASH}
        file = path_parameters.get("file")
        if isinstance(file, int) and not isinstance(file, bool) and 0 <= file < 2**32 and file % 2 == 0:
            return {**path_parameters, "file": 0}
    return path_parameters


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts back what other requests took away, and leaves the account that asks alone."""
    path = case.path_parameters or {}
    if path.get("name") == USER:
        path["name"] = "somebody else"
    if unquote(str(path.get("hash", ""))).lower() == HASH:
        begin_session()
    token = path.get("token")
    if isinstance(token, str) and len(token) == 62 and token[-1] not in "0Aa_":
        session = begin_session()
        if session is not None:
            url = session["playlistUrl" if "playlist" in case.operation.path else "url"]
            path["token"] = url.split("/")[-2]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whoever brings wrong tokens again and again is told to slow down (429) rather than that they are wrong (401). That keeps
    them out as well; that they were let in is never dropped here."""
    return not (failure.code == "ST401" and "got `429 " in failure.message)
