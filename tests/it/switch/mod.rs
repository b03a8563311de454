//! Switches from one provider to another.

mod bed;
mod blocked;
mod carried;
mod chain;
mod checks;
mod configured;
mod copies;
mod copies_in_doubt;
mod door;
mod driving;
mod endings;
mod erasure;
mod matching;
mod merchant;
mod passes;
mod planning;
mod steps;
mod samples;
mod story;
mod trial;
mod unique;
mod verification;
mod verified;
