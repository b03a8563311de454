//! How a command follows its job: to its end, to a person, to an interruption, and over a gateway that is gone.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use passerelle::switch::view::{BlockedBy, BlockedCode, Verified};

use super::{
    Bed, KEY,
    commands::{code, run},
};
use crate::terminal::{err, out};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_for_a_person_ends_the_command_with_exit_code_one() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    let detached = run(&bed, &["switch", "run", "acme", "--detach"]).await;
    assert_eq!(code(&detached), 0, "{}", err(&detached));
    let detail = "the provider refuses the key; mend the configuration and reload it".to_owned();
    bed.memory.change(&id, |view| {
        view.blocked_by =
            Some(BlockedBy { code: BlockedCode::CredentialsRefused, detail, since: "2026-01-02T03:04:05Z".to_owned() });
    });
    let verified = run(&bed, &["switch", "status", "acme"]).await;
    assert_eq!(code(&verified), 0);
    bed.memory.change(&id, |view| view.state = passerelle::switch::view::SwitchState::Copied);
    let verify = run(&bed, &["switch", "verify", "acme"]).await;
    assert_eq!(code(&verify), 1);
    assert!(out(&verify).contains("credentials_refused"), "the object is printed all the same: {}", out(&verify));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_that_a_verification_finds_are_exit_code_one() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    bed.memory.change(&id, |view| view.state = passerelle::switch::view::SwitchState::Copied);
    let following = run(&bed, &["switch", "verify", "acme", "--sample", "5", "--detach"]);
    assert_eq!(code(&following.await), 0);
    bed.memory.change(&id, |view| {
        view.verified =
            Some(Verified { checked: 40, equal: 38, differs: 1, missing: 1, complete: true, ..Verified::default() });
    });
    let shown = run(&bed, &["switch", "status", "acme"]).await;
    assert!(out(&shown).contains("38 equal, 0 equal after a rule, 1 differ, 1 missing"), "{}", out(&shown));
    assert_eq!(bed.memory.log()[1], "verify VerifyOptions { sample: Some(5), ids_only: false, repair: false }");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_command_lets_the_job_go_on_and_says_how_to_come_back() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    // It waits for the provider, so the command goes on waiting.
    bed.memory.change(&id, |view| {
        view.state = passerelle::switch::view::SwitchState::Copying;
        view.records.pending = 1_000_000;
        view.records.total = 1_000_000;
    });
    let (url, id) = (bed.url(), id.clone());
    let interrupted = tokio::task::spawn_blocking(move || {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("passerelle"))
            .env_clear()
            .env("PASSERELLE_OPERATOR", url)
            .env("PASSERELLE_OPERATOR_KEY", KEY)
            .args(["switch", "status", "acme", "--watch"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("a line");
        assert_eq!(first, format!("acme: main -> new, copying ({id})\n"));
        // The rest of the text comes in the same write, and the signal is waited for by then.
        let mut rest = String::new();
        while !rest.contains("next:") && stdout.read_line(&mut rest).expect("a line") > 0 {}
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, rustix::process::Signal::INT).expect("sent");
        child.wait_with_output().expect("it ends")
    });
    let ended = interrupted.await.expect("it ends");
    assert_eq!(code(&ended), 1);
    for hint in ["The gateway goes on", "passerelle switch status acme --watch", "passerelle switch stop acme"] {
        assert!(err(&ended).contains(hint), "{}", err(&ended));
    }
    assert!(bed.memory.log().iter().all(|command| !command.starts_with("stop")));
}
