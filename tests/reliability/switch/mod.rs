//! Switches of a merchant from one provider to another, with real processes that are killed and stopped. The logs and
//! the records of the twins decide what happened; the store says which customer lives where.

mod bed;
mod checks;
mod clients;
mod doubts;
mod kills;
mod often;
pub(crate) mod operator;
mod outage;
mod stops;
mod store_faults;
mod verification;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = kills::trials();
    trials.extend(stops::trials());
    trials.extend(outage::trials());
    trials.extend(store_faults::trials());
    trials.extend(doubts::trials());
    trials.extend(verification::trials());
    trials.extend(often::trials());
    trials
}
