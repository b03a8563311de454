//! Switches from one provider to another.

mod bed;
mod carried;
mod chain;
mod configured;
mod copies;
mod copies_in_doubt;
mod driving;
mod endings;
mod erasure;
mod matching;
mod merchant;
mod passes;
mod planning;
mod story;
mod trial;
mod unique;
mod verification;
