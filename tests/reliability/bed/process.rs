//! A process of the program under test.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, WaitOptions};

use super::PATIENCE;

/// A child that does not outlive its test, and what it says.
pub(super) struct Process {
    pub(super) child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts the program, and waits for the line that tells its address behind a phrase.
    pub(super) fn start(arguments: &[String], phrase: &'static str) -> Result<(Self, String), String> {
        // A limit of the size of files, which is how a disk fills up here, ends a process by signal, unless that
        // is ignored.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_passerelle")]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("PASSERELLE_CONFIG").env("PASSERELLE_LOG", "warn,passerelle::command=info");
        let mut child = command.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("its words"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sender, address) = std::sync::mpsc::channel();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once(phrase) {
                    let end = rest.find(['"', ',']).unwrap_or(rest.len());
                    let _ = sender.send(rest[..end].trim().to_owned());
                }
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let process = Self { child, lines };
        match address.recv_timeout(PATIENCE) {
            Ok(address) => Ok((process, address)),
            Err(_) => Err(process.words()),
        }
    }

    pub(super) fn words(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    pub(super) fn id(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process")
    }

    pub(super) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.id(), signal).expect("it takes signals");
        if signal == Signal::STOP {
            // Some of its threads may go on for a while.
            rustix::process::waitpid(Some(self.id()), WaitOptions::UNTRACED).expect("it stops");
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
        match std::thread::panicking() {
            true => eprintln!("what a process said before:\n{}", self.words()),
            false => assert!(!self.words().contains("panicked"), "a panic:\n{}", self.words()),
        }
    }
}
