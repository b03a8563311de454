//! The trace context of W3C: the ids of traces and spans, the header `traceparent`, and the decision which traces are
//! sampled.

use std::fmt;

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName};
use uuid::Uuid;

/// The header that names the span of the sender.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The length of the header in version 0. Later versions may be longer.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub(super) [u8; 16]);

/// The id of a span.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub(super) [u8; 8]);

/// A span as `traceparent` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether its process records it.
    pub is_sampled: bool,
}

impl TraceId {
    /// A new trace.
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// A part of the id in which all bits are random, in version 4 of UUIDs as in the ids of other tracers.
    const fn random_part(self) -> u32 {
        let [.., first, second, third, fourth, _, _, _] = self.0;
        u32::from_be_bytes([first, second, third, fourth])
    }
}

impl SpanId {
    /// A new span. It is never zero, because the first bit of this half of a UUID is set.
    pub(super) fn random() -> Self {
        let (_, half) = Uuid::new_v4().as_u64_pair();
        Self(half.to_be_bytes())
    }
}

impl SpanContext {
    /// The span that the headers of a request name. `None` if they name none, or in another form than that of W3C.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        }
    }

    /// Reads the value of the header.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let [version] = decoded(parts.next()?)?;
        let (trace, span) = (TraceId(decoded(parts.next()?)?), SpanId(decoded(parts.next()?)?));
        let [flags] = decoded(parts.next()?)?;
        let is_whole = match version {
            0 => more.is_empty(),
            255 => false,
            _ => more.first().is_none_or(|byte| *byte == b'-'),
        };
        let is_valid = is_whole && trace.0 != [0; 16] && span.0 != [0; 8];
        is_valid.then_some(Self { trace, span, is_sampled: flags & SAMPLED != 0 })
    }
}

fn decoded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (text.len() == 2 * N).then_some(())?;
    HEXLOWER.decode_mut(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The value of the header.
impl fmt::Display for SpanContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, is_sampled } = self;
        write!(formatter, "00-{trace}-{span}-{:02x}", u8::from(*is_sampled))
    }
}

macro_rules! shown_in_hexadecimal {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&HEXLOWER.encode_display(&self.0), formatter)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }
    )*};
}

shown_in_hexadecimal!(TraceId, SpanId);

/// The part of traces that are sampled, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct SampleRatio(pub f64);

impl SampleRatio {
    /// Whether a trace that begins here is sampled. Every process with the same ratio decides alike.
    pub(super) fn keeps(self, trace: TraceId) -> bool {
        f64::from(trace.random_part()) >= (1.0 - self.0) * (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_as_w3c_defines_it() {
        let context = SpanContext::parse(PARENT.as_bytes()).expect("it is valid");
        assert!(context.is_sampled);
        assert_eq!(context.to_string(), PARENT);
        assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let not_sampled = SpanContext::parse(PARENT.replace("-01", "-02").as_bytes()).expect("it is valid");
        assert!(!not_sampled.is_sampled);
        let later = PARENT.replacen("00", "cc", 1) + "-more";
        assert_eq!(SpanContext::parse(later.as_bytes()), Some(context));
    }

    #[test]
    fn another_form_names_no_span() {
        for wrong in [
            "",
            "00-forged",
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &format!("{PARENT}-more"),
            &format!("{}x", PARENT.replacen("00", "cc", 1)),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace('-', "0"),
            &PARENT[1..],
        ] {
            assert_eq!(SpanContext::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, PARENT.parse().expect("a value"));
        assert!(SpanContext::of(&headers).is_some());
        headers.append(TRACEPARENT, PARENT.parse().expect("a value"));
        assert_eq!(SpanContext::of(&headers), None, "it is ambiguous which one counts");
    }

    #[test]
    fn about_the_configured_part_of_traces_is_sampled() {
        let kept = |ratio: f64| (0..4000).filter(|_| SampleRatio(ratio).keeps(TraceId::random())).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 4000));
        // Fewer or more are less likely than one in 10^15.
        assert!((750..1250).contains(&kept(0.25)));
        let (low, high) = (TraceId([0; 16]), TraceId([255; 16]));
        assert!(!SampleRatio(0.999).keeps(low) && SampleRatio(0.001).keeps(high));
    }
}
