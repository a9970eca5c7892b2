//! Answers made of many products, or about them: their bodies from the bodies that are stored, and what they
//! say about caching.

use super::caching::{
    Class, Heed, Keys, Media, Metadata, Policies, cache_status, class_of, class_of_product,
    last_modified, mark, product_status, respond, respond_encoded,
};
use super::extract::Conditions;
use super::fault::Fault;
use super::media::Accepted;
use crate::catalog::{
    Coding, Cursor, Effort, Entry, Outcome, Page, ProductId, Rendered, Select, Served, Standing,
    Stored, Version, encode, entity_tag,
};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ETAG, LINK};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Outcomes of parts that make the whole answer theirs, the weightiest first.
const WEIGHTY: [Outcome; 6] = [
    Outcome::Stale,
    Outcome::Fallback,
    Outcome::Bypass,
    Outcome::Miss,
    Outcome::Hit,
    Outcome::Negative,
];

/// Where no keys were made, as nobody was to be told any.
const NO_KEYS: HeaderValue = HeaderValue::from_static("");

/// How long a shared cache is told to keep a list: no purge by key tells it of products that are new.
const LONGEST_SHARED: Duration = Duration::from_secs(60);

/// What is answered, in one version.
pub(super) struct Listing {
    /// Joined, they are the body.
    parts: Vec<Bytes>,
    /// Equal for equal bodies, different for others.
    digest: String,
    /// How it was come by.
    outcome: Outcome,
    /// What remains of the shortest window among all it depends on.
    remaining: Duration,
    /// Where its neighbours are.
    link: Option<HeaderValue>,
    /// The products it is made of.
    products: Vec<Arc<Entry<Stored>>>,
    /// What else it would be another for.
    about: Keys,
}

// === impl Listing ===

impl Listing {
    /// `{"data":[…],"paging":{"cursors":{"after":…,"before":…}}}`
    pub fn page(page: &Page, version: Version, select: Option<Select>) -> Result<Self, Fault> {
        let encoded = |cursor: &Option<Cursor>| cursor.as_ref().map(Cursor::encode);
        let (after, before) = (encoded(&page.after), encoded(&page.before));
        let tail = format!("],{}}}", paging(after.as_deref(), before.as_deref()));
        Self::of(page.items.iter(), tail, &[page.standing], version, select)
    }

    /// `{"data":[…],"missing":["…"],"paging":{"cursors":{}}}`
    pub fn many(
        found: &[(ProductId, Result<Served, Standing>)],
        version: Version,
        select: Option<Select>,
    ) -> Result<Self, Fault> {
        let (mut missing, mut absences, mut about) =
            (Vec::new(), Vec::new(), Keys::of_collection());
        for (id, served) in found {
            if let Err(absence) = served {
                // Nothing in an id has to be escaped.
                missing.push(format!("\"{id}\""));
                absences.push(*absence);
                about.add_product(id.as_str());
            }
        }
        let tail = format!(
            "],\"missing\":[{}],{}}}",
            missing.join(","),
            paging(None, None)
        );
        let items = found.iter().filter_map(|(_, served)| served.as_ref().ok());
        let listing = Self::of(items, tail, &absences, version, select)?;
        Ok(Self { about, ..listing })
    }

    /// What the index alone knows: a count, categories, brands. The same in every version.
    pub fn known(body: impl Into<Bytes>, standing: Standing) -> Self {
        let body = body.into();
        Self {
            digest: URL_SAFE_NO_PAD.encode(Sha256::digest(&body)),
            parts: vec![body],
            outcome: standing.outcome,
            remaining: standing.remaining,
            link: None,
            products: Vec::new(),
            about: Keys::of_collection(),
        }
    }

    /// The same, to be purged by these keys too.
    pub fn about(self, about: Keys) -> Self {
        Self { about, ..self }
    }

    /// The same, telling where its neighbours are.
    pub fn linked(self, link: Option<HeaderValue>) -> Self {
        Self { link, ..self }
    }

