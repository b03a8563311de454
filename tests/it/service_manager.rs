//! What the service manager (systemd) is notified of by a gateway that it has started.

#![cfg(target_os = "linux")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const CONFIGURATION: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n[merchants.acme]\n\
     api_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\nconnections.main = { provider = \"lomi\", sandbox = true }\n";

/// A gateway and the socket that it sends its notifications to. It ends with the test.
struct Service {
    child: Child,
    notifications: UnixDatagram,
    configuration: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = folder.path().join("passerelle.toml");
        std::fs::write(&configuration, CONFIGURATION).expect("it is written");
        let socket = folder.path().join("notify");
        let notifications = UnixDatagram::bind(&socket).expect("a socket");
        notifications.set_read_timeout(Some(Duration::from_mins(1))).expect("a time limit");
        let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
        command.args(["serve", "--config"]).arg(&configuration).env_remove("PASSERELLE_LOG");
        command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC").env("NOTIFY_SOCKET", &socket);
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        Self { child, notifications, configuration, _folder: folder }
    }

    fn next(&self) -> String {
        let mut message = [0; 1024];
        let length = self.notifications.recv(&mut message).expect("a notification");
        String::from_utf8(message[..length].to_vec()).expect("text")
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the signal is sent");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The monotonic time of the notification that a reload has begun.
fn reloading(notification: &str) -> u64 {
    let time = notification.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a reload with its time");
    time.trim_end().parse().expect("a number of microseconds")
}

#[test]
fn the_service_manager_is_notified_when_the_gateway_serves_reloads_and_stops() {
    let mut service = Service::start(&[]);
    assert_eq!(service.next(), "READY=1\n");
    let log = BufReader::new(service.child.stderr.take().expect("a log"));
    let line = log.lines().map_while(Result::ok).find(|line| line.contains("serving on http")).expect("the line");
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let mut client = TcpStream::connect(line["server.address"].as_str().expect("an address")).expect("it accepts");
    client.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it is sent");
    let answer = BufReader::new(client).lines().next().expect("an answer").expect("a line");
    assert_eq!(answer, "HTTP/1.1 200 OK");

    service.send(Signal::HUP);
    let first = reloading(&service.next());
    assert_eq!(service.next(), "READY=1\n");

    std::fs::write(&service.configuration, "not a configuration").expect("it is written");
    service.send(Signal::HUP);
    assert!(reloading(&service.next()) > first);
    assert_eq!(service.next(), "READY=1\n", "a refused reload has ended, too");

    service.send(Signal::TERM);
    assert_eq!(service.next(), "STOPPING=1\n");
    assert!(service.child.wait().expect("it ends").success());
}

#[test]
fn the_watchdog_of_the_service_manager_is_notified_again_and_again() {
    let service = Service::start(&[("WATCHDOG_USEC", "20000")]);
    assert_eq!(service.next(), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(service.next(), "WATCHDOG=1\n");
    }
}

#[test]
fn a_watchdog_for_another_process_is_not_notified() {
    let service = Service::start(&[("WATCHDOG_USEC", "1"), ("WATCHDOG_PID", "1")]);
    assert_eq!(service.next(), "READY=1\n");
    service.send(Signal::TERM);
    assert_eq!(service.next(), "STOPPING=1\n");
}
