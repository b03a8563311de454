//! The entry of libFuzzer: calls the target that the variable `FUZZ_TARGET` names. `fuzz/run` builds it.
//!
//! With `FUZZ_SEEDS`, it writes the seeds of all targets to folders below that one, and ends.

#![no_main]
#![expect(clippy::expect_used, reason = "it is a tool for developers")]

use std::{env, fs, path::PathBuf, process, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use passerelle_fuzz::{Target, targets};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    targets().into_iter().find(|target| target.name == name).expect("FUZZ_TARGET is the name of a target")
});

fn write_seeds(folder: PathBuf) {
    for target in targets() {
        let folder = folder.join(&target.name);
        fs::create_dir_all(&folder).expect("a folder for the seeds");
        for (number, seed) in target.seeds().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed is written");
        }
    }
}

fuzz_target!(
    init: {
        if let Some(folder) = env::var_os("FUZZ_SEEDS") {
            write_seeds(folder.into());
            process::exit(0);
        }
    },
    |input: &[u8]| TARGET.run(input)
);
