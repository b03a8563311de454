//! Finds what a Rust file imports from its own crate, in `use` statements and in paths inside the code. `tidy.rs` uses
//! it. Code under `#[cfg(test)]` is left out.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path from the root of a crate, such as `["model", "Customer"]`.
pub(crate) type ModulePath = Vec<String>;

/// Every path of its own crate that the file names. `module` is the module path of the file.
pub(crate) fn of(file: &Path, module: &[String]) -> BTreeSet<ModulePath> {
    let text = fs::read_to_string(file).expect("a source file");
    let tokens: TokenStream = text.parse().expect("Rust tokens");
    let mut found = BTreeSet::new();
    read(tokens, module, &mut found);
    found
}

/// The module path of a file in the root folder of a crate.
pub(crate) fn module_of(file: &Path, root: &Path) -> ModulePath {
    let below = file.strip_prefix(root).expect("a file of the crate").with_extension("");
    let mut parts: ModulePath = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Every Rust file below a folder.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(tokens: TokenStream, module: &[String], found: &mut BTreeSet<ModulePath>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_for_tests(&tokens[at..]) {
            at += 2;
            // The item after the attribute ends with a block or a semicolon.
            while let Some(token) = tokens.get(at) {
                at += 1;
                let is_block = matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
                if is_block || is_punct(token, ';') {
                    break;
                }
            }
            continue;
        }
        let is_path_inside = at > 0 && is_punct(&tokens[at - 1], ':');
        match &tokens[at] {
            TokenTree::Ident(ident) if !is_path_inside => {
                let mut base = match ident.to_string().as_str() {
                    "crate" => Vec::new(),
                    "super" => module[..module.len().saturating_sub(1)].to_vec(),
                    "self" if is_path(&tokens[at + 1..]) => module.to_vec(),
                    _ => {
                        at += 1;
                        continue;
                    }
                };
                at += 1;
                while is_path(&tokens[at..]) && tokens.get(at + 2).is_some_and(|token| token.to_string() == "super") {
                    base.pop();
                    at += 3;
                }
                at += tree(&tokens[at..], base, found);
            }
            TokenTree::Group(group) => {
                read(group.stream(), module, found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Reads the rest of a path: `::name…` or `::{…}`. Returns the number of tokens.
fn tree(tokens: &[TokenTree], mut base: ModulePath, found: &mut BTreeSet<ModulePath>) -> usize {
    let mut at = 0;
    while is_path(&tokens[at..]) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(ident)) => {
                base.push(ident.to_string());
                at += 3;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in inner.split(|token| is_punct(token, ',')) {
                    if let Some(TokenTree::Ident(first)) = branch.first() {
                        let mut path = base.clone();
                        path.push(first.to_string());
                        tree(&branch[1..], path, found);
                    }
                }
                return at + 3;
            }
            _ => break,
        }
    }
    if !base.is_empty() {
        found.insert(base);
    }
    at
}

fn is_path(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [first, second, ..] if is_punct(first, ':') && is_punct(second, ':'))
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let [sign, TokenTree::Group(attribute), ..] = tokens else { return false };
    is_punct(sign, '#') && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

#[test]
fn nested_imports_and_written_out_paths_are_found() {
    let code = "
        use crate::{model::{Customer, manifest::Manifest}, text::Str};
        use super::{cursor::Cursor, Gateway};
        fn f() -> super::super::kit::Plan { crate::api::view::write(\"crate::not::this\") }
        // crate::nor::this
        #[cfg(test)] mod tests { use crate::store::Store; }
        macro_rules! m { () => { $crate::json::Raw } }
    ";
    let mut found = BTreeSet::new();
    let module = ["merchant".to_owned(), "understand".to_owned()];
    read(code.parse().expect("tokens"), &module, &mut found);
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "api::view::write",
            "json::Raw",
            "kit::Plan",
            "merchant::Gateway",
            "merchant::cursor::Cursor",
            "model::Customer",
            "model::manifest::Manifest",
            "text::Str",
        ]
    );
}
