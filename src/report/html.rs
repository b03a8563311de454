//! Text in HTML. Everything that is not written in this folder goes through [`Escaped`].

use std::fmt::{self, Write};

/// A text with the characters replaced that mean something in HTML, in an element and in a quoted attribute alike.
pub(super) struct Escaped<'t>(pub(super) &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                // Characters that reverse the direction of a line can make one text look like another.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(formatter, "U+{:04X}", u32::from(character))?;
                }
                control if control.is_control() && !matches!(control, '\n' | '\t') => {
                    formatter.write_char('\u{fffd}')?;
                }
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The same replacement of characters for templates: `askama.toml` names it, so that every text in a template goes through it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Escaper;

impl askama::filters::Escaper for Escaper {
    fn write_escaped_str<W: Write>(&self, mut destination: W, text: &str) -> fmt::Result {
        write!(destination, "{}", Escaped(text))
    }
}

/// A number with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
