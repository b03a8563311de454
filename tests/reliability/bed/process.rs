//! A process of the program under test.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, WaitOptions};

use super::{PATIENCE, sized};

/// Texts that may be in no log: beginnings of keys, and the domain of the customers' e-mail addresses. The tests use only keys and
/// addresses that have one of these. In the small size the gateway logs at the level `trace`, so that more code is checked. The full
/// size measures, so the gateway logs little.
const SECRET_OR_PERSONAL: [&str; 3] = ["sk_", "op_reliability", "@example.com"];

/// A child process and its standard error. It is killed when it is dropped; the test then fails if it has panicked, or has logged
/// such a text.
pub(super) struct Process {
    pub(super) child: Child,
    /// The lines of standard error, without those of the levels `debug` and `trace`.
    lines: Arc<Mutex<Vec<String>>>,
    /// Returns the lines that must not be there.
    reader: Option<JoinHandle<Vec<String>>>,
}

impl Process {
    /// Starts the program, and waits for the log line with this phrase. The address follows the phrase. On failure it
    /// returns the standard error.
    pub(super) fn start(arguments: &[String], phrase: &'static str) -> Result<(Self, String), String> {
        // These tests simulate a full disk with a limit on the size of files. The signal of that limit would end the
        // process, so it is ignored.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_passerelle")]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
            .env_remove("PASSERELLE_CONFIG")
            .env("PASSERELLE_LOG", sized("warn,passerelle=trace", "warn,passerelle::command=info"));
        let mut child = command.spawn().expect("the program starts");
        let reader = BufReader::new(child.stderr.take().expect("standard error"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sender, address) = std::sync::mpsc::channel();
        let written = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut wrong = Vec::new();
            for line in reader.lines().map_while(Result::ok) {
                if line.contains("panicked") || SECRET_OR_PERSONAL.iter().any(|text| line.contains(text)) {
                    wrong.push(line.clone());
                }
                if [r#""level":"DEBUG""#, r#""level":"TRACE""#].iter().any(|level| line.contains(level)) {
                    continue;
                }
                if let Some((_, rest)) = line.split_once(phrase) {
                    let end = rest.find(['"', ',']).unwrap_or(rest.len());
                    let _ = sender.send(rest[..end].trim().to_owned());
                }
                written.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            wrong
        });
        let process = Self { child, lines, reader: Some(reader) };
        match address.recv_timeout(PATIENCE) {
            Ok(address) => Ok((process, address)),
            Err(_) => Err(process.stderr()),
        }
    }

    pub(super) fn stderr(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The address after a phrase of the log. It waits for the line.
    pub(super) fn address_after(&self, phrase: &str) -> String {
        let begun = std::time::Instant::now();
        loop {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, rest)) = lines.iter().find_map(|line| line.split_once(phrase)) {
                return rest[..rest.find(['"', ',']).unwrap_or(rest.len())].trim().to_owned();
            }
            drop(lines);
            assert!(begun.elapsed() < PATIENCE, "no line with {phrase}:\n{}", self.stderr());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    pub(super) fn id(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process")
    }

    pub(super) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.id(), signal).expect("the signal is sent");
        if signal == Signal::STOP {
            // `kill` returns before all threads have stopped.
            rustix::process::waitpid(Some(self.id()), WaitOptions::UNTRACED).expect("the process stops");
        }
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let wrong = self.reader.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        match std::thread::panicking() {
            true => eprintln!("standard error of a process:\n{}", self.stderr()),
            false => assert!(wrong.is_empty(), "a panic, a key or an address of a customer:\n{}", wrong.join("\n")),
        }
    }
}
