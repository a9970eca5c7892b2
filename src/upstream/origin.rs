//! Where else a product may be refreshed from (`refresh_from` of a contract), and where never.

use super::address::encoded;
use crate::product::ProductId;
use http::Uri;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands for the product's id.
const ID: &str = "{id}";

/// The longest URL.
const LONGEST: usize = 2048;

/// Scheme, host and port: what is trusted, or not, as a whole
/// ([RFC 6454 section 4](https://www.rfc-editor.org/rfc/rfc6454#section-4)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    is_secure: bool,
    /// In lower case; an IPv6 address in brackets.
    host: Box<str>,
    port: u16,
}

/// A URL that products are refreshed from, with or without a place for their id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshFrom {
    template: Box<str>,
    origin: Origin,
}

/// Why a URL can not be refreshed from. Repeats nothing of the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginProblem {
    /// It is no URL that could be called.
    #[error("must be an http or https URL of at most {LONGEST} ASCII characters")]
    NoUrl,
    /// It names a user or has a password.
    #[error("must not have credentials: API_KEY goes to the inventory, and none goes elsewhere")]
    Credentials,
    /// It has a fragment.
    #[error("must not have a fragment (#)")]
    Fragment,
    /// It has braces around something else, or in its host.
    #[error("may have {{id}} in its path and query, and no other braces")]
    Braces,
    /// It is somewhere else than where refreshes may go.
    #[error("must be at one of these origins: {}", listed(.0))]
    Elsewhere(Vec<Origin>),
}

// === impl Origin ===

impl Origin {
    /// That of a URL; `None` unless it is `http` or `https` and has a host.
    pub fn of(uri: &Uri) -> Option<Self> {
        let is_secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        let host = authority.host().to_ascii_lowercase();
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if has_port => return None,
            None if is_secure => 443,
            None => 80,
        };
        (is_host(&host) && port != 0).then(|| Self {
            is_secure,
            host: host.into(),
            port,
        })
    }

    /// Reads `CONTRACTS_REFRESH_ORIGINS`: origins separated by commas.
    ///
    /// # Errors
    /// The rule it breaks, and which entry does.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let mut origins = Vec::new();
        for (at, entry) in text.split(',').map(str::trim).enumerate() {
            let uri: Option<Uri> = entry.parse().ok();
            let origin = uri.as_ref().and_then(Self::of);
            let behind = entry.split_once("://").map_or("", |(_, behind)| behind);
            match origin.filter(|_| !behind.contains(['/', '?', '#', '@'])) {
                Some(origin) if origins.contains(&origin) => {
                    return Err(format!("entry {} is there twice", at + 1));
                }
                Some(origin) => origins.push(origin),
                None => {
                    return Err(format!(
                        "entry {} must be an origin such as https://prices.example:8443, without credentials, path, ? and #",
                        at + 1
                    ));
                }
            }
        }
        Ok(origins)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = match self.is_secure {
            true => ("https", 443),
            false => ("http", 80),
        };
        write!(f, "{scheme}://{}", self.host)?;
        match self.port == usual {
            true => Ok(()),
            false => write!(f, ":{}", self.port),
        }
    }
}

// === impl RefreshFrom ===

impl RefreshFrom {
    /// Reads the `refresh_from` of a contract: a URL at the origin of `base`, the inventory's, or at one
    /// of `allowed`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str, base: &Uri, allowed: &[Origin]) -> Result<Self, OriginProblem> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if text.len() > LONGEST || !text.bytes().all(is_plain) {
            return Err(OriginProblem::NoUrl);
        }
        if text.contains('#') {
            return Err(OriginProblem::Fragment);
        }
        // Whatever an id is, it changes nothing about where the URL leads.
        let uri: Result<Uri, _> = text.replace(ID, "id").parse();
        let uri = uri.map_err(|_| OriginProblem::NoUrl)?;
        let authority = uri.authority().ok_or(OriginProblem::NoUrl)?;
        if authority.as_str().contains('@') {
            return Err(OriginProblem::Credentials);
        }
        let origin = Origin::of(&uri).ok_or(OriginProblem::NoUrl)?;
        let behind = text.split_once("://").map_or("", |(_, behind)| behind);
        let authority = behind.split(['/', '?']).next().unwrap_or_default();
        if authority.contains(['{', '}']) || text.replace(ID, "").contains(['{', '}']) {
            return Err(OriginProblem::Braces);
        }
        let own = Origin::of(base);
        if own.as_ref() != Some(&origin) && !allowed.contains(&origin) {
            let mut all: Vec<_> = own.into_iter().collect();
            all.extend(
                allowed
                    .iter()
                    .filter(|other| !all.contains(other))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
            return Err(OriginProblem::Elsewhere(all));
        }
        Ok(Self {
            template: text.into(),
            origin,
        })
    }

    /// Whether it has a place for the product's id: without one it is about one product.
    pub fn has_id(&self) -> bool {
        self.template.contains(ID)
    }

    /// Where it leads.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The URL for one product.
    pub(super) fn url(&self, id: &ProductId) -> String {
        self.template.replace(ID, &encoded(id.as_str()))
    }
}

impl fmt::Display for RefreshFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.template)
    }
}

/// Whether an address is one that anybody on the Internet may have. The others (this machine, private
/// and link-local networks, those of providers' metadata) are not where a public name may lead to.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// See <https://www.iana.org/assignments/iana-ipv4-special-registry>.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    );
    !is_special
}

/// Global unicast alone, and of that nothing which stands for an address of version 4: whoever translates
/// it would lead back to one that is not public
/// (<https://www.iana.org/assignments/iana-ipv6-special-registry>).
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [first, second, ..] = address.segments();
    let is_special = matches!(
        (first, second),
        (0x2001, 0..=0x01ff | 0x0db8) | (0x2002, _) | (0x3fff, 0..=0x0fff)
    );
    (0x2000..=0x3fff).contains(&first) && !is_special
}

/// A name or an address: nothing that two parsers could read in two ways.
fn is_host(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.bytes().all(is_plain)
}

fn listed(origins: &[Origin]) -> String {
    let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
    origins.join(", ")
}

#[cfg(test)]
mod tests;
