//! Bounds the memory that reading an input may take: a fixed factor of the length of the input.

/// What reading may take besides: buffers of a fixed size.
const BASE: u64 = 256 << 10;

/// How many bytes of memory each byte of input may take at once. The smallest record of a list has some twenty bytes, and
/// a customer in memory has one and a half thousand.
const FACTOR: u64 = 256;

/// Does the work, and panics where it holds too much memory at once. Work that exceeds the bound is done once more, because
/// its first run may have filled caches: those of the phone numbers of a country take some megabytes.
pub(crate) fn bounded<T>(input: usize, work: impl Fn() -> T) -> T {
    let most = BASE + FACTOR * input as u64;
    let mut held = 0;
    for _ in 0..2 {
        let mut result = None;
        held = allocation_counter::measure(|| result = Some(work())).bytes_max;
        if held <= most {
            return result.expect("the work was done");
        }
    }
    panic!("{held} bytes of memory for {input} bytes of input, at most {most}");
}

/// Panics where an output is too large for its input.
pub(crate) fn assert_in_proportion(what: &str, output: usize, input: usize) {
    let most = BASE + FACTOR * input as u64;
    assert!(output as u64 <= most, "{what} of {output} bytes for {input} bytes of input");
}
