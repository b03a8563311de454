//! A PostgreSQL cluster for tests, from the installed programs. Its data is in a temporary folder, and clients connect
//! by a socket in that folder, so it uses no port. It ends with the test process, also when that process is killed.

use std::{
    fs, io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const NOT_INSTALLED: &str = "no PostgreSQL of version 15 or newer in /usr/lib/postgresql";

/// The name of a server's socket in its folder.
pub(crate) const SOCKET: &str = ".s.PGSQL.5432";

/// The URL of a database whose server has its socket in this folder.
pub(crate) fn url(folder: &Path, name: &str) -> String {
    format!("postgres://passerelle@{}/{name}", folder.display().to_string().replace('/', "%2F"))
}

/// The folder of the server's socket, and the name of the database. The opposite of [`url`].
pub(crate) fn place(url: &str) -> (PathBuf, &str) {
    let (host, name) = url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL");
    (host.replace("%2F", "/").into(), name)
}

/// A running cluster.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    server: Option<Child>,
}

static SHARED: Mutex<Option<Cluster>> = Mutex::new(None);
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The folder with the programs of the newest installed PostgreSQL, from version 15.
pub(crate) fn programs() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let found = installed.map(|entry| entry.path().join("bin")).filter(|path| path.join("initdb").is_file());
    found.max_by_key(version).filter(|path| version(path) >= Some(15))
}

/// The trial. It is listed as ignored where PostgreSQL is not installed.
pub(crate) fn or_ignored(trial: Trial) -> Trial {
    if programs().is_some() {
        return trial;
    }
    let name = format!("{} ({NOT_INSTALLED})", trial.name());
    Trial::test(name, || Ok(())).with_ignored_flag(true)
}

/// The URL of a new database on the shared cluster. The first call starts the cluster.
pub(crate) fn shared_database() -> String {
    let mut shared = SHARED.lock().expect("no panic while it was locked");
    shared.get_or_insert_with(|| Cluster::start(&programs().expect("checked before"))).database()
}

/// Ends the shared cluster. Call it after all tests.
pub(crate) fn stop() {
    let _ = SHARED.lock().map(|mut shared| shared.take());
}

impl Cluster {
    pub(crate) fn start(programs: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some((user, group)) = unprivileged_user() {
            chown(folder.path(), Some(user), Some(group)).expect("its owner");
        }
        let mut cluster = Self { folder, programs: programs.to_owned(), server: None };
        let data = cluster.data();
        let output = cluster
            .program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=passerelle", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
            .arg(data)
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        cluster.up();
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A command for a program of PostgreSQL. PostgreSQL refuses the root user, so root runs it as another user.
    fn program(&self, name: &str) -> Command {
        self.run(self.programs.join(name))
    }

    fn run(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        if let Some((user, group)) = unprivileged_user() {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server.
    pub(crate) fn up(&mut self) {
        // The shell reads from a pipe of the test process. When that process ends, the read ends, and the shell ends
        // the server.
        let script = "\"$0\" \"$@\" & server=$!; read line; kill -QUIT $server; wait $server";
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let mut command = self.run("sh");
        command.args(["-c", script]).arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        command.arg("-k").arg(self.folder.path()).args(["-c", "listen_addresses=", "-c", "max_connections=300"]);
        command.args(["-c", "shared_buffers=16MB", "-c", "restart_after_crash=on"]);
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.server = Some(command.spawn().expect("postgres runs"));
        let begin = Instant::now();
        while !self.is_ready() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begin.elapsed() < Duration::from_mins(1), "the cluster does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> bool {
        let mut command = self.program("pg_isready");
        command.arg("-q").arg("-h").arg(self.folder.path()).status().is_ok_and(|status| status.success())
    }

    /// Ends the server immediately, as in a crash.
    pub(crate) fn down(&mut self) {
        let Some(mut shell) = self.server.take() else { return };
        drop(shell.stdin.take());
        let _ = shell.wait();
    }

    /// Sends a signal to every process of the server. After STOP, the server is like a machine that hangs.
    pub(crate) fn signal(&self, signal: Signal) {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).expect("a process");
        let first = file.lines().next().expect("a process");
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).expect("its children");
        for pid in std::iter::once(first).chain(children.split_whitespace()) {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a process");
            // The child may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// The URL of a new database.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut command = self.program("createdb");
        command.arg("-h").arg(self.folder.path()).args(["-U", "passerelle", &name]);
        let output = command.output().expect("createdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        url(self.folder.path(), &name)
    }

    /// All files of the server.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
            for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
                match entry.path() {
                    path if path.is_dir() => walk(&path, found)?,
                    path => found.push(path),
                }
            }
            Ok(())
        }
        let mut found = Vec::new();
        walk(&self.data(), &mut found).expect("its files");
        found
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.down();
    }
}

/// The user and group to run PostgreSQL as, where root runs the tests: `postgres`, or else `nobody`.
fn unprivileged_user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let user = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    user("postgres").or_else(|| user("nobody"))
}
