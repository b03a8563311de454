//! Charts as SVG, without a script. A chart is a bar of parts; its numbers stand beside it as text, so that it can be
//! read on paper, on a phone, and by a screen reader. The parts differ in lightness, not only in colour.

use std::fmt::Write;

use super::html::{Escaped, grouped};

/// What a part of a bar means. The style sheet of the page gives it its colour ([`STYLE`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As wanted.
    Good,
    /// As wanted, by a rule.
    Changed,
    /// Kept by the gateway itself.
    Carried,
    /// Not done yet.
    Open,
    /// A person has to look at it.
    Bad,
    /// Nothing to do.
    Quiet,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Changed => "changed",
            Self::Carried => "carried",
            Self::Open => "open",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}

/// A part of a bar.
#[derive(Debug, Clone)]
pub struct Part<'t> {
    /// What it is, for the legend and the description.
    pub label: &'t str,
    /// How large it is.
    pub value: u64,
    /// What it means.
    pub tone: Tone,
}

/// The style of charts. Colours are printed too; bad parts are the darkest ones on a printer without colours.
pub const STYLE: &str = "\
.bar{display:block;width:100%;height:1.1rem;border-radius:2px;background:var(--empty)}\
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.4rem 0 0;padding:0;list-style:none;font-size:.9rem}\
.key svg{width:.8rem;height:.8rem;margin-right:.4rem;vertical-align:-.05rem}\
.good{fill:#1a7f4b}.changed{fill:#6db58c}.carried{fill:#4878b8}.open{fill:#c9c9c9}.bad{fill:#a1260d}.quiet{fill:#e4dfd3}\
svg,.bar{-webkit-print-color-adjust:exact;print-color-adjust:exact}";

/// The width of a bar in its own units.
const WIDTH: u64 = 1000;
/// A part that is not empty is at least this wide, so that one record among a million is seen.
const NARROWEST: u64 = 6;

/// A bar of parts. Its length is the sum of the parts, or `whole` if that is more.
pub fn bar(parts: &[Part<'_>], whole: u64) -> String {
    let shown: Vec<&Part<'_>> = parts.iter().filter(|part| part.value > 0).collect();
    let sum = shown.iter().map(|part| part.value).sum::<u64>();
    let whole = whole.max(sum).max(1);
    let description: Vec<String> = shown.iter().map(|part| format!("{} {}", grouped(part.value), part.label)).collect();
    let description = if description.is_empty() { "none".to_owned() } else { description.join(", ") };
    let mut svg = format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 16\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        Escaped(&description)
    );
    let mut at = 0;
    for (width, part) in widths(&shown, whole).into_iter().zip(&shown) {
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{at}\" width=\"{width}\" height=\"16\"><title>{} {}</title></rect>",
            part.tone.class(),
            grouped(part.value),
            Escaped(part.label)
        );
        if part.tone == Tone::Bad {
            let mut stripe = at + 8;
            while stripe < at + width {
                let _ = write!(svg, "<path d=\"M{stripe} 0v16\" stroke=\"#fff\" stroke-width=\"2\"/>");
                stripe += 12;
            }
        }
        at += width;
    }
    svg.push_str("</svg>");
    svg
}

