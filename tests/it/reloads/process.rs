//! A gateway in a process of its own, with its configuration in a folder, and its log.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A merchant `acme` with the connections `main` (lomi) and `new` (Bitnob), both sandboxes.
pub(super) const ACME: &str = "[merchants.acme]\napi_keys = [{ file = \"key\" }]\nactive = \"main\"\nregion = \"SN\"\n\
     [merchants.acme.connections]\nmain = { provider = \"lomi\", sandbox = true }\n\
     new = { provider = \"bitnob\", sandbox = true }\n";
/// What every configuration begins with.
pub(super) const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n";

/// The longest time until something is logged.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A gateway. It ends with the test.
pub(super) struct Gateway {
    child: Child,
    log: Receiver<Value>,
    pub(super) folder: Arc<TempDir>,
    /// The address of the API.
    pub(super) address: String,
}

impl Gateway {
    /// Starts a gateway with a configuration. The key of `acme` is `sk_acme_0123456789abcdef`.
    pub(super) fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("passerelle.toml"), configuration).expect("it is written");
        fs::write(folder.path().join("key"), "sk_acme_0123456789abcdef\n").expect("it is written");
        Self::start_in(folder)
    }

    /// Starts a gateway in a folder that has the configuration.
    pub(super) fn start_in(folder: TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
        command.stdout(Stdio::null());
        Self::start_by(command, Arc::new(folder))
    }

    /// Starts a gateway by a command that gets its arguments.
    pub(super) fn start_by(mut command: Command, folder: Arc<TempDir>) -> Self {
        command.args(["serve", "--config", "passerelle.toml"]).current_dir(folder.path());
        command.env_remove("PASSERELLE_LOG").env_remove("NOTIFY_SOCKET").stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("a log"));
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let mut gateway = Self { child, log, folder, address: String::new() };
        let serving = gateway.logged_until("serving on http").pop().expect("a line");
        gateway.address = serving["server.address"].as_str().expect("an address").to_owned();
        gateway
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it is written");
    }

    /// The lines of the log up to one that has this text.
    pub(super) fn logged_until(&self, text: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let line = self.log.recv_timeout(PATIENCE).ok();
            assert!(line.is_some(), "`{text}` is not logged: {lines:?}");
            let line = line.unwrap_or_default();
            let is_last = line.to_string().contains(text);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// The levels and messages of the lines up to one that has this text.
    pub(super) fn messages_until(&self, text: &str) -> Vec<String> {
        let message = |line: &Value| {
            let [level, message] = ["level", "message"].map(|key| line[key].as_str().unwrap_or_default());
            format!("{level} {message}")
        };
        self.logged_until(text).iter().map(message).collect()
    }

    /// Sends SIGHUP. The lines that the reload logs.
    pub(super) fn reload(&self) -> Vec<String> {
        self.signal(Signal::HUP);
        self.messages_until("reloaded")
    }

    /// What the gateway answers about the merchant with a key.
    pub(super) fn merchant(&self, key: &str) -> String {
        let client = TcpStream::connect(&self.address).expect("it accepts");
        ask(client, "/v1/merchant", key).expect("an answer")
    }

    /// Ends it with SIGTERM, and waits for its end.
    pub(super) fn stop(mut self) {
        self.signal(Signal::TERM);
        self.ends();
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the signal is sent");
    }

    /// Waits for its end.
    pub(super) fn ends(&mut self) {
        let latest = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a status") {
                Some(status) => break status,
                None => assert!(Instant::now() < latest, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success());
    }
}

/// Sends a request over a connection, and returns the whole answer.
pub(super) fn ask(mut client: TcpStream, path: &str, key: &str) -> std::io::Result<String> {
    client.set_read_timeout(Some(PATIENCE))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close");
    write!(client, "{head}\r\nAuthorization: Bearer {key}\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
