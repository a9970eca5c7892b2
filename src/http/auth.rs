//! Who may do what: keys in `x-api-key`, against the digests of `WRITE_API_KEYS`, and bearer tokens,
//! against the keys of `JWKS_URL`.

mod issuer;
mod jwk;
mod key;
mod token;

pub use issuer::{Issuer, Tokens};
pub use key::Presented;

use super::fault::{ErrorCode, Fault, Reason};
use super::{Config, Shared};
use crate::clock::Clock;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use key::Keys;
use std::borrow::Cow;
use std::time::Duration;
use token::TokenError;

/// Routes of the document that anybody may read, whatever the configuration.
const OPEN_ROUTES: [&str; 2] = ["/health", "/openapi"];

/// Somebody who may write. In a handler's signature it says that the operation is not open.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The name of the key, or a token's subject made unreadable: for the log, and to tell callers
    /// apart. No two callers have the same.
    pub name: String,
}

/// Somebody whose credential was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As [`Writer::name`].
    pub name: String,
    may_read: bool,
    may_write: bool,
}

/// What a credential may be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reading products, where that is not open to all.
    Read,
    /// Writing products.
    Write,
}

/// Everybody who is known here, and how they make themselves known.
#[derive(Debug)]
pub struct Authority {
    keys: Option<Keys>,
    issuer: Option<Issuer>,
}

/// A credential as a request presents it.
enum Credential<'a> {
    Key(Presented),
    Token(&'a str),
}

/// Why a request is not let through.
#[derive(Debug)]
pub enum Denial {
    /// Nobody could be let through.
    SwitchedOff,
    /// There is no credential, or none of a kind that is read here.
    Missing,
    /// The key is nobody's.
    WrongKey,
    /// The token is not good.
    Token(TokenError),
    /// There are two credentials.
    Ambiguous,
    /// The credential is good, and not for this.
    OutOfScope(Scope),
    /// It is not known yet whether the credential is good.
    NotYet(Duration, &'static str),
}

// === impl Writer ===

impl FromRequestParts<Shared> for Writer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Fault> {
        let known = parts.extensions.get::<Caller>();
        let caller = state
            .authority
            .admit(Scope::Write, known, &parts.headers)
            .await?;
        Ok(Self { name: caller.name })
    }
}

// === impl Caller ===

impl Caller {
    fn may(&self, scope: Scope) -> bool {
        match scope {
            Scope::Read => self.may_read,
            Scope::Write => self.may_write,
        }
    }
}

// === impl Scope ===

impl Scope {
    /// The word in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "products:read",
            Self::Write => "products:write",
        }
    }
}

// === impl Authority ===

impl Authority {
    /// Whom `config` names.
    pub fn new(config: &Config, clock: Clock) -> Self {
        Self {
            keys: config.write_keys.clone().map(Keys::new),
            issuer: config
                .tokens
                .clone()
                .map(|tokens| Issuer::new(tokens, clock)),
        }
    }

    /// Keeps the issuer's keys up to date; returns at once where there is none.
    pub async fn keep_keys(&self) {
        if let Some(issuer) = &self.issuer {
            issuer.keep_keys().await;
        }
    }

    /// Whom the request's credential names, as far as that is known without waiting.
    pub fn recognise(&self, headers: &HeaderMap) -> Option<Caller> {
        match self.presented(headers).ok()?? {
            Credential::Key(key) => self.keys.as_ref()?.holder(&key).ok(),
            Credential::Token(token) => self.issuer.as_ref()?.recognise(token).ok(),
        }
    }

