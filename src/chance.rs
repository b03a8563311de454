//! What is drawn by chance and decides something: how long a pause is.

use tower::util::rng::{HasherRng, Rng};

/// Draws the lengths of pauses. Clones draw other numbers than their original, so that two requests that fail together are
/// not sent again together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jitter;

impl Rng for Jitter {
    fn next_u64(&mut self) -> u64 {
        HasherRng::default().next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_draw_other_numbers() {
        let mut jitter = Jitter;
        let mut other = jitter;
        assert_ne!([jitter.next_u64(), jitter.next_u64()], [other.next_u64(), other.next_u64()]);
    }
}
