//! Writes files of the operator's API to disk, for their owner only.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use reqwest::Method;

use super::client::Client;
use crate::command::CommandError;

/// Downloads a file piece by piece. The file appears under its name only when it is complete, so that half a map is never
/// taken for a whole one. A file that exists is not overwritten.
pub(super) async fn download(client: &Client, path: &str, out: &Path) -> Result<u64, CommandError> {
    let wrong = |error: io::Error| CommandError::Failed(format!("{} cannot be written: {error}", out.display()));
    if out.exists() {
        return Err(CommandError::Failed(format!("{} exists already; choose another name", out.display())));
    }
    let mut response = client.send(client.request(Method::GET, path)).await?;
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut file = private(&part).map_err(wrong)?;
    let mut written = 0_u64;
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => {
                file.write_all(&piece).map_err(wrong)?;
                written += u64::try_from(piece.len()).unwrap_or_default();
            }
            Ok(None) => break,
            Err(_) => {
                let _ = std::fs::remove_file(&part);
                let message = format!(
                    "the gateway broke {} off after {written} bytes, because its store failed or it stopped; nothing was \
                     written, try again",
                    out.display()
                );
                return Err(CommandError::Failed(message));
            }
        }
    }
    file.sync_all().map_err(wrong)?;
    std::fs::rename(&part, out).map_err(wrong)?;
    Ok(written)
}

/// Opens a file that only its owner can read, also if it was there before.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600);
        let file = options.open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}
