//! A gateway that reloads by itself when its files are changed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::process::{ACME, Gateway, SERVER};

fn configuration(active: &str) -> String {
    let server = SERVER.replace("[store]", "reload_on_change = true\n[store]");
    format!("{server}{ACME}").replace("active = \"main\"", &format!("active = \"{active}\""))
}

/// Replaces a file by another one, as `mv` and many editors do.
fn replace(gateway: &Gateway, name: &str, text: &str) {
    gateway.write("replacement", text);
    fs::rename(gateway.path("replacement"), gateway.path(name)).expect("it is renamed");
}

#[test]
fn a_replaced_file_is_reloaded_and_a_mistake_in_between_changes_nothing() {
    let gateway = Gateway::start(&configuration("main"));
    replace(&gateway, "passerelle.toml", &configuration("new"));
    assert_eq!(
        gateway.messages_until("reloaded"),
        ["INFO merchants.acme.active: main → new", "INFO the configuration was reloaded; changes: 1"]
    );
    replace(&gateway, "passerelle.toml", &configuration("neu"));
    let refused = gateway.messages_until("reloaded");
    assert!(refused[0].contains("`merchants.acme.active` names no connection; did you mean `new`?"), "{refused:?}");
    assert!(gateway.merchant("sk_acme_0123456789abcdef").contains("\"connection\":\"new\""));

    gateway.write("passerelle.toml", &configuration("new"));
    assert_eq!(gateway.messages_until("reloaded"), ["INFO the configuration was reloaded; nothing was changed"]);

    replace(&gateway, "key", "sk_rotated_0123456789abc\n");
    assert_eq!(
        gateway.messages_until("reloaded"),
        ["INFO merchants.acme.api_keys: changed", "INFO the configuration was reloaded; changes: 1"]
    );
    assert!(gateway.merchant("sk_rotated_0123456789abc").starts_with("HTTP/1.1 200"));
    assert!(gateway.merchant("sk_acme_0123456789abcdef").starts_with("HTTP/1.1 401"));
}

/// Writes a version of a volume as Kubernetes does: the files are in a folder of the version, and `..data` is a link to it
/// that is replaced.
fn publish(volume: &Path, version: &str, configuration: &str, key: &str) -> PathBuf {
    let folder = volume.join(version);
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("passerelle.toml"), configuration).expect("it is written");
    fs::write(folder.join("key"), key).expect("it is written");
    symlink(version, volume.join("..data_tmp")).expect("a link");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("it is renamed");
    folder
}

#[test]
fn a_volume_whose_link_is_replaced_is_reloaded_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let volume = folder.path().to_owned();
    let first = publish(&volume, "..1", &configuration("main"), "sk_acme_0123456789abcdef");
    for name in ["passerelle.toml", "key"] {
        symlink(Path::new("..data").join(name), volume.join(name)).expect("a link");
    }
    let gateway = Gateway::start_in(folder);
    let second = publish(&volume, "..2", &configuration("new"), "sk_acme_0123456789abcdef");
    fs::remove_dir_all(first).expect("it is removed");
    assert_eq!(
        gateway.messages_until("reloaded"),
        ["INFO merchants.acme.active: main → new", "INFO the configuration was reloaded; changes: 1"]
    );
    publish(&volume, "..3", &configuration("main"), "sk_rotated_0123456789abc");
    fs::remove_dir_all(second).expect("it is removed");
    assert_eq!(
        gateway.messages_until("reloaded"),
        [
            "INFO merchants.acme.active: new → main",
            "INFO merchants.acme.api_keys: changed",
            "INFO the configuration was reloaded; changes: 2"
        ]
    );
    assert!(gateway.merchant("sk_rotated_0123456789abc").contains("\"connection\":\"main\""));
}
