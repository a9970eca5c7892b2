//! The grammar of media ranges, codings and their weights ([RFC 9110 §12.4, §12.5](https://www.rfc-editor.org/rfc/rfc9110#section-12.4)),
//! read without allocating.

/// The value is not what its field's grammar allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// How much something is wanted, in thousandths; 0 refuses it.
pub type Weight = u16;

/// What is wanted as much as can be.
pub const FULL: Weight = 1000;

/// A media type or range, with its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Before the slash, or `*`.
    pub kind: &'a str,
    /// After it, or `*`.
    pub subtype: &'a str,
    /// The parameter `q`, if it is there.
    pub weight: Option<Weight>,
    /// All parameters as they are written; known to be well-formed.
    parameters: Scanner<'a>,
}

/// A parameter's value: a token, or what stands between quotes.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    text: &'a str,
    quoted: bool,
}

/// Reads from the front of a field's value.
#[derive(Clone, Copy, Debug)]
struct Scanner<'a>(&'a str);

/// The members of `Accept` in one field line.
pub fn ranges(line: &[u8]) -> impl Iterator<Item = Result<Range<'_>, Malformed>> {
    members(line, Range::scan)
}

/// The members of `Accept-Encoding` in one field line: names as they are written, and their weights.
pub fn codings(line: &[u8]) -> impl Iterator<Item = Result<(&str, Weight), Malformed>> {
    members(line, |scanner| {
        let name = scanner.token()?;
        let mut weight = FULL;
        while let Some((parameter, value)) = scanner.parameter()? {
            if !parameter.eq_ignore_ascii_case("q") {
                return Err(Malformed);
            }
            weight = value.weight()?;
        }
        Ok((name, weight))
    })
}

/// A whole `Content-Type`.
///
/// # Errors
/// [`Malformed`] where it is none.
pub fn media_type(value: &[u8]) -> Result<Range<'_>, Malformed> {
    let mut scanner = Scanner(std::str::from_utf8(value).map_err(|_| Malformed)?);
    scanner.skip_blanks();
    let range = Range::scan(&mut scanner)?;
    scanner.skip_blanks();
    scanner.0.is_empty().then_some(range).ok_or(Malformed)
}

/// The members of a list, read by `member`; there may be empty ones (§5.6.1). Ends after the first
/// that is malformed.
fn members<'a, T>(
    line: &'a [u8],
    mut member: impl FnMut(&mut Scanner<'a>) -> Result<T, Malformed>,
) -> impl Iterator<Item = Result<T, Malformed>> {
    let text = std::str::from_utf8(line);
    let mut scanner = Scanner(text.unwrap_or_default());
    let mut broken = text.is_err().then_some(Err(Malformed));
    std::iter::from_fn(move || {
        if broken.is_some() {
            return broken.take();
        }
        while scanner.skip_blanks() || scanner.eat(',') {}
        if scanner.0.is_empty() {
            return None;
        }
        let read = member(&mut scanner).and_then(|read| {
            scanner.skip_blanks();
            let ends = scanner.0.is_empty() || scanner.0.starts_with(',');
            ends.then_some(read).ok_or(Malformed)
        });
        if read.is_err() {
            scanner = Scanner("");
        }
        Some(read)
    })
}

// === impl Range ===

impl<'a> Range<'a> {
    /// The parameters other than `q`.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let mut scanner = self.parameters;
        let all = std::iter::from_fn(move || scanner.parameter().ok().flatten());
        all.filter(|(name, _)| !name.eq_ignore_ascii_case("q"))
    }

    /// A lone `*` counts as `*/*`: Java's own client sends it.
    fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Malformed> {
        let kind = scanner.token()?;
        let subtype = match scanner.eat('/') {
            true => scanner.token()?,
            false if kind == "*" => "*",
            false => return Err(Malformed),
        };
        if kind == "*" && subtype != "*" {
            return Err(Malformed);
        }
        let (parameters, mut weight) = (*scanner, None);
        while let Some((name, value)) = scanner.parameter()? {
            if name.eq_ignore_ascii_case("q") && weight.replace(value.weight()?).is_some() {
                return Err(Malformed);
            }
        }
        Ok(Self {
            kind,
            subtype,
            weight,
            parameters,
        })
    }
}

