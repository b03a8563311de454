//! Rules of the architecture that the compiler cannot state.

use std::{
    fs,
    path::{Path, PathBuf},
};

use passerelle_providers::VENDORS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The core depends on nothing that waits.
#[test]
fn the_core_has_no_runtime_and_no_client() {
    let metadata = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "passerelle-providers",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--offline",
            "--locked",
        ])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let tree = String::from_utf8_lossy(&metadata.stdout).into_owned();
    for banned in ["tokio", "reqwest", "hyper", "axum", "rustls", "mio", "openssl", "native-tls"] {
        assert!(!tree.lines().any(|line| line.split(' ').next() == Some(banned)), "the core depends on {banned}");
    }
    assert!(tree.contains("serde_json"), "the tree was read");
}

#[test]
fn no_vendor_knows_another() {
    for vendor in VENDORS {
        for path in sources(&root().join("providers").join(vendor.name())) {
            let code = code_of(&path);
            for other in VENDORS.iter().filter(|other| other.name() != vendor.name()) {
                assert!(!code.contains(&format!("{}::", other.name())), "{} names {}", path.display(), other.name());
            }
        }
    }
}

#[test]
fn shared_code_knows_no_vendor() {
    let shared = sources(&root().join("providers"));
    let vendors: Vec<PathBuf> = VENDORS.iter().map(|vendor| root().join("providers").join(vendor.name())).collect();
    let registry = root().join("providers/lib.rs");
    let shared =
        shared.iter().filter(|path| **path != registry && !vendors.iter().any(|vendor| path.starts_with(vendor)));
    for path in shared.chain(&sources(&root().join("src"))) {
        let code = code_of(path);
        for vendor in VENDORS {
            assert!(!code.contains(&format!("{}::", vendor.name())), "{} names {}", path.display(), vendor.name());
        }
    }
}

#[test]
fn every_vendor_has_the_same_rooms() {
    for vendor in VENDORS {
        let folder = root().join("providers").join(vendor.name());
        for room in ["README.md", "mod.rs", "wire.rs", "translate.rs", "server.rs"] {
            assert!(folder.join(room).is_file(), "{} has no {room}", vendor.name());
        }
        assert!(root().join("fixtures").join(vendor.name()).is_dir());
    }
    for entry in fs::read_dir(root().join("fixtures")).expect("fixtures").filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(VENDORS.iter().any(|vendor| vendor.name() == name), "fixtures/{name} has no vendor");
    }
}

#[test]
fn nothing_unsafe_and_nothing_unfinished() {
    for path in sources(&root().join("src")).into_iter().chain(sources(&root().join("providers"))) {
        let code = code_of(&path);
        for banned in ["danger_accept_invalid", "todo!(", "unimplemented!("] {
            assert!(!code.contains(banned), "{} has {banned}", path.display());
        }
    }
}
