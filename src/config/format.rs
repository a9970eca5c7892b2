//! The forms of text values: the `format` keyword of `configuration/schema.json`.
//!
//! Each form is one function from text to what the service uses, so what was checked is what is
//! used. A complaint never repeats the text: it may be a secret in the wrong place.

use crate::http::WriteKey;
use crate::product::PublishedMembers;
use crate::upstream::Origin;
use ::http::{HeaderValue, Uri};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

/// A form of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A base URL: [`http_url`].
    HttpUrl,
    /// A URL that nobody on the way can change the answer of: [`secure_url`].
    SecureUrl,
    /// Origins of pages: [`origins`].
    OriginList,
    /// Origins that are called: [`Origin::list`].
    RefreshOriginList,
    /// An address to listen on: [`socket_address`].
    SocketAddress,
    /// What a header can carry: visible ASCII without spaces.
    Credential,
    /// Names and digests of keys: [`write_keys`].
    WriteKeys,
    /// Names of members: [`members`].
    MemberList,
    /// A tracing filter.
    LogFilter,
    /// Segments of a path in Vault.
    VaultPath,
}

// === impl Format ===

impl Format {
    /// Whether `text` has this form.
    ///
    /// # Errors
    /// The rule it breaks, as a clause that follows the variable's name.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::HttpUrl => http_url(text).map(drop),
            Self::SecureUrl => secure_url(text).map(drop),
            Self::OriginList => origins(text).map(drop),
            Self::RefreshOriginList => Origin::list(text).map(drop),
            Self::SocketAddress => socket_address(text).map(drop),
            Self::Credential => credential(text),
            Self::WriteKeys => write_keys(text).map(drop),
            Self::MemberList => members(text).map(drop),
            Self::LogFilter => log_filter(text),
            Self::VaultPath => vault_path(text),
        }
    }
}

/// A base URL, without what may follow or precede one; trailing slashes are dropped.
///
/// # Errors
/// The rule it breaks.
pub fn http_url(text: &str) -> Result<Uri, String> {
    const RULE: &str = "must be a URL such as https://host:8443/path";
    if text.contains('@') {
        return Err("must not contain credentials; those belong in a variable of their own".into());
    }
    if text.contains(['?', '#']) {
        return Err("must be a base URL, without ? and #".into());
    }
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(RULE.into());
    }
    let uri: Uri = text
        .trim_end_matches('/')
        .parse()
        .map_err(|_| RULE.to_owned())?;
    let authority = uri.authority().ok_or(RULE)?;
    let port = authority.as_str().strip_prefix(authority.host());
    let has_port = port.is_some_and(|port| !port.is_empty());
    if authority.host().is_empty() || (has_port && authority.port_u16().is_none()) {
        return Err(RULE.into());
    }
    Ok(uri)
}

/// A URL as [`http_url`] has it, with `https` unless it is on this machine.
///
/// # Errors
/// The rule it breaks.
pub fn secure_url(text: &str) -> Result<Uri, String> {
    let url = http_url(text)?;
    let host = url.host().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    if url.scheme_str() == Some("https") || is_here {
        return Ok(url);
    }
    Err("must begin with https://, unless its host is this machine".into())
}

/// Origins as browsers write them, separated by commas.
///
/// # Errors
/// The rule it breaks, and which entry does.
pub fn origins(text: &str) -> Result<Vec<HeaderValue>, String> {
    let mut origins = Vec::new();
    for (index, entry) in text.split(',').map(str::trim).enumerate() {
        let number = index + 1;
        if entry == "*" {
            return Err("must name the origins; * is not accepted where credentials are".into());
        }
        let origin = HeaderValue::from_str(entry)
            .ok()
            .filter(|_| is_origin(entry));
        let origin = origin.ok_or_else(|| {
            format!(
                "entry {number} must be an origin as browsers send it, such as https://pages.example or http://localhost:3000: lower case, without a path, without the scheme's usual port"
            )
        })?;
        if origins.contains(&origin) {
            return Err(format!("entry {number} is there twice"));
        }
        origins.push(origin);
    }
    Ok(origins)
}

fn is_origin(text: &str) -> bool {
    let (usual, authority) = match text.split_once("://") {
        Some(("https", authority)) => (443, authority),
        Some(("http", authority)) => (80, authority),
        _ => return false,
    };
    let is_written_so = authority
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte));
    // As a URL it has to have a host, and a port that is one.
    let port = text.parse().map(|url: Uri| url.port_u16());
    is_written_so && http_url(text).is_ok() && port.is_ok_and(|port| port != Some(usual))
}

/// An IP address and port; without the address, all IPv4 addresses.
///
/// # Errors
/// The rule it breaks.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let whole = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.to_owned(),
    };
    whole.parse().map_err(|_| {
        "must be an IP address and port such as 0.0.0.0:8080, [::]:8080 or :8080".into()
    })
}

/// `name:sha256hex`, separated by commas.
///
/// # Errors
/// The rule it breaks, and which entry does.
pub fn write_keys(text: &str) -> Result<Vec<WriteKey>, String> {
    let mut keys: Vec<WriteKey> = Vec::new();
    for (index, entry) in text.split(',').enumerate() {
        let number = index + 1;
        let key = write_key(entry.trim()).ok_or_else(|| {
            format!(
                "entry {number} must be name:digest, the digest being the key's SHA-256 in 64 hexadecimal digits (printf %s KEY | sha256sum)"
            )
        })?;
        if keys.iter().any(|other| other.name == key.name) {
            return Err(format!("entry {number} must have a name of its own"));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Names of members separated by commas, or `*` for all.
///
/// # Errors
/// The rule it breaks.
pub fn members(text: &str) -> Result<PublishedMembers, String> {
    let is_name = |name: &&str| !name.is_empty() && !name.contains(['*', ' ', '\t', '\r', '\n']);
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    match names.as_slice() {
        ["*"] => Ok(PublishedMembers::All),
        names if names.iter().all(is_name) => Ok(PublishedMembers::Named(
            names.iter().map(|&name| name.to_owned()).collect(),
        )),
        _ => Err("must be names separated by commas, or * alone".into()),
    }
}

fn write_key(entry: &str) -> Option<WriteKey> {
    let (name, digits) = entry.split_once(':')?;
    let is_name = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_name || digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(WriteKey {
        name: name.to_owned(),
        digest,
    })
}

fn credential(text: &str) -> Result<(), String> {
    let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_visible
        .then_some(())
        .ok_or_else(|| "must be visible ASCII characters, without spaces or line ends".into())
}

fn log_filter(text: &str) -> Result<(), String> {
    // The parser of tracing-subscriber 0.3.23 panics on some text that is not ASCII.
    let is_filter = text.is_ascii() && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    is_filter
        .then_some(())
        .ok_or_else(|| "must be a filter such as info or info,product_catalog=debug".into())
}

fn vault_path(text: &str) -> Result<(), String> {
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
    };
    text.split('/')
        .all(is_segment)
        .then_some(())
        .ok_or_else(|| "must be a path such as secret or team/secret".into())
}

#[cfg(test)]
mod tests;
