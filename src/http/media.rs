//! Which representation of what there is the client takes
//! ([RFC 9110 §12.5](https://www.rfc-editor.org/rfc/rfc9110#section-12.5)).
//!
//! - **Versions.** Everything about products comes as `application/json;v=2` and, deprecated, as
//!   `application/json;v=1`. For each, the most specific range that matches it says how much it is
//!   wanted; where both are wanted equally (`*/*`, `application/json`, no `Accept`), it is version 2.
//! - **Parameters.** A range with a parameter that our types do not have does not match them. `charset`
//!   is not part of JSON's type (RFC 8259 §11); `utf-8`, which JSON always is, is let pass.
//! - **Codings.** gzip, br and zstd. What is wanted most; where several are wanted equally, what
//!   [`Effort::preference`] says. Identity is always good, unless it is refused by name or by `*`.
//! - **Refusals.** 406 where nothing is left, 400 where a header is not what its grammar allows.

mod grammar;

pub(super) use grammar::media_type;

use super::fault::{ErrorCode, Fault, Reason};
use crate::catalog::{Coding, Effort, LEAST_ENCODED, Shape, Version};
use axum::extract::FromRequestParts;
use grammar::{FULL, Malformed, Range, Weight};
use http::header::{ACCEPT, ACCEPT_ENCODING, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What negotiated answers depend on.
pub const NEGOTIATED: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");

/// The media types of the versions, for a 406 and a 415.
const VERSIONED: [Offer; 2] = [
    Offer::json(Some(Version::V2)),
    Offer::json(Some(Version::V1)),
];

/// What an answer that is the same in every version is taken as.
const UNVERSIONED: [Offer; 3] = [
    Offer::json(None),
    Offer::json(Some(Version::V2)).meant_by_name(),
    Offer::json(Some(Version::V1)).meant_by_name(),
];

/// The version and the codings that the client takes of a product answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The version.
    pub version: Version,
    /// The codings.
    pub codings: Codings,
}

/// The version that the client takes, where nothing is encoded: the answers to writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedVersion(pub Version);

/// The client takes JSON as it comes: answers without versions and codings.
#[derive(Clone, Copy, Debug)]
pub struct AcceptsJson;

/// The codings that the client takes most gladly of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codings {
    /// In the order of [`Coding::ALL`], whether it is one of them.
    gladly: [bool; 4],
    /// Whether identity will not do.
    strict: bool,
}

/// A media type that something comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    kind: &'static str,
    subtype: &'static str,
    version: Option<Version>,
    /// Whether it is only meant where it is named: another name of something that is offered anyway.
    is_alias: bool,
}

// === impl Accepted ===

impl Accepted {
    /// What the client takes.
    ///
    /// # Errors
    /// 406 where it takes nothing of it, 400 where it does not say so in a way that can be read.
    pub fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        Ok(Self {
            version: version(headers)?,
            codings: Codings::of(headers)?,
        })
    }

    /// A number that tells one form of a list from another.
    pub fn number(self) -> u8 {
        let Codings { gladly, strict } = self.codings;
        let flags = gladly
            .into_iter()
            .chain([strict, self.version == Version::V1]);
        flags.fold(0, |number, flag| number << 1 | u8::from(flag))
    }

    /// The form of a product that is kept in it once it is made.
    pub fn shape(self) -> Shape {
        Shape {
            version: self.version,
            coding: self.codings.choose(Effort::Kept),
            strict: self.codings.strict,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Accepted {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Self::of(&parts.headers)
    }
}

// === impl AcceptedVersion ===

impl<S: Sync> FromRequestParts<S> for AcceptedVersion {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        takes_identity(&parts.headers)?;
        version(&parts.headers).map(Self)
    }
}

// === impl AcceptsJson ===

impl<S: Sync> FromRequestParts<S> for AcceptsJson {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        choose(&parts.headers, &UNVERSIONED)?;
        takes_identity(&parts.headers)?;
        Ok(Self)
    }
}

// === impl Codings ===

impl Codings {
    /// Identity alone; the last of [`Coding::ALL`].
    const IDENTITY: Self = Self {
        gladly: [false, false, false, true],
        strict: false,
    };

