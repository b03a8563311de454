//! A sandbox vendor in a process of its own.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use passerelle::twin::{
    faults::OperationName,
    log::{self, Applied, Entry, Received},
};
use passerelle_providers::{kit::server::base_path, model::Operation, vendor};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;

/// A sandbox vendor in a process of its own.
pub(crate) struct Twin {
    pub(crate) provider: &'static str,
    process: Process,
    address: String,
    log: PathBuf,
    _folder: TempDir,
}

impl Twin {
    pub(crate) fn start(provider: &'static str, faults: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (plan, log) = (folder.path().join("faults.toml"), folder.path().join("log"));
        std::fs::write(&plan, faults).expect("a plan");
        let (process, address) = Self::process(provider, &plan, &log, "127.0.0.1:0");
        Self { provider, process, address, log, _folder: folder }
    }

    /// A twin that begins with customers and keeps no log.
    pub(crate) fn with_customers(provider: &'static str, customers: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let count = customers.to_string();
        let arguments = ["twin", "--provider", provider, "--customers", &count, "--listen", "127.0.0.1:0"];
        let (process, url) = Process::start(&arguments.map(str::to_owned), " is served on http://").expect("a twin");
        let address = url.split('/').next().unwrap_or_default().to_owned();
        Self { provider, process, address, log: folder.path().join("log"), _folder: folder }
    }

    fn process(provider: &str, plan: &Path, log: &Path, listen: &str) -> (Process, String) {
        let (plan, log) = (plan.display().to_string(), log.display().to_string());
        let arguments =
            ["twin", "--provider", provider, "--faults", &plan, "--log", &log, "--listen", listen].map(str::to_owned);
        let (process, url) = Process::start(&arguments, " is served on http://").expect("a twin");
        (process, url.split('/').next().unwrap_or_default().to_owned())
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL of the vendor at its own address, or at the address of a relay.
    pub(crate) fn url(&self, address: Option<&str>) -> String {
        let vendor = vendor(self.provider).expect("a vendor");
        format!("http://{}{}", address.unwrap_or(&self.address), base_path(vendor.manifests[0]))
    }

    /// The configuration of a connection to it.
    pub(crate) fn connection(&self, name: &str, address: Option<&str>, more: &str) -> String {
        let credential = match self.provider {
            "lomi" => "api_key",
            "modempay" | "bitnob" => "secret_key",
            _ => "public_key",
        };
        format!(
            "[merchants.acme.connections.{name}]\nprovider = \"{}\"\nbase_url = \"{}\"\n\
             credentials = {{ {credential} = \"any\" }}\n{more}\n",
            self.provider,
            self.url(address),
        )
    }

    pub(crate) fn log(&self) -> Vec<Entry> {
        log::read(&self.log).expect("a log")
    }

    /// The effects of creates, by the digest of the e-mail address.
    pub(crate) fn created(&self) -> HashMap<String, Vec<Applied>> {
        let mut created: HashMap<String, Vec<Applied>> = HashMap::new();
        for effect in log::effects(&self.log()).filter(|effect| effect.operation == OperationName(Operation::Create)) {
            created.entry(effect.email_hash.clone().unwrap_or_default()).or_default().push(effect.clone());
        }
        created
    }

    /// The received creates.
    pub(crate) fn creates(&self) -> Vec<Received> {
        let log = self.log();
        log::requests(&log)
            .filter(|request| request.operation == Some(OperationName(Operation::Create)))
            .cloned()
            .collect()
    }

    /// Sends a signal to the process: STOP or CONT.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The number of received requests of any operation.
    pub(crate) fn requests(&self) -> usize {
        log::requests(&self.log()).count()
    }
}