    /// Lets a caller through who may do what `scope` says. `known` is who it was found to be before.
    ///
    /// # Errors
    /// The fault to answer with.
    pub async fn admit(
        &self,
        scope: Scope,
        known: Option<&Caller>,
        headers: &HeaderMap,
    ) -> Result<Caller, Fault> {
        let caller = match known {
            Some(caller) => Ok(caller.clone()),
            None => self.authenticate(headers).await,
        };
        caller
            .and_then(|caller| match caller.may(scope) {
                true => Ok(caller),
                false => Err(Denial::OutOfScope(scope)),
            })
            .map_err(|denial| self.fault(denial))
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Denial> {
        match (&self.keys, &self.issuer) {
            (None, None) => return Err(Denial::SwitchedOff),
            (Some(keys), None) => keys.have_arrived()?,
            (_, Some(_)) => {}
        }
        match (self.presented(headers)?, &self.keys, &self.issuer) {
            (Some(Credential::Key(key)), Some(keys), _) => keys.holder(&key),
            (Some(Credential::Token(token)), _, Some(issuer)) => issuer.authenticate(token).await,
            _ => Err(Denial::Missing),
        }
    }

    /// The request's credential, of the kinds that are read here; none where it has two of a kind.
    fn presented<'a>(&self, headers: &'a HeaderMap) -> Result<Option<Credential<'a>>, Denial> {
        let mut keys = headers.get_all(key::X_API_KEY).iter();
        let key = keys.next().filter(|_| self.keys.is_some());
        let mut tokens = headers.get_all(AUTHORIZATION).iter().filter_map(bearer);
        let token = tokens.next().filter(|_| self.issuer.is_some());
        Ok(match (key, token) {
            (Some(_), Some(_)) => return Err(Denial::Ambiguous),
            (Some(key), None) if keys.next().is_none() => {
                Some(Credential::Key(Presented::new(key.as_bytes())))
            }
            (None, Some(token)) if headers.get_all(AUTHORIZATION).iter().count() == 1 => {
                Some(Credential::Token(token))
            }
            _ => None,
        })
    }

    fn fault(&self, denial: Denial) -> Fault {
        match denial {
            Denial::SwitchedOff => Fault::new(ErrorCode::WritesDisabled),
            Denial::Ambiguous => Fault::new(ErrorCode::ConflictingCredentials),
            Denial::NotYet(pause, cause) => Fault::unavailable(pause, cause),
            Denial::Missing | Denial::WrongKey => {
                Fault::new(ErrorCode::Unauthorized).with(WWW_AUTHENTICATE, self.challenge(""))
            }
            Denial::Token(error) => {
                let description = error.as_str();
                let error =
                    format!(", error=\"invalid_token\", error_description=\"{description}\"");
                Fault::all(vec![Reason {
                    description: Cow::Borrowed(description),
                    ..Reason::new(ErrorCode::Unauthorized)
                }])
                .with(WWW_AUTHENTICATE, self.challenge(&error))
            }
            Denial::OutOfScope(scope) => {
                let scope = scope.as_str();
                let error = format!(", error=\"insufficient_scope\", scope=\"{scope}\"");
                Fault::new(ErrorCode::InsufficientScope)
                    .with(WWW_AUTHENTICATE, self.challenge(&error))
            }
        }
    }

    /// The schemes that would do, with what was wrong with a token
    /// ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
    fn challenge(&self, error: &str) -> HeaderValue {
        let key = self.keys.as_ref().map(|_| key::CHALLENGE.to_owned());
        let bearer = format!("Bearer realm=\"product-catalog\"{error}");
        let bearer = self.issuer.as_ref().map(|_| bearer);
        let schemes: Vec<_> = key.into_iter().chain(bearer).collect();
        // Made of texts of our own, all of them plain ASCII.
        HeaderValue::try_from(schemes.join(", "))
            .unwrap_or_else(|_| HeaderValue::from_static(key::CHALLENGE))
    }
}

/// Where `READ_REQUIRES_AUTH` is on: lets reads through whose credential is good for them. Whatever is
/// not known to be something else is a read; a patch is one too. Writes are looked at by their handlers.
pub(super) async fn guard_reads(
    State(state): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str);
    // A patch is answered with the whole product, and its `test` tells what is in it.
    let method = request.method();
    let shows_products = *method == Method::PATCH || route == "/products/search";
    let is_write = !method.is_safe() && !shows_products;
    let is_open = OPEN_ROUTES.contains(&route) || request.method() == Method::OPTIONS;
    if !is_write && !is_open {
        let (parts, body) = request.into_parts();
        let known = parts.extensions.get::<Caller>();
        let admitted = state
            .authority
            .admit(Scope::Read, known, &parts.headers)
            .await;
        return match admitted {
            Ok(_) => next.run(Request::from_parts(parts, body)).await,
            Err(fault) => fault.into_response(),
        };
    }
    next.run(request).await
}

/// The token behind `Bearer`; the scheme's case does not matter (RFC 9110 §11.1), and one space at least
/// goes between them (§11.4).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

#[cfg(test)]
mod tests;