// === impl Value ===

impl Value<'_> {
    /// Whether it says this, in these very letters.
    pub fn is(&self, expected: &str) -> bool {
        self.chars().eq(expected.chars())
    }

    /// Whether it says this, in letters large or small.
    pub fn is_ignoring_case(&self, expected: &str) -> bool {
        let lower = |letter: char| letter.to_ascii_lowercase();
        self.chars().map(lower).eq(expected.chars().map(lower))
    }

    /// Without the quotes, and without the backslashes of quoted pairs (§5.6.4).
    fn chars(&self) -> impl Iterator<Item = char> {
        let (mut letters, quoted) = (self.text.chars(), self.quoted);
        std::iter::from_fn(move || match letters.next() {
            Some('\\') if quoted => letters.next(),
            letter => letter,
        })
    }

    /// A weight: from 0 to 1, three decimals at most (§12.4.2). The zero before the point may be
    /// missing: Java's own client leaves it out.
    fn weight(&self) -> Result<Weight, Malformed> {
        let (whole, decimals) = self.text.split_once('.').unwrap_or((self.text, ""));
        let digits = decimals.bytes().all(|digit| digit.is_ascii_digit());
        if self.quoted || !digits || decimals.len() > 3 {
            return Err(Malformed);
        }
        let padded = decimals.bytes().chain([b'0'; 3]).take(3);
        let thousandths = padded.fold(0, |sum, digit| sum * 10 + Weight::from(digit - b'0'));
        match (whole, thousandths) {
            ("0", part) => Ok(part),
            ("", part) if !decimals.is_empty() => Ok(part),
            ("1", 0) => Ok(FULL),
            _ => Err(Malformed),
        }
    }
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    /// Whether there were any.
    fn skip_blanks(&mut self) -> bool {
        let rest = self.0.trim_start_matches([' ', '\t']);
        let skipped = rest.len() < self.0.len();
        self.0 = rest;
        skipped
    }

    fn eat(&mut self, letter: char) -> bool {
        let rest = self.0.strip_prefix(letter);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        let end = self.0.find(|letter| !is_token(letter));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        (!token.is_empty()).then_some(token).ok_or(Malformed)
    }

    /// The next parameter, behind its semicolon; `None` where there is no more. Between two semicolons
    /// there may be nothing (§5.6.6).
    fn parameter(&mut self) -> Result<Option<(&'a str, Value<'a>)>, Malformed> {
        loop {
            self.skip_blanks();
            if !self.eat(';') {
                return Ok(None);
            }
            self.skip_blanks();
            if !self.0.is_empty() && !self.0.starts_with([';', ',']) {
                break;
            }
        }
        let name = self.token()?;
        if !self.eat('=') {
            return Err(Malformed);
        }
        Ok(Some((name, self.value()?)))
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let quoted = self.eat('"');
        let text = if quoted {
            self.until_quote()?
        } else {
            self.token()?
        };
        Ok(Value { text, quoted })
    }

    /// The rest of a quoted string, its closing quote taken too.
    fn until_quote(&mut self) -> Result<&'a str, Malformed> {
        let mut escaped = false;
        let end = self.0.find(|letter| {
            let closes = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            closes
        });
        let (text, rest) = end
            .and_then(|end| self.0.split_at_checked(end))
            .ok_or(Malformed)?;
        self.0 = rest.strip_prefix('"').unwrap_or(rest);
        Ok(text)
    }
}

