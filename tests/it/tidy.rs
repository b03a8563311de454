//! Rules of the architecture that the compiler cannot state.

use std::{
    fs,
    path::{Path, PathBuf},
};

use passerelle_providers::VENDORS;

use crate::imports::{self, ModulePath, sources};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The core has no asynchronous runtime, no HTTP client and no TLS.
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
fn no_vendor_imports_another() {
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
fn shared_code_imports_no_vendor() {
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
fn every_vendor_has_the_same_files() {
    for vendor in VENDORS {
        let folder = root().join("providers").join(vendor.name());
        for name in ["README.md", "mod.rs", "wire.rs", "translate.rs", "server.rs"] {
            assert!(folder.join(name).is_file(), "{} has no {name}", vendor.name());
        }
        assert!(root().join("fixtures").join(vendor.name()).is_dir());
    }
    for entry in fs::read_dir(root().join("fixtures")).expect("fixtures").filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(VENDORS.iter().any(|vendor| vendor.name() == name), "fixtures/{name} has no vendor");
    }
}

#[test]
fn no_code_skips_certificate_checks_or_is_unfinished() {
    for path in sources(&root().join("src")).into_iter().chain(sources(&root().join("providers"))) {
        let code = code_of(&path);
        for banned in ["danger_accept_invalid", "todo!(", "unimplemented!("] {
            assert!(!code.contains(banned), "{} has {banned}", path.display());
        }
    }
}

/// The folders of the core. Each imports only those before it.
const CORE: &[&str] = &["text", "json", "model", "api", "kit", "engine", "switch"];

/// The modules of the shell. Each imports only those before it.
const SHELL: &[&str] = &[
    "clock",
    "chance",
    "workers",
    "openapi",
    "capabilities",
    "config",
    "traces",
    "metrics",
    "admission",
    "listener",
    "tls",
    "upstream",
    "store",
    "merchant",
    "execution",
    "problem",
    "writes",
    "switch",
    "telemetry",
    "state",
    "body",
    "http",
    "drop_in",
    "report",
    "operator",
    "console",
    "twin",
    "app",
    "command",
];

#[test]
fn folders_of_the_core_import_only_those_before_them() {
    let folder = root().join("providers/core");
    // The root of the crate re-exports the folders under short names, and holds the registry.
    let folder_of = |path: &ModulePath| match path.first().map(String::as_str) {
        Some("core") => path.get(1).cloned(),
        Some("CustomerProvider" | "VendorServer" | "Settings" | "Vendor") => Some("kit".to_owned()),
        other => other.map(str::to_owned),
    };
    let wrong = wrong_imports(&folder, CORE, &["core".to_owned()], folder_of);
    assert!(wrong.is_empty(), "imports against the order of the core's folders:\n{}", wrong.join("\n"));
}

#[test]
fn modules_of_the_shell_import_only_those_before_them() {
    let wrong = wrong_imports(&root().join("src"), SHELL, &[], |path: &ModulePath| path.first().cloned());
    assert!(wrong.is_empty(), "imports against the order of the shell's modules:\n{}", wrong.join("\n"));
}

/// Every import of a module that is later in the order, or that is not in it.
fn wrong_imports(
    folder: &Path,
    order: &[&str],
    prefix: &[String],
    module_of: impl Fn(&ModulePath) -> Option<String>,
) -> Vec<String> {
    let rank = |name: &str| order.iter().position(|known| *known == name);
    let mut wrong = Vec::new();
    let mut modules = 0;
    for file in sources(folder) {
        let below = imports::module_of(&file, folder);
        // The root of the crate and the `mod.rs` of this folder may import every module.
        let Some(own) = below.first() else { continue };
        if own == "tests" {
            continue;
        }
        let Some(own_rank) = rank(own) else {
            wrong.push(format!("{own} is not in the order"));
            continue;
        };
        modules += 1;
        let module: ModulePath = prefix.iter().cloned().chain(below.iter().cloned()).collect();
        for path in imports::of(&file, &module) {
            let Some(target) = module_of(&path) else { continue };
            match rank(&target) {
                Some(target) if target <= own_rank => {}
                _ => wrong.push(format!("{} imports {}", file.display(), path.join("::"))),
            }
        }
    }
    assert!(modules > order.len(), "the folder was read");
    wrong
}

/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    const LIMIT: usize = 400;
    let folders = ["src", "providers", "tests", "benches", "fuzz"];
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| sources(&root().join(folder))).collect();
    let mut wrong = Vec::new();
    for file in &files {
        let name = file.strip_prefix(root()).expect("a file of ours").to_string_lossy().into_owned();
        let lines = fs::read_to_string(file).expect("a file").lines().count();
        let is_allowed = LONG_FILES.iter().any(|(allowed, _)| *allowed == name);
        if (lines > LIMIT) != is_allowed {
            wrong.push(format!("{name} has {lines} lines{}", if is_allowed { " and needs no exception" } else { "" }));
        }
    }
    assert!(files.len() > 100, "the sources were read");
    assert!(wrong.is_empty(), "files of more than {LIMIT} lines:\n{}", wrong.join("\n"));
}