    /// The codings that `Accept-Encoding` takes most gladly. Several field lines are one list.
    ///
    /// # Errors
    /// As [`Accepted::of`].
    pub fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        if !headers.contains_key(ACCEPT_ENCODING) {
            return Ok(Self::default());
        }
        let weights = coding_weights(headers).map_err(|Malformed| malformed(&ACCEPT_ENCODING))?;
        let best = weights.into_iter().max().unwrap_or(0);
        if best == 0 {
            let reason = "Accept-Encoding refuses identity, gzip, br and zstd; allow one of them.";
            return Err(not_acceptable(&ACCEPT_ENCODING, reason.to_owned()));
        }
        let [.., identity] = weights;
        Ok(Self {
            gladly: weights.map(|weight| weight == best),
            strict: identity == 0,
        })
    }

    /// The coding to encode in, with this effort.
    fn choose(self, effort: Effort) -> Coding {
        if self == Self::IDENTITY {
            return Coding::Identity;
        }
        let gladly = |coding: &Coding| {
            let mut all = Coding::ALL.into_iter().zip(self.gladly);
            all.any(|(other, gladly)| gladly && other == *coding)
        };
        effort
            .preference()
            .into_iter()
            .find(gladly)
            .unwrap_or_default()
    }

    /// The coding for a body of so many bytes that is encoded with this effort.
    pub fn for_body_of(self, length: usize, effort: Effort) -> Coding {
        if length < LEAST_ENCODED && !self.strict {
            Coding::Identity
        } else {
            self.choose(effort)
        }
    }
}

impl Default for Codings {
    /// Identity: without `Accept-Encoding` any coding would do, and that one always works.
    fn default() -> Self {
        Self::IDENTITY
    }
}

// === impl Offer ===

impl Offer {
    /// JSON, in a version or without one.
    pub const fn json(version: Option<Version>) -> Self {
        Self::new("application", "json", version)
    }

    /// A media type without parameters.
    pub const fn plain(kind: &'static str, subtype: &'static str) -> Self {
        Self::new(kind, subtype, None)
    }

    /// Another name of a type that is offered too: no wildcard means it.
    pub const fn alias(kind: &'static str, subtype: &'static str) -> Self {
        Self::plain(kind, subtype).meant_by_name()
    }

    const fn meant_by_name(self) -> Self {
        Self {
            is_alias: true,
            ..self
        }
    }

    const fn new(kind: &'static str, subtype: &'static str, version: Option<Version>) -> Self {
        Self {
            kind,
            subtype,
            version,
            is_alias: false,
        }
    }

    /// How specifically `range` matches this type, if it does.
    fn matched(&self, range: &Range<'_>) -> Option<usize> {
        let (kind, subtype) = (range.kind, range.subtype);
        let fits = |wanted: &str, ours: &str| wanted == "*" || wanted.eq_ignore_ascii_case(ours);
        if !fits(kind, self.kind) || !fits(subtype, self.subtype) {
            return None;
        }
        if self.is_alias && subtype == "*" {
            return None;
        }
        let mut specificity = usize::from(kind != "*") + usize::from(subtype != "*");
        for (name, value) in range.parameters() {
            if name.eq_ignore_ascii_case("charset") && value.is_ignoring_case("utf-8") {
                continue;
            }
            let ours = self.version.map(Version::number);
            if !name.eq_ignore_ascii_case("v") || !ours.is_some_and(|ours| value.is(ours)) {
                return None;
            }
            specificity += 1;
        }
        Some(specificity)
    }
}

impl std::fmt::Display for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)?;
        match self.version {
            Some(version) => write!(f, ";v={}", version.number()),
            None => Ok(()),
        }
    }
}

/// Which of `offers` `Accept` takes most gladly; of several, the first. Several field lines are one
/// list; none takes everything.
///
/// # Errors
/// As [`Accepted::of`].
pub fn choose<const N: usize>(headers: &HeaderMap, offers: &[Offer; N]) -> Result<usize, Fault> {
    let weights = media_weights(headers, offers).map_err(|Malformed| malformed(&ACCEPT))?;
    let best = weights.into_iter().max().unwrap_or(0);
    let chosen = weights
        .iter()
        .position(|weight| *weight == best && best > 0);
    chosen.ok_or_else(|| {
        not_acceptable(
            &ACCEPT,
            format!("Accept allows none of {}.", listed(offers)),
        )
    })
}

/// The types that bodies are read in, as a 415 tells them.
pub(super) fn versioned_types() -> HeaderValue {
    HeaderValue::from_static("application/json;v=2, application/json;v=1")
}

fn version(headers: &HeaderMap) -> Result<Version, Fault> {
    let mut lines = headers.get_all(ACCEPT).iter();
    // What nearly all clients send is not taken apart.
    match (lines.next(), lines.next()) {
        (None, _) => return Ok(Version::V2),
        (Some(line), None) if line == "*/*" => return Ok(Version::V2),
        _ => {}
    }
    let chosen = choose(headers, &VERSIONED)?;
    Ok(Version::ALL.get(chosen).copied().unwrap_or_default())
}