/// §5.6.2.
fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Vec<(String, Option<Weight>, usize)>, Malformed> {
        ranges(line.as_bytes())
            .map(|range| {
                range.map(|range| {
                    let name = format!("{}/{}", range.kind, range.subtype);
                    (name, range.weight, range.parameters().count())
                })
            })
            .collect()
    }

    fn names(line: &str) -> Vec<String> {
        read(line)
            .unwrap()
            .into_iter()
            .map(|(name, ..)| name)
            .collect()
    }

    #[test]
    fn ranges_are_read_with_their_parameters() {
        assert_eq!(names("text/html, */*"), ["text/html", "*/*"]);
        assert_eq!(names(" ,,text/*\t, "), ["text/*"]);
        assert_eq!(names(""), [""; 0]);
        assert_eq!(
            read("a/b;v=1;q=0.5 ; charset=\"u,t;f\\\"8\"").unwrap(),
            [("a/b".to_owned(), Some(500), 2)]
        );
        assert_eq!(read("a/b; ;v=2;").unwrap(), [("a/b".to_owned(), None, 1)]);
        assert_eq!(read("*;q=.2, a/b;Q=1").unwrap()[0].1, Some(200));
    }

    #[test]
    fn weights_are_from_0_to_1_with_three_decimals() {
        for (text, weight) in [
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.0", Some(0)),
            ("0.001", Some(1)),
            ("0.25", Some(250)),
            (".2", Some(200)),
            ("1", Some(1000)),
            ("1.", Some(1000)),
            ("1.000", Some(1000)),
            ("1.001", None),
            ("1.0000", None),
            ("0.1234", None),
            ("2", None),
            ("-1", None),
            ("", None),
            (".", None),
            ("x", None),
            ("0,5", None),
            ("\"0.5\"", None),
            ("00.5", None),
        ] {
            let line = format!("a/b;q={text}");
            let read = read(&line).ok().and_then(|read| read[0].1);
            assert_eq!(read, weight, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_ranges_is_malformed() {
        for line in [
            "json",
            "a/",
            "/b",
            "a/b/c",
            "*/b",
            "a b",
            "a/b c/d",
            "a/b;v",
            "a/b;v=",
            "a/b;=1",
            "a/b;v=\"1",
            "a/b;q=1;q=1",
            "a/b; v = 1",
            "a/b,é/x",
            "(a)/b",
        ] {
            assert_eq!(read(line), Err(Malformed), "{line}");
        }
        assert!(ranges(b"a/b,\xff").any(|range| range.is_err()));
    }

    #[test]
    fn codings_have_weights_and_nothing_else() {
        let read = |line: &'static str| codings(line.as_bytes()).collect::<Result<Vec<_>, _>>();
        assert_eq!(
            read("gzip, br;q=0.5 ,*;q=0").unwrap(),
            [("gzip", 1000), ("br", 500), ("*", 0)]
        );
        assert_eq!(read("").unwrap(), []);
        for line in ["gzip;level=9", "gzip br", "gzip;q=2", "gzip/x", "\"gzip\""] {
            assert_eq!(read(line), Err(Malformed), "{line}");
        }
    }

    #[test]
    fn quoted_values_say_the_same_as_plain_ones() {
        for (text, same) in [
            ("a/b;v=2", true),
            ("a/b;v=\"2\"", true),
            ("a/b;v=\"\\2\"", true),
            ("a/b;v=\"2 \"", false),
            ("a/b;v=02", false),
        ] {
            let range = media_type(text.as_bytes()).unwrap();
            let (name, value) = range.parameters().next().unwrap();
            assert_eq!((name, value.is("2")), ("v", same), "{text}");
        }
    }

    proptest! {
        /// No list of bytes makes the parser panic or loop.
        #[test]
        fn any_bytes_are_read_to_an_end(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            ranges(&line).count();
            codings(&line).count();
            let _ = media_type(&line);
        }

        /// What is well-formed is read, and read as what it is.
        #[test]
        fn lists_are_read_as_they_were_written(
            list in proptest::collection::vec(("[a-z]{1,5}", "[a-z+.-]{1,5}", 0_u16..=1000), 0..6),
            blank in "[ \t]{0,2}",
        ) {
            let written: Vec<_> = list
                .iter()
                .map(|(kind, subtype, weight)| {
                    let weight = f64::from(*weight) / 1000.0;
                    format!("{kind}/{subtype}{blank};{blank}q={weight}")
                })
                .collect();
            let read = read(&written.join(&format!("{blank},{blank}"))).unwrap();
            let expected: Vec<_> = list
                .into_iter()
                .map(|(kind, subtype, weight)| (format!("{kind}/{subtype}"), Some(weight), 0))
                .collect();
            prop_assert_eq!(read, expected);
        }
    }
}
