//! Switches from one provider to another.

mod bed;
mod copies;
mod copies_in_doubt;
mod driving;
mod merchant;
mod planning;
mod story;
mod verification;
