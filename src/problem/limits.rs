//! The problems of clients that send too many requests, or whose key does not allow what they ask for.

use super::{Code, Problem};
use crate::{admission::TooMany, merchant::LacksScope};

impl From<TooMany> for Problem {
    fn from(refused: TooMany) -> Self {
        let (code, detail, seconds) = match refused {
            TooMany::InFlight => {
                let detail = "the gateway answers as many requests as it can at once; nothing was sent to the provider";
                (Code::Overloaded, detail, 1)
            }
            TooMany::Requests(seconds) => {
                let detail = "the `rate_limit` of this merchant is reached; nothing was sent to the provider";
                (Code::RateLimited, detail, seconds)
            }
            TooMany::WrongKeys(seconds) => {
                let detail = "too many wrong keys came from the address of the client \
                              (`server.wrong_keys_per_address`); a valid key works all the same";
                (Code::TooManyWrongKeys, detail, seconds)
            }
        };
        Self::new(code, detail).with_retry_after(seconds)
    }
}

impl From<LacksScope> for Problem {
    fn from(lacking: LacksScope) -> Self {
        Self::new(Code::Forbidden, lacking.to_string())
    }
}
