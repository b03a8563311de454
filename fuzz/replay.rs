//! Runs every target on its seeds, on small changes of them, and on the inputs that once failed. The changes are the same in
//! every run.

use std::panic::{self, AssertUnwindSafe};

use libtest_mimic::{Arguments, Failed, Trial};
use passerelle_fuzz::{Target, seeds, targets};

/// How many changes of each seed are run.
const CHANGES: u64 = 6;

fn main() {
    let trials = targets().into_iter().map(|target| Trial::test(target.name.clone(), move || replay(&target)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn replay(target: &Target) -> Result<(), Failed> {
    for (name, input) in seeds::crashes(&target.name) {
        run(target, &name, &input)?;
    }
    for (number, seed) in target.seeds().iter().enumerate() {
        run(target, &format!("seed {number}"), seed)?;
        for change in 0..CHANGES {
            run(
                target,
                &format!("change {change} of seed {number}"),
                &changed(seed, number as u64 * CHANGES + change),
            )?;
        }
    }
    Ok(())
}

/// Runs one input, and says which one it was where it fails.
fn run(target: &Target, name: &str, input: &[u8]) -> Result<(), Failed> {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| target.run(input)));
    ran.map_err(|_| format!("{}: {name} fails:\n{}", target.name, input.escape_ascii()).into())
}

/// A seed with one byte changed, removed or doubled, or cut there.
fn changed(seed: &[u8], number: u64) -> Vec<u8> {
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random ^= random >> 29;
    let place = usize::try_from(random % (seed.len() as u64 + 1)).unwrap_or_default();
    let (head, tail) = seed.split_at(place);
    match (random >> 32) % 4 {
        0 => [head, &[random.to_le_bytes()[5]], tail.get(1..).unwrap_or_default()].concat(),
        1 => [head, tail.get(1..).unwrap_or_default()].concat(),
        2 => [head, &head[head.len().saturating_sub(4)..], tail].concat(),
        _ => head.to_vec(),
    }
}