/// How much each of `offers` is wanted: as the most specific range that matches it says, the higher
/// weight where two are equally specific.
fn media_weights<const N: usize>(
    headers: &HeaderMap,
    offers: &[Offer; N],
) -> Result<[Weight; N], Malformed> {
    let mut best = [(0, 0); N];
    if !headers.contains_key(ACCEPT) {
        return Ok([FULL; N]);
    }
    let mut empty = true;
    for line in headers.get_all(ACCEPT) {
        for range in grammar::ranges(line.as_bytes()) {
            let range = range?;
            empty = false;
            for (offer, best) in offers.iter().zip(&mut best) {
                if let Some(specificity) = offer.matched(&range) {
                    // One more, so that a range that refuses everything counts for more than none.
                    *best = (*best).max((specificity + 1, 0));
                    if best.0 == specificity + 1 {
                        best.1 = best.1.max(range.weight.unwrap_or(FULL));
                    }
                }
            }
        }
    }
    // The grammar allows an empty list, and gives it no meaning.
    Ok(if empty {
        [FULL; N]
    } else {
        best.map(|(_, weight)| weight)
    })
}

/// How much each of [`Coding::ALL`] is wanted. Identity that nobody mentions is wanted less than
/// anything that is.
fn coding_weights(headers: &HeaderMap) -> Result<[Weight; 4], Malformed> {
    let (mut named, mut any) = ([None; 4], None::<Weight>);
    for line in headers.get_all(ACCEPT_ENCODING) {
        for coding in grammar::codings(line.as_bytes()) {
            let (name, weight) = coding?;
            if name == "*" {
                any = any.max(Some(weight));
            }
            for (coding, named) in Coding::ALL.into_iter().zip(&mut named) {
                // §8.4.1.3: an old name of the same.
                let alias = coding == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip");
                if alias || name.eq_ignore_ascii_case(coding.as_str()) {
                    *named = (*named).max(Some(weight));
                }
            }
        }
    }
    // Twice as fine, so that there is something below the least that can be said.
    let [brotli, zstd, gzip, identity] =
        named.map(|weight| weight.or(any).map(|weight| weight * 2));
    let unsaid = identity.unwrap_or(1);
    Ok([
        brotli.unwrap_or(0),
        zstd.unwrap_or(0),
        gzip.unwrap_or(0),
        unsaid,
    ])
}

/// Sees to it that the client takes what is not encoded.
fn takes_identity(headers: &HeaderMap) -> Result<(), Fault> {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return Ok(());
    }
    let weights = coding_weights(headers).map_err(|Malformed| malformed(&ACCEPT_ENCODING))?;
    match weights {
        [.., 0] => {
            let reason = "This answer is not encoded; let Accept-Encoding allow identity.";
            Err(not_acceptable(&ACCEPT_ENCODING, reason.to_owned()))
        }
        _ => Ok(()),
    }
}

fn malformed(name: &HeaderName) -> Fault {
    let (header, description) = if name == ACCEPT {
        (
            "accept",
            "Accept is a list of media ranges such as application/json;v=2, each with a weight q from 0 to 1 where need be.",
        )
    } else {
        (
            "accept-encoding",
            "Accept-Encoding is a list of codings such as gzip, each with a weight q from 0 to 1 where need be.",
        )
    };
    Fault::all(vec![Reason::header(
        ErrorCode::InvalidHeader,
        header,
        description,
    )])
}

fn not_acceptable(name: &HeaderName, description: String) -> Fault {
    let header = if name == ACCEPT {
        "accept"
    } else {
        "accept-encoding"
    };
    let reason = Reason::header(ErrorCode::NotAcceptable, header, description);
    Fault::all(vec![reason]).with(VARY, NEGOTIATED)
}

