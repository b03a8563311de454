//! Requests captured from the vendors' own clients: `fixtures/<vendor>/captured/<name>.http`. A snapshot shows the
//! command that the server side decodes, or its refusal. The path in a file is the whole path at the vendor's host,
//! with `/payment` as the mount point of a vendor without a documented base URL.

use std::{fs, path::Path};

use libtest_mimic::{Failed, Trial};
use passerelle_providers::model::{Request, Response};

use crate::{
    case::{Setup, fixtures, folders, name_of, parse_message, snapshot},
    show,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for vendor_folder in folders(&fixtures()) {
        let vendor_name = name_of(&vendor_folder);
        let captured = vendor_folder.join("captured");
        // A folder inside `captured` has the requests of another generation or client, and its own `settings.json`.
        for folder in folders(&captured).into_iter().chain([captured]) {
            let mut files: Vec<_> = fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
                .collect();
            files.sort();
            for file in files {
                let (vendor_name, folder) = (vendor_name.clone(), folder.clone());
                let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let group = folder.strip_prefix(fixtures()).unwrap_or(&folder).to_string_lossy().replace('/', "::");
                trials
                    .push(Trial::test(format!("{group}::{stem}"), move || check(&vendor_name, &folder, &stem, &file)));
            }
        }
    }
    trials
}

fn check(vendor_name: &str, folder: &Path, stem: &str, file: &Path) -> Result<(), Failed> {
    let setup = Setup::read(vendor_name, folder)?;
    let (first, headers, body) = parse_message(&fs::read(file)?)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().ok_or("no method")?, words.next().ok_or("no target")?);
    // The vendor's documented base URL, or the mount point that the captured clients were configured with.
    let base: http::Uri = setup.endpoint().base_url().parse()?;
    let below = target.strip_prefix(base.path().trim_end_matches('/')).unwrap_or(target);
    let mut request = http::Request::builder().method(method).uri(below);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request: Request = request.body(body)?;

    let server = (setup.vendor.server)(setup.settings);
    let shown = match server.accept(&request) {
        Ok(command) => serde_json::to_string_pretty(&show::command(&command))?,
        Err(error) => {
            let now = "2026-11-20T12:00:00Z".parse()?;
            let refused: Response = server.refuse(&request, &error, now);
            format!("{}\n\n{}", refused.status(), String::from_utf8_lossy(refused.body()))
        }
    };
    snapshot(folder, &[(stem, &shown)]);
    Ok(())
}
