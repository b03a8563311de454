//! A gateway whose sockets the service manager has bound, as systemd passes them.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use tempfile::TempDir;

use super::process::{ACME, Gateway, PATIENCE, SERVER, ask};

/// Passes its standard input and output as the sockets 3 and 4.
const LAUNCHER: &str = "exec 3<&0 4<&1 </dev/null >/dev/null; \
                        LISTEN_PID=$$ LISTEN_FDS=2 exec \"$PASSERELLE\" \"$@\"";

/// A command that starts a gateway with two sockets.
fn launcher(names: &str, first: &TcpListener, second: &TcpListener) -> Command {
    let [first, second] = [first, second].map(|socket| OwnedFd::from(socket.try_clone().expect("a socket")));
    let mut command = Command::new("sh");
    command.args(["-c", LAUNCHER, "launcher"]).env("LISTEN_FDNAMES", names);
    command.env("PASSERELLE", env!("CARGO_BIN_EXE_passerelle")).stdin(Stdio::from(first)).stdout(Stdio::from(second));
    command
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = format!("{SERVER}[operator]\nlisten = \"127.0.0.1:1\"\n{ACME}");
    std::fs::write(folder.path().join("passerelle.toml"), configuration).expect("it is written");
    std::fs::write(folder.path().join("key"), "sk_acme_0123456789abcdef").expect("it is written");
    folder
}

fn bind() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

/// Sends requests, each over a new connection, until it is stopped. Reports each answer, and why there is none.
fn send_requests(address: SocketAddr, stopped: &AtomicBool, answers: &Sender<Result<String, String>>) {
    while !stopped.load(Ordering::Relaxed) {
        let answer =
            TcpStream::connect(address).and_then(|client| ask(client, "/v1/merchant", "sk_acme_0123456789abcdef"));
        let _ = answers.send(answer.map_err(|why| why.to_string()));
    }
}

/// Takes so many answers, and fails at the first request that is not answered.
fn expect_answers(answers: &Receiver<Result<String, String>>, count: usize) {
    for _ in 0..count {
        let answer = answers.recv_timeout(PATIENCE).expect("an answer").expect("every request is answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn every_request_is_answered_while_the_gateway_restarts() {
    let restarts = if std::env::var("LOAD").is_ok_and(|size| size == "full") { 50 } else { 5 };
    let ((api, address), (operator, operator_address)) = (bind(), bind());
    let folder = Arc::new(folder());
    // The order of the sockets is that of their units; only the names count.
    let start = || Gateway::start_by(launcher("operator:api", &operator, &api), Arc::clone(&folder));
    let mut gateway = start();
    assert_eq!(gateway.address, address.to_string());
    let health = ask(TcpStream::connect(operator_address).expect("it accepts"), "/livez", "").expect("an answer");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");

    let (sender, answers) = channel();
    let stopped = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stopped, sender) = (Arc::clone(&stopped), sender.clone());
            thread::spawn(move || send_requests(address, &stopped, &sender))
        })
        .collect();
    for _ in 0..restarts {
        expect_answers(&answers, 20);
        gateway.stop();
        let waiting = TcpStream::connect(address).expect("the socket is open while no gateway runs");
        gateway = start();
        let answer = ask(waiting, "/v1/merchant", "sk_acme_0123456789abcdef").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    stopped.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("it ends");
    }
    drop(sender);
    let is_answered =
        |answer: &Result<String, String>| answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
    let failed: Vec<_> = answers.iter().filter(|answer| !is_answered(answer)).collect();
    assert_eq!(failed, Vec::<Result<String, String>>::new());
}

#[test]
fn a_socket_with_an_unknown_name_is_refused() {
    let ((first, _), (second, _)) = (bind(), bind());
    let folder = folder();
    let mut command = launcher("web:operator", &first, &second);
    command.args(["serve", "--config", "passerelle.toml"]).current_dir(folder.path());
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("`web`") && log.contains("FileDescriptorName=api"), "{log}");
}