/// `application/json;v=2 and application/json;v=1`.
fn listed(offers: &[Offer]) -> String {
    let offers = offers.iter().filter(|offer| !offer.is_alias);
    let offers: Vec<_> = offers.map(Offer::to_string).collect();
    offers.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        let lines = lines.iter().map(|line| HeaderValue::from_static(line));
        let mut headers = HeaderMap::new();
        lines.for_each(|line| {
            headers.append(name.clone(), line);
        });
        headers
    }

    fn status(fault: &Fault) -> u16 {
        fault.status().as_u16()
    }

    #[test]
    fn the_version_wanted_most_is_chosen_and_the_current_one_of_equals() {
        let (v1, v2) = (Ok(Version::V1), Ok(Version::V2));
        for (lines, expected) in [
            (&[][..], v2),
            (&[""], v2),
            (&["*/*"], v2),
            (&["application/*"], v2),
            (&["application/json"], v2),
            (&["Application/JSON;V=2"], v2),
            (&["application/json;charset=utf-8"], v2),
            (&["application/json;v=1"], v1),
            (&["application/json;v=\"1\";charset=UTF-8;q=0.1"], v1),
            (&["application/json;q=0.3;v=1"], v1),
            (&["application/json;v=1, */*;q=0.1"], v1),
            (&["application/json;v=1", "*/*;q=0.1"], v1),
            (&["application/json;v=1, application/json;v=2"], v2),
            (&["application/json;v=1, application/json;v=2;q=0.9"], v1),
            (&["application/json;v=1, application/json"], v2),
            (&["application/json;v=2;q=0, */*"], v1),
            (
                &["application/json;v=2;q=0, application/json;charset=utf-8"],
                v1,
            ),
            (&["text/html, application/xhtml+xml, */*;q=0.8"], v2),
            (
                &["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
                v2,
            ),
            (&["application/json;q=0, */*"], Err(406)),
            (&["*/*;q=0"], Err(406)),
            (&["application/json;v=3"], Err(406)),
            (&["application/json;profile=x"], Err(406)),
            (&["application/json;charset=latin1"], Err(406)),
            (&["application/vnd.acme+json"], Err(406)),
            (&["text/html"], Err(406)),
            (&["json"], Err(400)),
            (&["*/*", "application/json;q=2"], Err(400)),
        ] {
            let chosen = version(&headers(ACCEPT, lines)).map_err(|fault| status(&fault));
            assert_eq!(chosen, expected, "{lines:?}");
        }
    }

    #[test]
    fn the_coding_wanted_most_is_chosen_and_the_preferred_one_of_equals() {
        let ok = |kept, once, strict| Ok((kept, once, strict));
        let (none, gzip) = (Coding::Identity, Coding::Gzip);
        let (br, zstd) = (Coding::Brotli, Coding::Zstd);
        for (lines, expected) in [
            (&[][..], ok(none, none, false)),
            (&[""], ok(none, none, false)),
            (&["identity"], ok(none, none, false)),
            (&["gzip"], ok(gzip, gzip, false)),
            (&["X-GZIP"], ok(gzip, gzip, false)),
            (&["gzip;q=0.001"], ok(gzip, gzip, false)),
            (&["gzip, deflate, br, zstd"], ok(br, zstd, false)),
            (&["gzip", "br;q=0.9"], ok(gzip, gzip, false)),
            (&["*"], ok(br, zstd, false)),
            (&["*, br;q=0"], ok(zstd, zstd, false)),
            (&["gzip;q=0.5, *;q=0.1"], ok(gzip, gzip, false)),
            (&["gzip, identity"], ok(gzip, gzip, false)),
            (&["gzip;q=0.5, identity"], ok(none, none, false)),
            (&["gzip;q=0.5, identity;q=0.4"], ok(gzip, gzip, false)),
            (&["deflate, compress"], ok(none, none, false)),
            (&["gzip;q=0"], ok(none, none, false)),
            (&["gzip, identity;q=0"], ok(gzip, gzip, true)),
            (&["gzip, *;q=0"], ok(gzip, gzip, true)),
            (&["identity;q=0.1, *;q=0"], ok(none, none, false)),
            (&["identity;q=0"], Err(406)),
            (&["*;q=0"], Err(406)),
            (&["deflate, identity;q=0"], Err(406)),
            (&["gzip;level=9"], Err(400)),
            (&["gzip;q=high"], Err(400)),
            (&["gzip br"], Err(400)),
        ] {
            let codings = Codings::of(&headers(ACCEPT_ENCODING, lines));
            let chosen = codings.map_err(|fault| status(&fault)).map(|codings| {
                let [kept, once] =
                    [Effort::Kept, Effort::Once].map(|effort| codings.choose(effort));
                (kept, once, codings.strict)
            });
            assert_eq!(chosen, expected, "{lines:?}");
        }
    }

    #[test]
    fn short_bodies_are_not_encoded_unless_they_have_to_be() {
        let codings = |line| Codings::of(&headers(ACCEPT_ENCODING, &[line])).unwrap();
        for (line, length, expected) in [
            ("gzip", LEAST_ENCODED, Coding::Gzip),
            ("gzip", LEAST_ENCODED - 1, Coding::Identity),
            ("gzip, *;q=0", 0, Coding::Gzip),
        ] {
            assert_eq!(codings(line).for_body_of(length, Effort::Once), expected);
        }
    }
}
