//! Fixtures: `fixtures/<vendor>/<operation>/<case>/` has a command and the vendor's recorded answers. Two snapshots
//! beside them have the expected requests and the expected outcome.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use libtest_mimic::{Failed, Trial};
use passerelle_providers::{
    CustomerProvider, Settings, Vendor,
    api::input,
    engine::{
        self, Conditions,
        existing::{self, AnsweredBefore},
    },
    kit::{Endpoint, Transport, render},
    model::{Command, Error, Kind, LossPolicy, Operation, Reply, Request, Response, Written, manifest::Manifest},
    text::{Source, country::Region},
    vendor,
};
use serde_json::Value;

use crate::show;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The folders in a folder, by name.
pub(crate) fn folders(of: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(of)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for vendor_folder in folders(&fixtures()) {
        let vendor_name = name_of(&vendor_folder);
        for operation_folder in folders(&vendor_folder) {
            let operation_name = name_of(&operation_folder);
            if operation_name == "captured" {
                continue;
            }
            for case in folders(&operation_folder) {
                let (vendor_name, operation_name) = (vendor_name.clone(), operation_name.clone());
                let name = format!("{vendor_name}::{operation_name}::{}", name_of(&case));
                trials.push(Trial::test(name, move || check(&vendor_name, &operation_name, &case)));
            }
        }
    }
    trials
}

/// The settings of a vendor for a case: the defaults, changed by `settings.json`.
pub(crate) struct Setup {
    pub vendor: &'static Vendor,
    pub manifest: &'static Manifest,
    pub settings: Settings,
    pub scheme: usize,
    /// When the create began, where the answer is a record that existed before.
    pub began: Timestamp,
}

impl Setup {
    pub(crate) fn read(vendor_name: &str, folder: &Path) -> Result<Self, Failed> {
        let settings: Value = match fs::read_to_string(folder.join("settings.json")) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => Value::Null,
        };
        let vendor =
            vendor(vendor_name).ok_or_else(|| format!("fixtures/{vendor_name} belongs to no registered vendor"))?;
        let manifest = vendor
            .manifest(settings["generation"].as_str())
            .ok_or("`settings.json` names a generation that the vendor does not have")?;
        let began = settings["began"].as_str().map(str::parse).transpose()?.unwrap_or_default();
        let scheme = usize::try_from(settings["auth"].as_u64().unwrap_or(0))?;
        let settings = Settings {
            generation: manifest.generation,
            region: settings["region"].as_str().and_then(Region::parse),
            livemode: settings["livemode"].as_bool().unwrap_or(true),
        };
        Ok(Self { vendor, manifest, settings, scheme, began })
    }

    pub(crate) fn provider(&self) -> Arc<dyn CustomerProvider> {
        (self.vendor.connect)(self.settings)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.manifest.base_url.unwrap_or("https://app.example.com/payment"))
    }
}

fn check(vendor_name: &str, operation_name: &str, folder: &Path) -> Result<(), Failed> {
    let setup = Setup::read(vendor_name, folder)?;
    let operation =
        Operation::parse(operation_name).ok_or_else(|| format!("{operation_name} is not the name of an operation"))?;
    let replay = Replay::open(folder)?;
    let text = Bytes::from(fs::read(folder.join("command.json"))?);
    let source = Source::new(&text).ok_or("the command is not UTF-8")?;
    let command = input::command(operation, &source, setup.manifest, setup.settings.region);
    let outcome = match command {
        Ok(command) => block_on(execute(&setup, &replay, &command)),
        Err(error) => Err(error),
    };

    let auth = &setup.manifest.auth[setup.scheme];
    let requests: Result<Vec<String>, Error> = replay
        .sent()
        .iter()
        .map(|request| Ok(render::request(request, &setup.endpoint(), auth)?.http_text()))
        .collect();
    let requests = match requests?.join("\n--- then ---\n\n") {
        nothing if nothing.is_empty() => "(nothing is sent)\n".to_owned(),
        requests => requests,
    };
    let outcome = serde_json::to_string_pretty(&outcome.unwrap_or_else(|error| show::error(&error)))?;
    snapshot(folder, &[("request", &requests), ("outcome", &outcome)]);
    match replay.unused() {
        0 => Ok(()),
        left => Err(format!("{left} recorded answers were not used").into()),
    }
}

async fn execute(setup: &Setup, transport: &Replay, command: &Command) -> Result<Value, Error> {
    let provider = &setup.provider();
    let conditions = Conditions::canonical(LossPolicy::Drop);
    let reply = match (command, engine::execute(provider, transport, command, conditions).await?) {
        (Command::Create(create), Reply::Written(Written::Created(created))) => {
            let judged = existing::judge(created, create, setup.manifest, setup.began, &AnsweredBefore::No)?;
            Reply::Written(Written::Created(judged))
        }
        (_, reply) => reply,
    };
    Ok(show::reply(command, reply, provider.manifest()))
}

/// Compares texts with the snapshots of these names in the folder.
pub(crate) fn snapshot(folder: &Path, parts: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, text) in parts {
            insta::assert_snapshot!(*name, text);
        }
    });
}

/// Answers with the recorded answers in order, and keeps the requests.
pub(crate) struct Replay {
    answers: Mutex<VecDeque<Response>>,
    sent: Mutex<Vec<Request>>,
}

impl Replay {
    fn open(folder: &Path) -> Result<Self, Failed> {
        let mut answers = VecDeque::new();
        for number in 1.. {
            let name = if number == 1 { "response.http".to_owned() } else { format!("response-{number}.http") };
            let Ok(recorded) = fs::read(folder.join(name)) else { break };
            answers.push_back(parse_response(&recorded)?);
        }
        Ok(Self { answers: Mutex::new(answers), sent: Mutex::default() })
    }

    fn sent(&self) -> Vec<Request> {
        self.sent.lock().expect("no panic while the lock was held").clone()
    }

    fn unused(&self) -> usize {
        self.answers.lock().expect("no panic while the lock was held").len()
    }
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        self.sent.lock().expect("no panic while the lock was held").push(Arc::unwrap_or_clone(request));
        let next = self.answers.lock().expect("no panic while the lock was held").pop_front();
        next.ok_or_else(|| Error::new(Kind::Unreachable, "no recorded answer is left"))
    }
}

/// A response in HTTP text: status line, headers, an empty line, and the body without its last line end.
pub(crate) fn parse_response(recorded: &[u8]) -> Result<Response, Failed> {
    let (first, headers, body) = parse_message(recorded)?;
    let status: u16 = first.split(' ').nth(1).ok_or("a status line without a status")?.parse()?;
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(body)?)
}

pub(crate) type Message = (String, Vec<(String, String)>, Bytes);

pub(crate) fn parse_message(recorded: &[u8]) -> Result<Message, Failed> {
    let text = String::from_utf8(recorded.to_vec())?;
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let first = lines.next().ok_or("an empty message")?.to_owned();
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())))
        .collect::<Option<Vec<_>>>()
        .ok_or("a header without a colon")?;
    let body = body.strip_suffix('\n').unwrap_or(body).to_owned();
    Ok((first, headers, Bytes::from(body)))
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}