/// The widths of the parts. Narrow parts get the least width, and the widest one gives it to them.
fn widths(parts: &[&Part<'_>], whole: u64) -> Vec<u64> {
    let exact = |value: u64| u64::try_from(u128::from(value) * u128::from(WIDTH) / u128::from(whole)).unwrap_or(WIDTH);
    let mut widths: Vec<u64> = parts.iter().map(|part| exact(part.value).max(NARROWEST)).collect();
    let excess = widths.iter().sum::<u64>().saturating_sub(WIDTH);
    if let Some(widest) = widths.iter_mut().max() {
        *widest = widest.saturating_sub(excess).max(NARROWEST);
    }
    widths
}

/// One column of a chart over time: its parts from the bottom to the top.
#[derive(Debug, Clone)]
pub struct Column {
    /// The sizes of the parts.
    pub parts: Vec<(u64, Tone)>,
}

/// The height of a chart over time in its own units.
const HEIGHT: u64 = 100;
/// A part that is not empty is at least this high.
const LOWEST: u64 = 3;
/// The width of a column, with the gap to the next one.
const STEP: usize = 10;

/// A chart over time: one column for each span, the newest at the right. `description` says the same in words.
pub fn columns(columns: &[Column], description: &str) -> String {
    let heights = columns.iter().map(|column| column.parts.iter().map(|(size, _)| size).sum::<u64>());
    let tallest = heights.max().unwrap_or_default().max(1);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        columns.len().max(1) * STEP,
        Escaped(description)
    );
    for (place, column) in columns.iter().enumerate() {
        let mut top = HEIGHT;
        let shown: Vec<&(u64, Tone)> = column.parts.iter().filter(|(size, _)| *size > 0).collect();
        let exact = |size: u64| u128::from(size) * u128::from(HEIGHT) / u128::from(tallest);
        // One failure among many requests is seen, and the largest part gives it its place.
        let mut heights: Vec<u64> =
            shown.iter().map(|(size, _)| u64::try_from(exact(*size)).unwrap_or(HEIGHT).max(LOWEST)).collect();
        let excess = heights.iter().sum::<u64>().saturating_sub(HEIGHT);
        if let Some(largest) = heights.iter_mut().max() {
            *largest = largest.saturating_sub(excess).max(LOWEST);
        }
        for ((_, tone), height) in shown.into_iter().zip(heights) {
            top = top.saturating_sub(height);
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{height}\"/>",
                tone.class(),
                place * STEP,
                STEP - 2
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// The legend of a bar: every part that is not empty, with its number.
pub fn key(parts: &[Part<'_>]) -> String {
    let mut list = String::from("<ul class=\"key\">");
    for part in parts.iter().filter(|part| part.value > 0) {
        let _ = write!(
            list,
            "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{}\" width=\"10\" height=\"10\"/></svg>{} {}</li>",
            part.tone.class(),
            grouped(part.value),
            Escaped(part.label)
        );
    }
    list.push_str("</ul>");
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_among_a_million_is_seen_and_the_bar_is_not_longer() {
        let part = |value, tone| Part { label: "x", value, tone };
        let parts = [part(1_000_000, Tone::Good), part(1, Tone::Bad), part(0, Tone::Open)];
        let shown: Vec<&Part<'_>> = parts.iter().filter(|part| part.value > 0).collect();
        assert_eq!(widths(&shown, 1_000_001), [994, 6]);
        let svg = bar(&parts, 0);
        assert!(svg.contains("width=\"6\"") && !svg.contains("class=\"open\""), "{svg}");
    }

    #[test]
    fn a_column_shows_each_of_its_parts_and_is_not_higher_than_the_chart() {
        let column = |ok, failed| Column { parts: vec![(ok, Tone::Good), (failed, Tone::Bad)] };
        let svg = columns(&[column(1_000_000, 1), column(0, 0), column(500_000, 0)], "a \"b\"");
        assert!(svg.contains("viewBox=\"0 0 30 100\"") && svg.contains("aria-label=\"a &quot;b&quot;\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        for rect in [
            "class=\"good\" x=\"0\" y=\"3\" width=\"8\" height=\"97\"",
            "class=\"bad\" x=\"0\" y=\"0\" width=\"8\" height=\"3\"",
            "class=\"good\" x=\"20\" y=\"51\" width=\"8\" height=\"49\"",
        ] {
            assert!(svg.contains(rect), "{rect}: {svg}");
        }
    }

    #[test]
    fn an_empty_bar_and_the_largest_numbers_are_drawn() {
        assert!(bar(&[], 0).contains("aria-label=\"none\""));
        let huge = [Part { label: "<b>", value: u64::MAX / 2, tone: Tone::Good }];
        let svg = bar(&huge, u64::MAX);
        assert!(svg.contains("width=\"499\"") && svg.contains("&lt;b&gt;") && !svg.contains("<b>"), "{svg}");
    }
}
