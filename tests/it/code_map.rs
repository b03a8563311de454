//! Documents that name files and functions: each of them exists. The code map is made from the first sentence of every
//! file. To update it: `UPDATE_DOCUMENTS=1 cargo test --test it code_map`.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use crate::{documents::assert_up_to_date, imports::sources};

const ROOTS: [&str; 5] = ["src", "providers", "tests", "benches", "fuzz"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the project by its path, with its text.
fn code() -> BTreeMap<String, String> {
    let files = ROOTS.iter().flat_map(|folder| sources(&root().join(folder)));
    let mut code = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(root()).expect("a file of the project").to_string_lossy().into_owned();
        code.insert(path, fs::read_to_string(&file).expect("a source file"));
    }
    assert!(code.len() > 200, "the sources were read");
    code
}

/// Every document that is written for people.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)).into();
    for folder in ["docs", "providers"] {
        let entries = fs::read_dir(root().join(folder)).expect("a folder").filter_map(Result::ok);
        found.extend(entries.map(|entry| entry.path()).filter_map(|path| match path.is_dir() {
            true => Some(path.join("README.md")).filter(|readme| readme.is_file()),
            false => Some(path).filter(|path| path.extension().is_some_and(|extension| extension == "md")),
        }));
    }
    assert!(found.len() > 10, "the documents were found");
    found
}

/// The first sentence of a file's documentation.
fn first_sentence(path: &str, text: &str) -> String {
    if text.starts_with("#![doc = include_str!(\"README.md\")]") {
        let readme = Path::new(path).with_file_name("README.md");
        let readme = fs::read_to_string(root().join(readme)).expect("a README");
        let title = readme.lines().next().unwrap_or_default().trim_start_matches("# ");
        return format!("{title}: the manifest, and the plan of every operation.");
    }
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).take_while(|line| !line.trim().is_empty());
    let paragraph = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    let sentence = paragraph.split_once(". ").map_or(paragraph.as_str(), |(first, _)| first);
    format!("{}.", sentence.trim_end_matches('.')).replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

#[test]
fn the_code_map_has_one_line_for_every_file() {
    let mut map = "# Code map\n\nOne line for every file, made from the first sentence of its documentation.\n\
                   [architecture.md](architecture.md) explains how the folders belong together.\n"
        .to_owned();
    let mut folder = String::new();
    let code = code();
    // The files of a folder come before its subfolders.
    let mut paths: Vec<(String, &String)> = code
        .keys()
        .map(|path| (path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()), path))
        .collect();
    paths.sort();
    for (of, path) in paths {
        if of != folder {
            let _ = write!(map, "\n## `{of}/`\n\n| | |\n|---|---|\n");
            folder = of;
        }
        let sentence = first_sentence(path, &code[path]);
        assert!(sentence.len() > 10, "{path} does not say what it is for");
        let name = path.rsplit('/').next().unwrap_or_default();
        let _ = writeln!(map, "| `{name}` | {sentence} |");
    }
    assert_up_to_date("docs/code-map.md", &map);
}

/// The texts between single backticks outside of code blocks.
fn quoted(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_block = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut checked = 0;
    let mut missing = Vec::new();
    for document in documents() {
        for text in quoted(&fs::read_to_string(&document).expect("a document")) {
            let is_path = text.contains('/')
                && [&ROOTS[..], &["docs", "config", "fixtures", "packaging"]]
                    .concat()
                    .contains(&text.split('/').next().unwrap_or(""))
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
            if is_path {
                checked += 1;
                if !root().join(&text).exists() {
                    missing.push(format!("{}: {text}", document.display()));
                }
            }
        }
    }
    assert!(checked > 150, "only {checked} paths were found");
    assert!(missing.is_empty(), "documents name what does not exist:\n{}", missing.join("\n"));
}

/// `Type::function` and `Enum::Variant` in documents, and the functions beside a file in a table.
#[test]
fn every_function_that_a_document_names_exists() {
    let code = code();
    let is_in = |file: &str, name: &str| {
        let text = code.get(file).map_or("", String::as_str);
        [format!("fn {name}("), format!("fn {name}<")].iter().any(|signature| text.contains(signature))
    };
    let mut checked = 0;
    let mut missing = Vec::new();
    for name in ["docs/architecture.md", "docs/reliability.md", "docs/adding-a-provider.md"] {
        let document = fs::read_to_string(root().join(name)).expect("a document");
        for text in quoted(&document) {
            let Some((owner, item)) = text.split_once("::") else { continue };
            let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !owner.starts_with(char::is_uppercase) || !is_word(owner) || !is_word(item) {
                continue;
            }
            checked += 1;
            let holds = |text: &String| text.contains(owner) && text.contains(item);
            let declares = |file: &String| is_in(file, item);
            let is_there = match item.starts_with(char::is_uppercase) {
                true => code.values().any(holds),
                false => code.keys().any(|file| declares(file) && code[file].contains(owner)),
            };
            if !is_there {
                missing.push(format!("{name}: {text}"));
            }
        }
        for line in document.lines() {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            for pair in cells.windows(2) {
                let function = pair[1].rsplit("::").next().unwrap_or_default();
                if code.contains_key(pair[0]) && !function.is_empty() && !function.contains(' ') {
                    checked += 1;
                    if !is_in(pair[0], function) {
                        missing.push(format!("{name}: {} in {}", pair[1], pair[0]));
                    }
                }
            }
        }
    }
    assert!(checked > 60, "only {checked} functions were found");
    assert!(missing.is_empty(), "documents name what does not exist:\n{}", missing.join("\n"));
}
