"""What scripts need that play the machine of an installed gateway: a network of their own, and what systemd does with a unit.

The roots of several machines can be folders of one machine: then each service runs in a chroot.
"""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

USER = 61184  # the first one of those that systemd gives to a service with DynamicUser
PATIENCE = 120  # seconds, for one step
DAEMON_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


class Failed(Exception):
    pass


def own_network(addresses=()):
    """Gives this process a network that has loopback alone, with these IPv4 addresses as well. It needs the right to do so."""
    new_network, new_user = 0x40000000, 0x10000000
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if user != 0:
        if libc.unshare(new_user | new_network) != 0:
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    elif libc.unshare(new_network) != 0:
        return False
    get_flags, set_flags, set_address, up = 0x8913, 0x8914, 0x8916, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for number, address in enumerate(addresses):
            # struct ifreq: the name of the interface, and a struct sockaddr_in.
            name, family = f"lo:{number + 1}".encode(), socket.AF_INET
            fcntl.ioctl(any_socket, set_address, struct.pack("16sH2x4s16x", name, family, socket.inet_aton(address)))
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, get_flags, request))[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", flags | up))
    return True


def own_mounts():
    """Lets only this process and its children see what it mounts from now on. It needs root, and the right to do so."""
    new_mounts = 0x20000
    return (
        os.getuid() == 0
        and ctypes.CDLL(None, use_errno=True).unshare(new_mounts) == 0
        and subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL).returncode == 0
    )


class Unit:
    """A unit of systemd in the file system of a machine, as far as the gateway's units go."""

    def __init__(self, path, root="/"):
        self.root = Path(root)
        text = self.inside(path).read_text()
        self.name = Path(path).name
        self.all = {}
        for line in text.splitlines():
            if re.match(r"\w+=", line):
                key, value = line.split("=", 1)
                self.all.setdefault(key, []).append(value)
        if self.all.get("Type") != ["notify"]:
            raise Failed("only units with Type=notify are played here")

    def inside(self, path):
        """The path of a file of the machine, for this process."""
        return self.root / str(path).lstrip("/")

    def one(self, key, default=None):
        return self.all.get(key, [default])[-1]

    def identity(self):
        """The user and the group of the service, as numbers."""
        if self.one("DynamicUser") == "yes":
            return USER, USER
        users = (line.split(":") for line in self.inside("/etc/passwd").read_text().splitlines())
        found = [(int(user[2]), int(user[3])) for user in users if user[0] == self.one("User")]
        if not found:
            raise Failed(f"{self.name} has no user: {self.one('User')}")
        return found[0]

    def prepared(self):
        """Makes what systemd makes before it starts the service. Its environment."""
        user, group = self.identity()
        environment = {"PATH": DAEMON_PATH, "LANG": "C.UTF-8"}
        for name in self.all.get("StateDirectory", []):
            state = self.inside(f"/var/lib/{name}")
            state.mkdir(mode=0o700, exist_ok=True)
            os.chown(state, user, group)
            environment["STATE_DIRECTORY"] = f"/var/lib/{name}"
        for file in self.all.get("EnvironmentFile", []):
            lines = self.private(file).read_text().splitlines()
            environment.update(line.split("=", 1) for line in lines if "=" in line)
        environment.update(line.split("=", 1) for line in self.all.get("Environment", []))
        credentials = self.inside(f"/run/credentials/{self.name}")
        shutil.rmtree(credentials, ignore_errors=True)
        credentials.mkdir(parents=True)
        for line in self.all.get("LoadCredential", []):
            name, _, place = line.partition(":")
            folder = self.inside(place)
            # Each file of a folder is a credential, whose name begins with that of the folder.
            files = {f"{name}_{file.name}": file for file in folder.iterdir()} if folder.is_dir() else {name: folder}
            for credential, file in files.items():
                shutil.copyfile(self.private(file.relative_to(self.root)), credentials / credential)
                (credentials / credential).chmod(0o400)
                os.chown(credentials / credential, user, group)
        os.chown(credentials, user, group)
        credentials.chmod(0o500)
        return environment

    def private(self, file):
        """A file that only root can read, for this process."""
        path = self.inside(file)
        if path.stat().st_mode & 0o077:
            raise Failed(f"others than root can read /{str(file).lstrip('/')}")
        return path

    def command(self, line):
        """What runs a command of the unit as its user, in its working directory, in the file system of the machine."""
        user, group = self.identity()
        folder = self.one("WorkingDirectory", "/")
        return ["chroot", f"--userspec={user}:{group}", "--groups=", self.root, "env", f"--chdir={folder}", *line.split()]

    def start(self, log):
        """Starts the service, and waits until it says that it is ready."""
        environment, umask = self.prepared(), int(self.one("UMask", "022"), 8)
        for line in self.all.get("ExecStartPre", []):
            done = subprocess.run(
                self.command(line), env=environment, umask=umask, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            if done.returncode != 0:
                raise Failed(f"{line}: exit code {done.returncode}:\n{done.stdout}")
        place = "/run/service.notify"
        self.inside(place).unlink(missing_ok=True)
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.bind(str(self.inside(place)))
        self.inside(place).chmod(0o666)
        notices.settimeout(1)
        environment["NOTIFY_SOCKET"] = place
        (line,) = self.all["ExecStart"]
        process = subprocess.Popen(
            self.command(line), env=environment, umask=umask, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        service = Service(self, process, notices)
        try:
            service.until("READY=1")
        except BaseException:
            process.kill()
            process.wait()
            notices.close()
            raise
        return service


class Service:
    """A running service."""

    def __init__(self, unit, process, notices):
        self.unit = unit
        self.process = process
        self.notices = notices

    def until(self, notice):
        """Waits until the service notifies systemd of this."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if notice.encode() in self.notices.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                if self.process.poll() is not None:
                    raise Failed(f"{self.unit.name} has ended with exit code {self.process.returncode}") from None
        raise Failed(f"{self.unit.name} has not said {notice} after {PATIENCE} s")

    def reload(self):
        """Lets the service read its configuration again, and waits until it has done so."""
        self.process.send_signal(signal.SIGHUP)
        self.until("RELOADING=1")
        self.until("READY=1")

    def stop(self):
        """Ends the service in the time that its unit gives it."""
        self.process.terminate()
        try:
            code = self.process.wait(timeout=int(self.unit.one("TimeoutStopSec", "90")))
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed(f"{self.unit.name} does not stop in TimeoutStopSec") from None
        finally:
            self.notices.close()
        if code != 0:
            raise Failed(f"{self.unit.name} has ended with exit code {code}")