    /// Products in `version`, or what is selected of them, and what comes after the last of them. `others` is
    /// what the answer depends on beside them.
    fn of<'a>(
        items: impl Iterator<Item = &'a Served> + Clone,
        tail: String,
        others: &[Standing],
        version: Version,
        select: Option<Select>,
    ) -> Result<Self, Fault> {
        let mut hash = Sha256::new();
        let mut parts = vec![Bytes::from_static(b"{\"data\":[")];
        for (at, item) in items.clone().enumerate() {
            let body = Stored::body(&item.stored, version)?;
            let body = match select {
                // The tag tells the bytes in every version.
                None => {
                    hash.update(item.stored.representation.etag().as_bytes());
                    body
                }
                Some(select) => {
                    let left = select.apply(&body);
                    let left = left.map_err(|error| Fault::internal(error.to_string()))?;
                    hash.update(&left);
                    left
                }
            };
            parts.extend((at > 0).then_some(Bytes::from_static(b",")));
            parts.push(body);
        }
        hash.update(&tail);
        parts.push(tail.into());
        let worth = items.clone().map(|item| (item.outcome, item.remaining));
        let worth = worth.chain(others.iter().map(|other| (other.outcome, other.remaining)));
        let has = |outcome: &Outcome| worth.clone().any(|(other, _)| other == *outcome);
        Ok(Self {
            parts,
            digest: URL_SAFE_NO_PAD.encode(hash.finalize()),
            outcome: WEIGHTY.into_iter().find(has).unwrap_or(Outcome::Hit),
            remaining: worth
                .map(|(_, remaining)| remaining)
                .min()
                .unwrap_or_default(),
            link: None,
            products: items.map(|item| Arc::clone(&item.stored)).collect(),
            about: Keys::of_collection(),
        })
    }

    /// What it is worth.
    pub fn worth(&self) -> Standing {
        Standing {
            outcome: self.outcome,
            remaining: self.remaining,
        }
    }

    /// Answers a GET or HEAD, in the version it was made for and a coding that the client takes.
    ///
    /// # Errors
    /// 500 if the encoder gave up.
    pub async fn answer(
        mut self,
        policies: &Policies,
        conditions: &Conditions,
        accepted: Accepted,
    ) -> Result<Response, Fault> {
        let link = self.link.take();
        let metadata = self.metadata(policies, accepted, Class::List);
        let mut response =
            respond_encoded(conditions, metadata, || self.parts.concat().into()).await?;
        // A 304 has no use for it (RFC 9110 section 15.4.5).
        if let Some(link) = link.filter(|_| response.status() == StatusCode::OK) {
            response.headers_mut().append(LINK, link);
        }
        policies.tell_shared_caches(
            response.headers_mut(),
            LONGEST_SHARED,
            self.remaining,
            || self.keys().into_value(),
        );
        Ok(response)
    }

    /// The same, made to be kept and answered more than once. Encodes it.
    ///
    /// # Errors
    /// 500 if the encoder gave up.
    pub async fn render(
        mut self,
        policies: &Policies,
        accepted: Accepted,
    ) -> Result<Rendered, Fault> {
        let Accepted { version, codings } = accepted;
        let body = Bytes::from(self.parts.concat());
        let coding = codings.for_body_of(body.len(), Effort::Once);
        let body = match coding {
            Coding::Identity => Some(body),
            coding => encode(body, coding, Effort::Once).await,
        };
        let body = body.ok_or_else(|| Fault::internal(format!("{} gave up", coding.as_str())))?;
        let keys = policies
            .tells_shared_caches()
            .then(|| self.keys().into_value());
        Ok(Rendered {
            version,
            coding,
            body,
            etag: entity_tag(version, &self.digest, coding),
            link: self.link,
            keys,
        })
    }

    /// Answers a POST that changes nothing: the same, but nobody may keep it, so there is no validator.
    ///
    /// # Errors
    /// 500 if the encoder gave up.
    pub async fn answer_once(
        self,
        policies: &Policies,
        accepted: Accepted,
    ) -> Result<Response, Fault> {
        let metadata = self.metadata(policies, accepted, Class::Uncached);
        let none = Conditions::new(HeaderMap::new());
        let mut response = respond_encoded(&none, metadata, || self.parts.concat().into()).await?;
        response.headers_mut().remove(ETAG);
        Ok(response)
    }

    /// What a shared cache may purge it by.
    fn keys(&mut self) -> Keys {
        let mut keys = std::mem::take(&mut self.about);
        for product in &self.products {
            keys.add(&product.labels());
        }
        keys
    }

    /// The body as text.
    #[cfg(test)]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.parts.concat()).into_owned()
    }

    fn metadata(&self, policies: &Policies, accepted: Accepted, class: Class) -> Metadata {
        let Accepted { version, codings } = accepted;
        let length = self.parts.iter().map(Bytes::len).sum();
        let coding = codings.for_body_of(length, Effort::Once);
        Metadata {
            media: Media::Versioned(version),
            coding,
            etag: entity_tag(version, &self.digest, coding),
            last_modified: None,
            cache_control: policies.cache_control(class_of(self.outcome, class), self.remaining),
            cache_status: Some(cache_status(self.outcome, self.remaining)),
            mark: mark(self.outcome),
        }
    }
}

