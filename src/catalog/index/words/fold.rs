//! Text to words: without case, accents and punctuation.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use std::collections::BTreeSet;
use std::ops::Range;

/// The most characters of a word that count; of a query's as well as of a product's.
const MAX_WORD_CHARS: usize = 48;

/// The distinct words of a full-text query. Each is met by itself and by every word that begins with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeSet<Box<str>>);

// === impl Query ===

impl Query {
    /// The words of `text`; none where it has neither letters nor digits.
    pub fn parse(text: &str) -> Self {
        let mut words = BTreeSet::new();
        split(text, false, &mut String::new(), &mut |word, _| {
            words.insert(word.into());
            true
        });
        Self(words)
    }

    /// Whether it has no words.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its words, in their order.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Appends the words of a document's `text` to `out` and visits each, with its place there, until `visit` says
/// no: runs of letters and digits, and what hyphens, points, underscores and apostrophes join also as one:
/// `USB-C` is `usb`, `c` and `usbc`.
pub fn words(text: &str, out: &mut String, visit: &mut dyn FnMut(&str, Range<usize>) -> bool) {
    split(text, true, out, visit);
}

fn split(
    text: &str,
    compounds: bool,
    out: &mut String,
    visit: &mut dyn FnMut(&str, Range<usize>) -> bool,
) {
    // The words lie in `out` as they lie in the text, and behind them what compounds are as one.
    let mut at = out.len();
    let is_ascii = text.is_ascii();
    if is_ascii {
        out.push_str(text);
    } else {
        fold(text, out);
    }
    if let Some(text) = out.get_mut(at..) {
        text.make_ascii_lowercase();
    }
    let next_run = match is_ascii {
        true => next_ascii_run,
        false => next_run,
    };
    let (text_end, mut compound, mut parts) = (out.len(), at, 0);
    while let Some((run, joined)) = next_run(out.get(..text_end).unwrap_or_default(), at) {
        if parts == 0 {
            compound = run.start;
        }
        (at, parts) = (run.end, parts + 1);
        let word = beginning(out.get(run.clone()).unwrap_or_default());
        if !visit(word, run.start..run.start + word.len()) {
            return;
        }
        if joined {
            continue;
        }
        if compounds && parts > 1 {
            let whole = out.get(compound..at).unwrap_or_default();
            let whole = whole.chars().filter(|c| is_of_word(*c));
            let (whole, from) = (whole.take(MAX_WORD_CHARS).collect::<String>(), out.len());
            out.push_str(&whole);
            if !visit(&whole, from..out.len()) {
                return;
            }
        }
        parts = 0;
    }
}

/// The first run of letters and digits from `at` on, and whether a joint connects it with another.
fn next_run(text: &str, at: usize) -> Option<(Range<usize>, bool)> {
    let rest = text.get(at..)?;
    let from = at + rest.find(is_of_word)?;
    let rest = text.get(from..)?;
    let Some(length) = rest.find(|c| !is_of_word(c)) else {
        return Some((from..text.len(), false));
    };
    let mut behind = rest.get(length..)?.chars();
    let joined = behind.next().is_some_and(is_joint) && behind.next().is_some_and(begins_part);
    Some((from..from + length, joined))
}

/// [`next_run`] of a text that is ASCII, in a third of the time.
fn next_ascii_run(text: &str, at: usize) -> Option<(Range<usize>, bool)> {
    let rest = text.as_bytes().get(at..)?;
    let from = at + rest.iter().position(u8::is_ascii_alphanumeric)?;
    let rest = text.as_bytes().get(from..)?;
    let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric());
    let length = end.unwrap_or(rest.len());
    let joined = match rest.get(length..) {
        Some([joint, next, ..]) => is_joint(char::from(*joint)) && next.is_ascii_alphanumeric(),
        _ => false,
    };
    Some((from..from + length, joined))
}

/// As much of a word as counts.
fn beginning(word: &str) -> &str {
    if word.len() <= MAX_WORD_CHARS {
        return word;
    }
    let end = word.char_indices().nth(MAX_WORD_CHARS);
    end.and_then(|(at, _)| word.get(..at)).unwrap_or(word)
}

/// Appends `text` in lower case (but for ASCII), without accents, and with compatible characters in their plain form.
fn fold(text: &str, out: &mut String) {
    let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
    let is_letter_sized = |c: &char| !matches!(c, '\u{2122}' | '\u{2120}');
    for c in normalizer.normalize_iter(text.chars().filter(is_letter_sized)) {
        for c in c.to_lowercase().filter(|c| !is_accent(*c)) {
            match plain(c) {
                Some(plain) => out.push_str(plain),
                None => out.push(c),
            }
        }
    }
}

/// Accents of the alphabets that are commonly written without: Latin, Greek, Cyrillic, Hebrew, Arabic.
fn is_accent(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36F}'
            | '\u{591}'..='\u{5BD}'
            | '\u{64B}'..='\u{65F}'
            | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}'
            | '\u{20D0}'..='\u{20FF}'
            | '\u{FE20}'..='\u{FE2F}'
    )
}

/// Letters that no decomposition makes plain.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ς' => "σ",
        // Part of a word as it is typed, and of none as it is read.
        '\u{AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' => "",
        _ => return None,
    })
}

/// Letters, digits, and the marks that stand among them in scripts such as Devanagari.
fn is_of_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    c.is_alphanumeric() || CanonicalCombiningClassMapBorrowed::new().get_u8(c) != 0
}

/// What a joint may stand before: not a mark, which belongs to the joint, and would find another place among those
/// of the letter before it.
fn begins_part(c: char) -> bool {
    is_of_word(c) && CanonicalCombiningClassMapBorrowed::new().get_u8(c) == 0
}

/// What may join the parts of a compound.
fn is_joint(c: char) -> bool {
    matches!(
        c,
        '-' | '\'' | '.' | '_' | '\u{2019}' | '\u{2010}' | '\u{2011}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ascii_has_the_same_runs_either_way(text in "[ a-zA-Z0-9'._,/-]{0,24}", at in 0usize..24) {
            prop_assert_eq!(next_ascii_run(&text, at), next_run(&text, at));
        }
    }
}
