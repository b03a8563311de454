//! A gateway in a process of its own, providers that answer what a test chooses, and clients that measure.

mod client;
mod processors;
mod provider;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, mpsc::UnboundedReceiver},
    time::timeout,
};

pub(crate) use client::{Client, Seen, retrieve_steadily};
pub(crate) use provider::{Endpoint, answer, flooding_provider, healthy_provider, provider, provider_with_tls};

/// The longest that a test waits for an answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// Whether the sizes are those that the gateway must bear, or small ones.
pub(crate) fn is_full() -> bool {
    std::env::var("LOAD").is_ok_and(|size| size == "full")
}

/// A gateway that serves merchants, each with its own provider. A merchant's key is `sk_` and its name.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Its configuration.
    file: PathBuf,
    /// The lines of its log that a configuration was reloaded.
    reloads: Mutex<UnboundedReceiver<String>>,
    /// How many bytes it has logged.
    logged: Arc<AtomicUsize>,
    _folder: TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Starts it for merchants of lomi, each with its provider.
    pub(crate) fn start(merchants: &[(String, Endpoint)]) -> Self {
        Self::start_with(merchants, "", "")
    }

    /// Starts it on a processor that it has alone, as on a machine with one processor. Everything else of this process runs on
    /// the others. Returns whether there is more than one.
    pub(crate) fn start_alone(merchants: &[(String, Endpoint)]) -> (Self, bool) {
        processors::apart(|| Self::start(merchants))
    }

    /// Starts it with more keys of `[server]`, and more keys of every connection.
    pub(crate) fn start_with(merchants: &[(String, Endpoint)], server: &str, connection: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("passerelle.toml");
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[store]\nurl = \"sqlite:{}\"\n[outbound]\nallow_insecure = true\n",
            folder.path().join("passerelle.db").display()
        );
        for (name, provider) in merchants {
            text.push_str(&format!(
                "[merchants.{name}]\napi_keys = [\"sk_{name}\"]\nactive = \"main\"\n[merchants.{name}.connections.main]\n\
                 provider = \"lomi\"\nbase_url = \"{provider}\"\ncredentials = {{ api_key = \"any\" }}\n{connection}\n"
            ));
        }
        fs::write(&file, text).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
        if merchants.iter().any(|(_, provider)| provider.has_tls) {
            let trusted = folder.path().join("trusted.pem");
            fs::write(&trusted, provider::certificate()).expect("a certificate");
            command.env("SSL_CERT_FILE", trusted);
        }
        command.args(["serve", "--config"]).arg(&file).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a gateway");
        let logged = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&logged);
        let lines = BufReader::new(child.stderr.take().expect("its log")).lines().map_while(Result::ok);
        let mut lines = lines.inspect(move |line| {
            count.fetch_add(line.len() + 1, Ordering::Relaxed);
        });
        let line = lines.find(|line| line.contains("serving on http://")).expect("an address");
        let address = line.split("serving on http://").nth(1).and_then(|rest| rest.split('"').next());
        let address = address.and_then(|address| address.trim().parse().ok()).expect("an address");
        // The log must be read, or else the gateway waits for it.
        let (reloaded, reloads) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.filter(|line| line.contains("the configuration was reloaded")) {
                let _ = reloaded.send(line);
            }
        });
        Self { child, address, file, reloads: reloads.into(), logged, _folder: folder }
    }

    /// Binds each thread of its runtime to another processor, for a test whose clients have all processors busy. The threads that a
    /// bound thread starts are bound as well, so it is not for a gateway that has work of other threads.
    pub(crate) fn spread(&self) {
        processors::spread(self.child.id());
    }

    /// Gives its worker threads the priority of the clients that measure. Only root may do that.
    pub(crate) fn prefer(&self) {
        processors::prefer(self.child.id());
    }

    /// Changes the text of its configuration. The next reload reads it.
    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.file).expect("its configuration");
        fs::write(&self.file, change(text)).expect("a configuration");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the signal is sent");
    }

    /// Reloads its configuration, and returns how long that took.
    pub(crate) async fn reload(&self) -> Duration {
        let began = Instant::now();
        self.signal(Signal::HUP);
        let reloaded = timeout(PATIENCE, async { self.reloads.lock().await.recv().await }).await;
        reloaded.ok().flatten().expect("it is reloaded");
        began.elapsed()
    }

    /// How many bytes it has logged.
    pub(crate) fn logged(&self) -> usize {
        self.logged.load(Ordering::Relaxed)
    }

    /// The most memory that the process ever had, in MiB.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that the process has now, in MiB.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The time of a processor that it has used.
    pub(crate) fn processor_time(&self) -> Duration {
        // `sysconf(_SC_CLK_TCK)` is 100 on every Linux.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its figures");
        // The name of the program is the second field, in brackets. In user mode and in the kernel are the 14th and the 15th.
        let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
        let ticks: u32 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u32>().expect("ticks")).sum();
        TICK * ticks
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the figure");
        line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a size") / 1024
    }
}

/// The id of every customer.
pub(crate) const ID: &str = "b78de3c9-7f76-4f43-9c5d-7a84a7c5b2f1";
