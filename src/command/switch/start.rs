//! The commands that begin a job and follow it: plan, run and verify. And `decide`, which feeds decisions back.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::Args;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::{Body, Method};
use tokio::sync::mpsc;

use super::{
    ask::decided,
    client::{Client, encoded},
    download::download,
    follow::{Goal, follow},
    show,
};
use crate::{
    command::{CommandError, terminal},
    operator::requests::{DecisionsBody, PlanBody, RunBody, VerifyBody},
    switch::{
        files,
        view::{Steps, SwitchState, SwitchView},
    },
};

/// How many decisions are sent at a time.
const DECISIONS: usize = 1000;
/// How much of a list of customers is sent at a time, in bytes.
const PIECE: usize = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The merchant.
    merchant: String,
    /// The connection that becomes active.
    #[arg(long)]
    to: String,
    /// A list of the customers, where the source cannot list all of them: CSV with a column `id`, or a JSON object a line.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// How many customers the report shows as they are at the source, and as they will be at the target.
    #[arg(long, value_name = "N", default_value_t = 20)]
    sample: u32,
    /// Show the values of these customers in the report. Without it they are masked.
    #[arg(long, requires = "out")]
    show_values: bool,
    /// Write decisions.csv, results.csv and report.html into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Do not wait until the plan is complete.
    #[arg(long, conflicts_with = "out")]
    detach: bool,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The merchant.
    merchant: String,
    /// Copy only this many customers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    first: Option<u64>,
    /// Copy only the customers whose ids are in this file: a column `public_id` or `id`, or an id a line.
    #[arg(long, value_name = "FILE")]
    only: Option<PathBuf>,
    /// Copy all customers but those in this file.
    #[arg(long, value_name = "FILE")]
    except: Option<PathBuf>,
    /// Show every step, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait until the customers are copied.
    #[arg(long)]
    detach: bool,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The merchant.
    merchant: String,
    /// Compare only this many records, chosen at random.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Compare only whether each record exists.
    #[arg(long)]
    ids_only: bool,
    /// Copy records that this switch created again where they differ.
    #[arg(long)]
    repair: bool,
    /// Do not wait until the verification has ended.
    #[arg(long)]
    detach: bool,
}

pub(super) async fn plan(client: &Client, json: bool, plan: Plan) -> Result<(), CommandError> {
    let Plan { merchant, to, from_file, sample, show_values, out, detach } = plan;
    if let Some(folder) = &out {
        make_folder(folder)?;
    }
    let switch: SwitchView = match from_file {
        None => client.post("/v1/switches", &PlanBody { merchant, to, sample: Some(sample) }).await?,
        Some(file) => {
            let path = format!("/v1/switches?merchant={}&to={}&sample={sample}", encoded(&merchant), encoded(&to));
            upload(client, &path, file).await?
        }
    };
    if detach {
        return show::print(&switch, json);
    }
    let switch = follow(client, switch, Goal::Planned).await?;
    if let Some(folder) = &out {
        for name in ["decisions.csv", "results.csv", "report.html"] {
            let values = if show_values && name == "report.html" { "?show_values=true" } else { "" };
            download(client, &format!("/v1/switches/{}/{name}{values}", switch.id), &folder.join(name)).await?;
        }
    }
    show::print(&switch, json)?;
    if let (Some(folder), false) = (&out, json) {
        let at = |name: &str| folder.join(name).display().to_string();
        terminal::print_notice(&format!(
            "{} shows the plan; what waits for a decision is in {}",
            at("report.html"),
            at("decisions.csv")
        ));
    }
    match switch.state {
        SwitchState::Failed => Err(CommandError::Failed("the plan failed; `waits` says why".to_owned())),
        _ => ended(&switch, "decide"),
    }
}

fn make_folder(folder: &Path) -> Result<(), CommandError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(folder);
    made.map_err(|error| CommandError::Failed(format!("{} cannot be made: {error}", folder.display())))?;
    for name in ["decisions.csv", "results.csv", "report.html"] {
        let file = folder.join(name);
        if file.exists() {
            return Err(CommandError::Failed(format!("{} exists already; choose another folder", file.display())));
        }
    }
    Ok(())
}

/// What needs a person when a job has ended is no success.
fn ended(switch: &SwitchView, next: &str) -> Result<(), CommandError> {
    let records = &switch.records;
    if let Some(blocked) = &switch.blocked_by {
        return Err(CommandError::Open(format!("it waits for a person: {}", blocked.detail)));
    }
    if records.open() == 0 {
        return Ok(());
    }
    let merchant = &switch.merchant;
    let mut text = format!(
        "{} records need a decision, {} are refused, {} are in doubt.\n  see them:        passerelle switch errors {merchant} --out errors.csv",
        records.needs_decision, records.refused, records.in_doubt
    );
    if records.needs_decision + records.in_doubt > 0 && next == "decide" {
        text.push_str(&format!("\n  then decide:     passerelle switch decide {merchant} errors.csv"));
    }
    Err(CommandError::Open(text))
}

