"""The stand-ins and the gateway as processes, and what a test does with them: as an operator and as a client."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
OPERATOR_KEY = "operator_key_0123456789abcdef0123456789abcdef"
MERCHANT_KEY = "merchant_key_0123456789abcdef0123456789abcdef"

VENDORS = {
    "lomi": 'provider = "lomi"',
    "modempay": 'provider = "modempay"',
    "bitnob": 'provider = "bitnob"\n                generation = "v2"',
    "notchpay": 'provider = "notchpay"',
}
BASE_PATH = {"lomi": "/v1"}


def call(method, url, body=None, headers=None):
    """One HTTP request. Returns the status and the document."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Account:
    """An account at a stand-in."""

    def __init__(self, vendor, address, name):
        self.vendor, self.address = vendor, address
        self.control = f"{address}/control/accounts/{name}"
        self.credentials = self.ask("POST", "")

    def ask(self, method, path, body=None):
        status, document = call(method, self.control + path, body)
        assert status == 200, f"{method} {self.control}{path} answered {status}: {document}"
        return document

    def plant(self, records):
        return self.ask("POST", "/records", records)

    def change(self, id, fields):
        return self.ask("PATCH", f"/records/{id}", fields)

    def remove(self, id):
        return self.ask("DELETE", f"/records/{id}")

    def lose(self, count, text=""):
        """Loses the answers to so many next writes whose body has the text. They happen all the same."""
        self.ask("POST", "/lost", {"count": count, "text": text})

    def records(self):
        return {record["id"]: record for record in self.ask("GET", "/records")}

    def writes(self):
        return self.ask("GET", "/writes")


@contextlib.contextmanager
def stand_ins():
    """Serves the stand-ins, and yields the address of each."""
    process = subprocess.Popen([HERE / "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()


class Gateway:
    """`passerelle serve` with one merchant, `shop`, in a folder of its own. Its connections are `main` and `new`."""

    def __init__(self, binary, folder, sides, settings):
        self.binary, self.folder, self.sides, self.settings = binary, Path(folder), sides, settings
        self.configuration, self.log, self.process = self.folder / "passerelle.toml", self.folder / "log", None
        self.environment = {**os.environ, "PASSERELLE_CONFIG": self.configuration.name, "SHOP_KEY": MERCHANT_KEY}
        self.environment |= {"NO_PROXY": "127.0.0.1", "PASSERELLE_OPERATOR_KEY": OPERATOR_KEY}
        for side, account in sides.items():
            self.environment |= {f"{side}_{name}".upper(): value for name, value in account.credentials.items()}
        self.write_configuration("main")

    def write_configuration(self, active):
        text = f"""
            [operator]
            listen = "127.0.0.1:0"
            keys = [{{ env = "PASSERELLE_OPERATOR_KEY" }}]
            [outbound]
            allow_insecure = true
            [merchants.shop]
            api_keys = [{{ env = "SHOP_KEY" }}]
            active = "{active}"
            {self.settings}
        """
        for side, account in self.sides.items():
            secrets = [f'{name} = {{ env = "{side.upper()}_{name.upper()}" }}' for name in account.credentials]
            text += f"""
                [merchants.shop.connections.{side}]
                {VENDORS[account.vendor]}
                base_url = "{account.address}{BASE_PATH.get(account.vendor, "")}"
                credentials = {{ {", ".join(secrets)} }}
                visibility_lag = "200ms"
            """
        self.configuration.write_text(text)

    def __enter__(self):
        with self.log.open("w") as output:
            command = [self.binary, "serve", "--listen", "127.0.0.1:0"]
            options = {"stdout": output, "stderr": output, "cwd": self.folder, "env": self.environment}
            self.process = subprocess.Popen(command, **options)
        self.url, operator = self.logged("server.address", 2)
        self.url = f"http://{self.url}"
        self.environment["PASSERELLE_OPERATOR"] = f"http://{operator}"
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def logged(self, key, count):
        """Waits for this many log lines with a key, and returns its values."""
        for _ in range(400):
            lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
            values = [line[key] for line in lines if key in line]
            if len(values) >= count:
                return values[:count]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the gateway did not log {key}:\n{self.log_text()}")

    def log_text(self):
        return self.log.read_text() if self.log.exists() else ""

    def reload(self, active):
        """Writes another `active` into the file, reloads, and waits until that is logged."""
        self.write_configuration(active)
        self.process.send_signal(signal.SIGHUP)
        for _ in range(200):
            if "the configuration was" in self.log_text():
                break
            time.sleep(0.05)
        assert "the configuration was reloaded" in self.log_text(), self.log_text()

    def switch(self, *words, exits=0):
        """A command of the operator. Returns what it prints, and checks its exit code."""
        command = [self.binary, "switch", *words]
        options = {"cwd": self.folder, "env": self.environment, "capture_output": True, "text": True, "timeout": 60}
        ended = subprocess.run(command, **options)
        text = f"passerelle switch {' '.join(words)}\n{ended.stdout}{ended.stderr}(exit code {ended.returncode})"
        assert ended.returncode == exits, f"the exit code is not {exits}:\n{text}"
        return text

    def status(self):
        return json.loads(self.switch("status", "shop", "--json").split("\n", 1)[1].rsplit("(exit", 1)[0])

    def file(self, kind):
        """A file of the switch (`errors`, `results`, `map`): its rows by public id."""
        path = self.folder / f"{kind}.csv"
        path.unlink(missing_ok=True)
        self.switch(kind, "shop", "--out", path.name)
        return rows_of(path)

    def client(self, method, path, body=None):
        """A request of the merchant's code."""
        headers = {"Authorization": f"Bearer {MERCHANT_KEY}", "Content-Type": "application/json"}
        return call(method, self.url + path, body, headers)


def rows_of(path):
    """The rows of a CSV file by their first column. Texts that a spreadsheet would change have an apostrophe."""
    with path.open(newline="") as file:
        rows = [{name: cell.removeprefix("'") for name, cell in row.items()} for row in csv.DictReader(file)]
    return {next(iter(row.values())): row for row in rows}
