//! Starts tinyproxy and microsocks, as Debian installs them, on free ports.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;
use tokio::net::TcpStream;

use crate::{installed, stand_in::PATIENCE};

/// How many ports are tried, because another process may take the port that was free.
const PORTS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Speaks HTTP.
    Tinyproxy,
    /// Speaks SOCKS 5.
    Microsocks,
}

impl Program {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tinyproxy => "tinyproxy",
            Self::Microsocks => "microsocks",
        }
    }

    pub(crate) fn path(self) -> PathBuf {
        Path::new("/usr/bin").join(self.name())
    }
}

/// A running proxy.
pub(crate) struct Running {
    program: Program,
    address: SocketAddr,
    process: installed::Running,
    /// The proxy reads this file when it starts.
    _settings: NamedTempFile,
}

impl Running {
    pub(crate) async fn start(program: Program, credentials: Option<(&str, &str)>) -> Self {
        for _ in 0..PORTS {
            let mut running = Self::spawn(program, credentials).expect("a proxy");
            if running.listens().await {
                return running;
            }
        }
        panic!("{} does not start", program.name());
    }

    fn spawn(program: Program, credentials: Option<(&str, &str)>) -> io::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut settings = NamedTempFile::new()?;
        let mut command = Command::new(program.path());
        match program {
            Program::Tinyproxy => {
                write!(settings, "Port {port}\nListen {host}\nMaxClients 20\nTimeout 60\nLogLevel Connect\n")?;
                if let Some((user, password)) = credentials {
                    writeln!(settings, "BasicAuth {user} {password}")?;
                }
                command.arg("-d").arg("-c").arg(settings.path());
            }
            Program::Microsocks => {
                command.args(["-i", &host, "-p", &port]);
                if let Some((user, password)) = credentials {
                    command.args(["-u", user, "-P", password]);
                }
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { program, address, process: installed::Running::start(command), _settings: settings })
    }

    /// Waits until the proxy listens. Returns false if it has ended because another process took its port.
    async fn listens(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.process.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            if TcpStream::connect(self.address).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} does not listen", self.program.name());
    }

    /// The URL of the proxy. `credentials` are empty, or end with an `@`.
    pub(crate) fn url(&self, credentials: &str) -> String {
        let scheme = match self.program {
            Program::Tinyproxy => "http",
            Program::Microsocks => "socks5h",
        };
        format!("{scheme}://{credentials}{}", self.address)
    }

    pub(crate) fn stop(&mut self) {
        self.process.stop();
    }
}
