//! Where the store, the secrets and the certificate are: a relative path begins at the folder of the configuration file,
//! wherever the command is run.

use std::{fs, path::Path, process::Output, time::Duration};

use assert_cmd::Command;
use tempfile::TempDir;

use crate::{
    terminal::{err, out},
    tls_front::Authority,
};

const MERCHANT: &str = "[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\nactive = \"main\"\n\
     connections.main = { provider = \"lomi\", sandbox = true }\n";

/// Runs a command in one folder, with the configuration of another one.
fn run(work: &Path, configuration: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("passerelle").expect("the binary");
    command.env_clear().current_dir(work).arg("--config").arg(configuration.join("passerelle.toml"));
    // A gateway that starts would not end.
    command.args(arguments).timeout(Duration::from_mins(1)).output().expect("it runs")
}

/// A working directory, and the folder of a configuration with this `[store]`.
fn folders(store: &str) -> (TempDir, TempDir) {
    let [work, configuration] = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    fs::write(configuration.path().join("passerelle.toml"), format!("{store}{MERCHANT}")).expect("it is written");
    (work, configuration)
}

/// The commands that open the store, and `check`.
const COMMANDS: [&[&str]; 6] = [
    &["serve", "--listen", "127.0.0.1:0"],
    &["check"],
    &["operations"],
    &["audit"],
    &["store", "backup", "--out", "copy.db"],
    &["store", "accept-restore"],
];

#[test]
fn a_store_that_is_only_in_the_working_directory_is_refused_with_both_places() {
    for (store, name) in [("", "passerelle.db"), ("[store]\nurl = \"sqlite:gateway.db\"\n", "gateway.db")] {
        let (work, configuration) = folders(store);
        fs::write(work.path().join(name), "of an earlier version").expect("it is written");
        let (old, new) = (work.path().join(name), configuration.path().join(name));
        for arguments in COMMANDS {
            let refused = run(work.path(), configuration.path(), arguments);
            assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
            let message = err(&refused);
            for part in [
                format!("the store is at {}, in the working directory, and not at {}", old.display(), new.display()),
                format!("to {}, or set `store.url` to \"sqlite:{}\"", configuration.path().display(), old.display()),
            ] {
                assert!(message.contains(&part), "{arguments:?}: {message}");
            }
        }
        assert!(!new.exists(), "nothing was begun there");
        // Once it was moved, its place is the new one, and what is left at the old one is not looked at.
        fs::write(&new, "").expect("it is written");
        assert!(run(work.path(), configuration.path(), &["check"]).status.success());
    }
}

#[test]
fn the_store_of_every_command_is_beside_the_configuration_and_messages_have_its_whole_path() {
    let (work, configuration) = folders(&format!("[store]\nkey = \"{}\"\n", "0a".repeat(32)));
    let place = configuration.path().join("passerelle.db");
    let checked = run(work.path(), configuration.path(), &["check"]);
    assert!(checked.status.success() && out(&checked).contains("no mistakes"), "{}", err(&checked));
    let missing = err(&run(work.path(), configuration.path(), &["operations"]));
    assert_eq!(missing, format!("error: there is no store at {} yet\n", place.display()));
    // The same from the folder itself, where the file is named without one.
    let mut command = Command::cargo_bin("passerelle").expect("the binary");
    let missing = command.env_clear().current_dir(configuration.path()).arg("audit").output().expect("it runs");
    let folder = configuration.path().canonicalize().expect("its name");
    assert_eq!(err(&missing), format!("error: there is no store at {} yet\n", folder.join("passerelle.db").display()));
}

/// The packages run the gateway in another folder than that of its configuration.
#[test]
fn the_package_names_the_place_of_its_store() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/passerelle.toml"));
    let loaded = passerelle::config::load_text(&text.expect("a file"), "passerelle.toml").expect("no mistakes");
    let settings = passerelle::store::Settings::of(&loaded).expect("settings");
    assert_eq!(settings.location(), "sqlite:/var/lib/passerelle/passerelle.db");
}

/// The names of files that a configuration can have, with the keys that name them.
const FILES: [(&str, &str); 6] = [
    ("server.tls.certificate", "certificate.pem"),
    ("server.tls.key", "certificate.key"),
    ("store.key", "store.key"),
    ("operator.keys", "operator"),
    ("merchants.acme.api_keys", "acme"),
    ("merchants.acme.connections.main.credentials.api_key", "lomi"),
];

#[test]
fn a_file_of_a_secret_or_of_the_certificate_is_beside_the_configuration_and_a_mistake_elsewhere() {
    let [work, configuration] = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let text = "[server.tls]\ncertificate = \"certificate.pem\"\nkey = \"certificate.key\"\n\
                [store]\nkey = { file = \"store.key\" }\n\
                [operator]\nlisten = \"127.0.0.1:0\"\nkeys = [{ file = \"operator\" }]\n\
                [merchants.acme]\napi_keys = [{ file = \"acme\" }]\nactive = \"main\"\n\
                connections.main = { provider = \"lomi\", credentials = { api_key = { file = \"lomi\" } } }\n";
    fs::write(configuration.path().join("passerelle.toml"), text).expect("it is written");
    let certificate = Authority::new().certificate("localhost");
    let contents = [
        &certificate.pem,
        &certificate.key_pem,
        &"0a".repeat(32),
        &format!("op_{}", "0".repeat(32)),
        &format!("sk_{}", "0".repeat(32)),
        &"lomi_0".to_owned(),
    ];
    for ((_, name), content) in FILES.into_iter().zip(contents) {
        let file = work.path().join(name);
        fs::write(&file, content).expect("it is written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&file, mode).expect("only its owner can read it");
    }
    let refused = run(work.path(), configuration.path(), &["check"]);
    assert_eq!(refused.status.code(), Some(1));
    for (key, name) in FILES {
        let [old, new] = [work.path(), configuration.path()].map(|folder| folder.join(name));
        let message = format!(
            "`{key}` names the file {name}, which is at {}, in the working directory, and not at {}: a relative path begins at the \
             folder of the configuration file.",
            old.display(),
            new.display()
        );
        assert!(err(&refused).contains(&message), "{message}\n{}", err(&refused));
        fs::rename(old, new).expect("it is moved");
    }
    let checked = run(work.path(), configuration.path(), &["check"]);
    assert!(checked.status.success() && !err(&checked).contains("error"), "{}", err(&checked));
    fs::remove_file(configuration.path().join("lomi")).expect("it is removed");
    let missing = err(&run(work.path(), configuration.path(), &["check"]));
    let place = configuration.path().join("lomi");
    assert!(missing.contains(&format!("names the file {}, which cannot be read", place.display())), "{missing}");
}
