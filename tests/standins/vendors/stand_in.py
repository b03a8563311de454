"""What all stand-ins share: HTTP, accounts with their records, and the control endpoint. It knows no vendor.

An account is what a business has at a vendor. Its credentials decide which records a request sees. The control
endpoint is below `/control`, which no vendor has:

    POST   /control/accounts/NAME               opens an account, and answers its credentials
    GET    /control/accounts/NAME/records       the records as they are stored, deleted ones not
    POST   /control/accounts/NAME/records       plants records: a list, with the vendor's names of fields
    PATCH  /control/accounts/NAME/records/ID    changes a record, as another client of the vendor would
    DELETE /control/accounts/NAME/records/ID    deletes a record, as another client of the vendor would
    GET    /control/accounts/NAME/writes        the requests of clients that were no reads, the oldest first
    POST   /control/accounts/NAME/lost          loses the answers to so many next writes, which happen all the same:
                                                those whose body has a text
"""

import json
import re
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Refused(Exception):
    """The vendor's answer to a request that it does not accept."""

    def __init__(self, *answer):
        self.answer = answer


class Request:
    """A request of a client: `path` is decoded, and `json` is None without a body."""

    def __init__(self, method, target, headers, body):
        parts = urlsplit(target)
        self.method, self.headers, self.body = method, headers, body
        self.path = [unquote(part) for part in parts.path.split("/")[1:]]
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.target, self.json = target, None


class Account:
    """The records of one business, the oldest first, and what clients have written."""

    def __init__(self, name, credentials):
        self.name, self.credentials = name, credentials
        self.records, self.writes, self.lost, self.lost_text = {}, [], 0, ""


class StandIn:
    """One vendor on one port. A vendor's class has its rules."""

    name = ""

    def __init__(self):
        self.accounts, self.lock = {}, threading.RLock()
        self.clock = datetime(2026, 1, 1, tzinfo=timezone.utc)

    # What a vendor's class says.

    def credentials(self, account):
        """The credentials of a new account, with the names that the vendor gives them."""
        raise NotImplementedError

    def account_of(self, request):
        """The account whose credentials the request has."""
        raise NotImplementedError

    def answer(self, request, account):
        """Status, document and headers of the vendor's answer."""
        raise NotImplementedError

    def malformed(self, detail):
        """The answer to a body that is no JSON."""
        raise NotImplementedError

    def stored(self, fields):
        """A new record, with an id unless the fields have one."""
        raise NotImplementedError

    def touched(self, record):
        """Notes that a record has changed."""
        raise NotImplementedError

    # What all have in common.

    def now(self):
        """The time, or a microsecond after the last answer: no two records have the same."""
        self.clock = max(datetime.now(timezone.utc), self.clock + timedelta(microseconds=1))
        return self.clock

    def add(self, account, fields):
        record = self.stored(fields)
        account.records[record["id"]] = record
        return record

    def newest_first(self, account):
        return list(reversed(account.records.values()))

    def handle(self, request):
        """The answer to one request, as if no other were made at the same time. `None`: it is lost."""
        with self.lock:
            if request.path[0] == "control":
                return self.control(request)
            try:
                if request.body:
                    try:
                        request.json = json.loads(request.body)
                    except ValueError as error:
                        return self.malformed(str(error))
                account = self.account_of(request)
                is_write = request.method not in ("GET", "HEAD")
                if is_write:
                    account.writes.append({"method": request.method, "path": request.target, "body": request.json})
                answer = self.answer(request, account)
                if is_write and account.lost and account.lost_text.encode() in request.body:
                    account.lost -= 1
                    return None
                return answer
            except Refused as refused:
                return refused.answer

    def control(self, request):
        match request.method, request.path[1:]:
            case "POST", ["accounts", name]:
                account = self.accounts.setdefault(name, Account(name, self.credentials(name)))
                return 200, account.credentials
            case "GET", ["accounts", name, "records"]:
                return 200, list(self.accounts[name].records.values())
            case "GET", ["accounts", name, "writes"]:
                return 200, self.accounts[name].writes
            case "POST", ["accounts", name, "records"]:
                return 200, [self.add(self.accounts[name], fields) for fields in json.loads(request.body)]
            case "POST", ["accounts", name, "lost"]:
                account, asked = self.accounts[name], json.loads(request.body)
                account.lost, account.lost_text = asked["count"], asked["text"]
                return 200, None
            case "PATCH", ["accounts", name, "records", id]:
                record = self.accounts[name].records[id]
                record.update(json.loads(request.body))
                self.touched(record)
                return 200, record
            case "DELETE", ["accounts", name, "records", id]:
                return 200, self.accounts[name].records.pop(id)
        return 404, {"error": "the control endpoint has no such path"}

    def serve(self):
        """Serves on a port that the system chooses, in the background. Returns the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"stand_in": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"


class Handler(BaseHTTPRequestHandler):
    stand_in = None
    protocol_version = "HTTP/1.1"
    # Head and body leave in one packet. Otherwise each answer would wait for the client's acknowledgement.
    wbufsize = -1

    def respond(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body)
        answer = self.stand_in.handle(request)
        if answer is None:
            self.close_connection = True
            return
        status, document, *more = answer
        content, kind = b"", None
        if isinstance(document, str):
            content, kind = document.encode(), "text/html; charset=utf-8"
        elif document is not None:
            content, kind = json.dumps(document, ensure_ascii=False).encode(), "application/json; charset=utf-8"
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

    def log_message(self, *_):
        """Prints nothing."""


def page_of(items, page, size):
    return items[(page - 1) * size : page * size]


def seconds():
    return int(time.time())
