"""What is around the gateways of two hosts: PostgreSQL, HAProxy, and the clients of a merchant."""

import http.client
import itertools
import json
import os
import pwd
import random
import re
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from installation import PATIENCE, Failed

CLIENTS, PER_CLIENT = 8, 10  # clients, and requests a second of each
LONGEST_ANSWER = 15  # seconds


class Cluster:
    """PostgreSQL, with a role and a database as the document makes them. `url` is that of the database."""

    def __init__(self, address, making, peers):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        if not found:
            raise Failed("PostgreSQL is not installed")
        programs = found[-1].parent
        # The folder of the hosts is only for root.
        self.folder = tempfile.TemporaryDirectory()
        data, user = Path(self.folder.name), pwd.getpwnam("postgres")
        os.chown(data, user.pw_uid, user.pw_gid)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "PGHOST": str(data)}
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": data, "env": environment}
        options = ["--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
        self.run([programs / "initdb", *options, "-D", data], **as_user)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host passerelle passerelle 10.0.0.0/24 scram-sha-256\n")
        options = ["-c", f"listen_addresses={address}", "-c", f"unix_socket_directories={data}", "-c", "fsync=off"]
        log = (data / "server.log").open("wb")
        peers.append(subprocess.Popen([programs / "postgres", "-D", data, *options], stdout=log, stderr=log, **as_user))
        until("PostgreSQL", lambda: subprocess.run([programs / "pg_isready", "-q"], env=environment).returncode == 0)
        printed = self.run(["bash", "-euo", "pipefail", "-c", making], env=environment)
        # There is no TLS, and no name is resolved.
        self.url = printed.split()[-1].replace("db.internal", address).removesuffix("?sslmode=require")

    @staticmethod
    def run(command, **settings):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings)
        if done.returncode != 0:
            raise Failed(f"{command[0]}: exit code {done.returncode}:\n{done.stdout}")
        return done.stdout


class HaProxy:
    """HAProxy with the configuration of the document, but for TLS, and with all hosts."""

    def __init__(self, folder, text, address, hosts, peers):
        self.address = address
        text = re.sub(r"^( *bind) .*", rf"\1 {address}:80", text, flags=re.M)
        server = re.search(r"^    server \S+ \S+ (.*)$", text, re.M)
        servers = "\n".join(f"    server gateway{number + 1} {host}:8080 {server[1]}" for number, host in enumerate(hosts))
        text = text.replace(server[0], servers)
        settings = folder / "haproxy.cfg"
        settings.write_text(f"{text}frontend statistics\n    bind {address}:81\n    stats enable\n    stats uri /\n")
        peers.append(subprocess.Popen(["haproxy", "-db", "-q", "-f", settings], stdout=subprocess.DEVNULL))

    def has_all(self, count):
        """Waits until it sends requests to all hosts."""
        def holds():
            with urllib.request.urlopen(f"http://{self.address}:81/;csv", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            return sum(line.startswith("passerelle,gateway") and ",UP," in line for line in lines) == count
        until("HAProxy sends requests to all hosts", holds)


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise Failed(f"not after {PATIENCE} s: {what}")


class Load:
    """Clients of the merchant. Each keeps its connection for some requests, and repeats nothing."""

    def __init__(self, address, key):
        self.address = address
        self.headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.is_over, self.longest = False, 0.0
        self.answered, self.before, self.failed, self.created = [0] * CLIENTS, [0] * CLIENTS, [], []
        self.threads = [threading.Thread(target=self.client, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def client(self, number):
        chance, mine, connection, remaining = random.Random(number), [], None, 0
        for request in itertools.count():
            if self.is_over:
                return
            if remaining == 0:
                connection, remaining = http.client.HTTPConnection(self.address, timeout=LONGEST_ANSWER), chance.randint(1, 100)
            remaining -= 1
            method, path, customer = self.next(chance, number, request, mine)
            sent = time.monotonic()
            try:
                connection.request(method, path, headers=self.headers, body=customer and json.dumps(customer))
                answer = connection.getresponse()
                body = json.loads(answer.read())
                if answer.status not in (200, 201):
                    raise Failed(f"{answer.status}: {body}")
                if method == "POST":
                    mine.append(body["id"])
                    self.created.append(body["id"])
                self.answered[number] += 1
            # Whatever it is, it is a request that failed.
            except Exception as error:
                self.failed.append(f"{method} {path}: {error!r}")
                remaining = 0
            self.longest = max(self.longest, time.monotonic() - sent)
            time.sleep(1 / PER_CLIENT)

    @staticmethod
    def next(chance, number, request, mine):
        """The method, the path and the body of the next request."""
        kind = chance.random()
        if not mine or kind < 0.05:
            phone = f"+22070{number}{request % 10_000:04}"
            return "POST", "/v1/customers", {"name": f"Awa Diop {number}", "email": f"awa.{number}.{request}@example.com", "phone": phone}
        if kind < 0.1:
            return "PATCH", f"/v1/customers/{chance.choice(mine)}", {"name": f"Awa Ba {request}"}
        if kind < 0.2:
            return "GET", "/v1/customers?limit=20", None
        return "GET", f"/v1/customers/{chance.choice(mine)}", None

    def checked(self, step):
        """What the clients have seen until now. A failed request, or a client without an answer since the last time, ends the check."""
        before, self.before = self.before, list(self.answered)
        if not self.is_over:
            # The step may have been a short one.
            until("every client has got an answer", lambda: all(now > then for now, then in zip(self.answered, before, strict=True)))
        if self.failed:
            raise Failed(f"{step}: {len(self.failed)} requests failed, the first ones:\n" + "\n".join(self.failed[:5]))
        return f"{step}: {sum(self.answered)} requests until now, none failed"

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


def listed(address, key):
    """The ids of all customers, by the pages of their list."""
    ids, query = [], "limit=100"
    while True:
        request = urllib.request.Request(f"http://{address}/v1/customers?{query}", headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            page = json.load(answer)
        ids += [customer["id"] for customer in page["data"]]
        if not page["next_cursor"]:
            return ids
        query = f"limit=100&cursor={page['next_cursor']}"