/// What a page that was rendered before says about itself now.
pub(super) fn metadata_of(policies: &Policies, page: &Rendered, worth: Standing) -> Metadata {
    Metadata {
        media: Media::Versioned(page.version),
        coding: page.coding,
        etag: page.etag.clone(),
        last_modified: None,
        cache_control: policies
            .cache_control(class_of(worth.outcome, Class::List), worth.remaining),
        cache_status: Some(cache_status(worth.outcome, worth.remaining)),
        mark: mark(worth.outcome),
    }
}

/// Adds what is said of a page beside its metadata.
pub(super) fn tell_of(
    policies: &Policies,
    headers: &mut HeaderMap,
    page: &Rendered,
    worth: Standing,
    is_304: bool,
) {
    // A 304 has no use for it (RFC 9110 section 15.4.5).
    if let Some(link) = page.link.clone().filter(|_| !is_304) {
        headers.append(LINK, link);
    }
    policies.tell_shared_caches(headers, LONGEST_SHARED, worth.remaining, || {
        page.keys.clone().unwrap_or(NO_KEYS)
    });
}

/// Answers a GET or HEAD with a page that was rendered before.
pub(super) fn answer_kept(
    policies: &Policies,
    conditions: &Conditions,
    page: &Rendered,
    worth: Standing,
) -> Response {
    let metadata = metadata_of(policies, page, worth);
    let mut response = respond(conditions, metadata, || page.body.clone());
    let is_304 = response.status() == StatusCode::NOT_MODIFIED;
    if is_304 || response.status() == StatusCode::OK {
        tell_of(policies, response.headers_mut(), page, worth, is_304);
    }
    response
}

/// Answers a GET or HEAD of one product with what is selected of it.
///
/// # Errors
/// 500 if the product can not be rendered, or the encoder gave up.
pub(super) async fn selected(
    policies: &Policies,
    conditions: &Conditions,
    accepted: Accepted,
    served: &Served,
    select: Select,
    heed: Heed,
) -> Result<Response, Fault> {
    let Accepted { version, codings } = accepted;
    let left = select.apply(&Stored::body(&served.stored, version)?);
    let left = left.map_err(|error| Fault::internal(error.to_string()))?;
    let coding = codings.for_body_of(left.len(), Effort::Once);
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&left));
    let class = class_of_product(served);
    let metadata = Metadata {
        media: Media::Versioned(version),
        coding,
        etag: entity_tag(version, &digest, coding),
        last_modified: last_modified(served),
        cache_control: policies.cache_control(class, served.remaining),
        cache_status: Some(product_status(served, heed)),
        mark: mark(served.outcome),
    };
    let mut response = respond_encoded(conditions, metadata, || left).await?;
    policies.tell_of_product(response.headers_mut(), served);
    Ok(response)
}

/// `"paging":{"cursors":{"after":…,"before":…}}`; a cursor that is absent is left out. They are base64url, which
/// JSON takes as it is.
pub(super) fn paging(after: Option<&str>, before: Option<&str>) -> String {
    let member = |name, cursor: Option<&str>| Some(format!("\"{name}\":\"{}\"", cursor?));
    let members = [member("after", after), member("before", before)];
    let members: Vec<_> = members.into_iter().flatten().collect();
    format!("\"paging\":{{\"cursors\":{{{}}}}}", members.join(","))
}

#[cfg(test)]
mod tests;