pub(super) async fn run(client: &Client, json: bool, run: Run) -> Result<(), CommandError> {
    let Run { merchant, first, only, except, dry_run, detach } = run;
    let ids = |file: Option<PathBuf>| {
        file.map(|file| read(&file, |opened| files::ids(opened).map_err(|wrong| vec![wrong]))).transpose()
    };
    let (only, except) = (ids(only)?, ids(except)?);
    let switch = client.of_merchant(&merchant).await?;
    let path = format!("/v1/switches/{}/run", switch.id);
    let before = switch.records.pending;
    let wanted = first.or_else(|| only.as_ref().and_then(|ids| u64::try_from(ids.len()).ok()));
    let body = RunBody { decided: decided(&switch), first, only, except, dry_run };
    if dry_run {
        let steps: Steps = client.post(&path, &body).await?;
        if json {
            terminal::print_json(&steps)?;
        } else {
            terminal::print(&show::steps(&steps))?;
        }
        return if steps.refused.is_empty() { Ok(()) } else { Err(CommandError::Open(String::new())) };
    }
    let switch: SwitchView = client.post(&path, &body).await?;
    if detach {
        return show::print(&switch, json);
    }
    let pending = wanted.map_or(0, |wanted| before.saturating_sub(wanted));
    let switch = follow(client, switch, Goal::Copied { pending }).await?;
    show::print(&switch, json)?;
    ended(&switch, "decide")
}

pub(super) async fn verify(client: &Client, json: bool, verify: Verify) -> Result<(), CommandError> {
    let Verify { merchant, sample, ids_only, repair, detach } = verify;
    let switch = client.of_merchant(&merchant).await?;
    let body = VerifyBody { decided: decided(&switch), sample, ids_only, repair };
    let switch: SwitchView = client.post(&format!("/v1/switches/{}/verify", switch.id), &body).await?;
    if detach {
        return show::print(&switch, json);
    }
    let switch = follow(client, switch, Goal::Verified).await?;
    show::print(&switch, json)?;
    let verified = switch.verified.clone().unwrap_or_default();
    match (verified.complete, verified.differences()) {
        (true, 0) => Ok(()),
        (true, differences) => Err(CommandError::Open(format!(
            "{differences} records differ.\n  see them:        passerelle switch results {merchant} --out results.csv\n  copy them again: passerelle switch verify {merchant} --repair"
        ))),
        (false, _) => Err(CommandError::Open("the verification has not ended; `waits` says why".to_owned())),
    }
}

pub(super) async fn decide(client: &Client, json: bool, merchant: &str, file: &Path) -> Result<(), CommandError> {
    let decisions = read(file, files::decisions)?;
    if decisions.is_empty() {
        let what = "no row has a decision; write create, link or leave into the column `decision`";
        return Err(CommandError::Failed(format!("{}: {what}", file.display())));
    }
    let mut switch = client.of_merchant(merchant).await?;
    let mut taken = 0;
    for some in decisions.chunks(DECISIONS) {
        let body = DecisionsBody { decided: decided(&switch), decisions: some.to_vec() };
        switch = client.post(&format!("/v1/switches/{}/decisions", switch.id), &body).await.map_err(|error| match (
            CommandError::from(error),
            taken,
        ) {
            (CommandError::Failed(message), taken) if taken > 0 => CommandError::Failed(format!(
                "{message}\nthe first {taken} decisions of the file were taken; taking them again changes nothing"
            )),
            (error, _) => error,
        })?;
        taken += some.len();
    }
    if !json {
        terminal::print_notice(&format!("{taken} decisions were taken"));
    }
    show::print(&switch, json)
}

fn unreadable(file: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Failed(format!("{} cannot be read: {error}", file.display()))
}

fn read<T>(
    file: &Path,
    read: impl FnOnce(BufReader<File>) -> Result<T, Vec<files::FileMistake>>,
) -> Result<T, CommandError> {
    let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
    read(BufReader::new(opened)).map_err(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(|mistake| format!("{}: {mistake}", file.display())).collect();
        CommandError::Failed(format!(
            "{}\nnothing was changed; mend the file and repeat the command",
            mistakes.join("\n")
        ))
    })
}

/// Sends the ids of a list of customers piece by piece, so that its length does not matter. The file is read once before, so
/// that mistakes in it are found before anything is sent.
async fn upload(client: &Client, path: &str, file: PathBuf) -> Result<SwitchView, CommandError> {
    let is_csv = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    read(&file, |opened| files::listed(opened, is_csv, |_| true))?;
    let opened = File::open(&file).map_err(|error| unreadable(&file, &error))?;
    let (send, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    let reader = tokio::task::spawn_blocking(move || read_lines(BufReader::new(opened), is_csv, &send));
    let pieces =
        stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?.map(Frame::data), receive)) });
    let request = client.request(Method::POST, path).header("content-type", "application/x-ndjson");
    let response = client.send(request.body(Body::wrap(StreamBody::new(pieces)))).await;
    reader.abort();
    let bytes = response?.bytes().await.map_err(|_| CommandError::Failed("the connection broke".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| CommandError::Failed(format!("the answer cannot be read: {error}")))
}

fn read_lines(file: BufReader<File>, is_csv: bool, send: &mpsc::Sender<Result<Bytes, std::io::Error>>) {
    let mut piece = String::with_capacity(PIECE);
    let mut add = |line: &str| {
        piece.push_str(line);
        piece.push('\n');
        piece.len() < PIECE || send.blocking_send(Ok(Bytes::from(std::mem::take(&mut piece)))).is_ok()
    };
    // It ends at the end of the file, at a mistake, or when the request has ended.
    let read = files::listed(file, is_csv, |id| add(&serde_json::json!({ "id": id }).to_string()));
    let wrong = |mistakes: Vec<files::FileMistake>| {
        std::io::Error::other(mistakes.into_iter().map(|one| one.0).collect::<String>())
    };
    let last = read.map_err(wrong).map(|()| Bytes::from(piece));
    let _ = send.blocking_send(last);
}
