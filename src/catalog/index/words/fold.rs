//! Text to words: without case, accents and punctuation.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The most characters of a word that count; of a query's as well as of a product's.
const MAX_WORD_CHARS: usize = 48;

/// The distinct words of a full-text query. Each is met by itself and by every word that begins with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeSet<Box<str>>);

/// Puts words together, character by character.
#[derive(Default)]
struct Splitter {
    word: String,
    word_chars: usize,
    /// The words of a compound, without what joins them.
    compound: String,
    compound_chars: usize,
    parts: usize,
}

// === impl Query ===

impl Query {
    /// The words of `text`; none where it has neither letters nor digits.
    pub fn parse(text: &str) -> Self {
        let mut words = BTreeSet::new();
        split(text, false, &mut |word| {
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

// === impl Splitter ===

impl Splitter {
    fn push(&mut self, c: char) {
        if self.word_chars < MAX_WORD_CHARS {
            self.word.push(c);
            self.word_chars += 1;
        }
        if self.compound_chars < MAX_WORD_CHARS {
            self.compound.push(c);
            self.compound_chars += 1;
        }
    }

    /// A word ends here. Whether to go on.
    fn end_word(&mut self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let goes_on = self.word.is_empty() || {
            self.parts += 1;
            visit(&self.word)
        };
        self.word.clear();
        self.word_chars = 0;
        goes_on
    }

    /// A compound ends here, if there was one. Whether to go on.
    fn end_compound(&mut self, is_wanted: bool, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let goes_on = !is_wanted || self.parts < 2 || visit(&self.compound);
        self.compound.clear();
        (self.compound_chars, self.parts) = (0, 0);
        goes_on
    }
}

/// Visits the words of a document's `text` until `visit` says no: runs of letters and digits, and what
/// hyphens, points, underscores and apostrophes join also as one: `USB-C` is `usb`, `c` and `usbc`.
pub fn words(text: &str, visit: &mut dyn FnMut(&str) -> bool) {
    split(text, true, visit);
}

fn split(text: &str, compounds: bool, visit: &mut dyn FnMut(&str) -> bool) {
    let folded = folded(text);
    let mut splitter = Splitter::default();
    let mut characters = folded.chars().peekable();
    while let Some(c) = characters.next() {
        let goes_on = if is_of_word(c) {
            splitter.push(c);
            true
        } else if is_joint(c) && characters.peek().copied().is_some_and(is_of_word) {
            splitter.end_word(visit)
        } else {
            splitter.end_word(visit) && splitter.end_compound(compounds, visit)
        };
        if !goes_on {
            return;
        }
    }
    if splitter.end_word(visit) {
        splitter.end_compound(compounds, visit);
    }
}

/// `text` in lower case, without accents, and with compatible characters in their plain form.
fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        };
    }
    let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
    let mut folded = String::with_capacity(text.len());
    let is_letter_sized = |c: &char| !matches!(c, '\u{2122}' | '\u{2120}');
    for c in normalizer.normalize_iter(text.chars().filter(is_letter_sized)) {
        for c in c.to_lowercase().filter(|c| !is_accent(*c)) {
            match plain(c) {
                Some(plain) => folded.push_str(plain),
                None => folded.push(c),
            }
        }
    }
    Cow::Owned(folded)
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
    c.is_alphanumeric()
        || (!c.is_ascii() && CanonicalCombiningClassMapBorrowed::new().get_u8(c) != 0)
}

/// What may join the parts of a compound.
fn is_joint(c: char) -> bool {
    matches!(
        c,
        '-' | '\'' | '.' | '_' | '\u{2019}' | '\u{2010}' | '\u{2011}'
    )
}
