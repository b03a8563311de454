//! A process of the program under test.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, WaitOptions};

use super::PATIENCE;

/// What no log shows: keys, and the addresses of customers. All tests here use such ones.
const SECRET_OR_PERSONAL: [&str; 3] = ["sk_", "op_reliability", "@example.com"];

/// A child process and its standard error. It is killed when it is dropped; the test then fails if it has panicked, or has logged
/// what no log shows.
pub(super) struct Process {
    pub(super) child: Child,
    lines: Arc<Mutex<Vec<String>>>,
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
        command.env_remove("PASSERELLE_CONFIG").env("PASSERELLE_LOG", "warn,passerelle=trace");
        let mut child = command.spawn().expect("the program starts");
        let reader = BufReader::new(child.stderr.take().expect("standard error"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sender, address) = std::sync::mpsc::channel();
        let written = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once(phrase) {
                    let end = rest.find(['"', ',']).unwrap_or(rest.len());
                    let _ = sender.send(rest[..end].trim().to_owned());
                }
                written.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let process = Self { child, lines };
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
        let log = self.stderr();
        if std::thread::panicking() {
            eprintln!("standard error of a process:\n{log}");
            return;
        }
        assert!(!log.contains("panicked"), "a panic:\n{log}");
        for text in SECRET_OR_PERSONAL {
            assert!(!log.contains(text), "the log has `{text}`:\n{log}");
        }
    }
}
