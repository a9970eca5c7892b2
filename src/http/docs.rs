//! The documentation page: Swagger UI over this replica's own document, with no outside address.
//!
//! What the page consists of is named by its content, so that a copy of it never goes stale.

use super::caching::{Class, Policies};
use super::extract::Conditions;
use super::fault::{ErrorCode, Fault};
use super::file::File;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION};
use http::{HeaderValue, StatusCode};
use std::io::{Cursor, Read};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

/// The page may load what comes from here, ask here, and nothing else.
const SELF_ONLY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const DOCS: HeaderValue = HeaderValue::from_static("/docs");

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
const PNG: HeaderValue = HeaderValue::from_static("image/png");

/// Digits of the digest in an asset's name: enough to tell any two contents apart.
const DIGITS: usize = 16;

/// What the page loads: the name that [`PAGE`] has for it, the file of Swagger UI, its media type.
const FROM_SWAGGER_UI: [(&str, &str, HeaderValue); 3] = [
    ("favicon.png", "favicon-32x32.png", PNG),
    ("swagger-ui.css", "swagger-ui.css", CSS),
    ("swagger-ui.js", "swagger-ui-bundle.js", JAVASCRIPT),
];

const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");

static SITE: LazyLock<Option<Site>> = LazyLock::new(|| Site::unpack(SWAGGER_UI_VENDORED));

/// The page and what it loads.
struct Site {
    page: File,
    assets: Vec<(String, File)>,
}

// === impl Site ===

impl Site {
    /// Takes what the page loads out of an archive of Swagger UI; `None` if it is not all in there.
    fn unpack(archive: &[u8]) -> Option<Self> {
        let mut archive = zip::ZipArchive::new(Cursor::new(archive)).ok()?;
        let mut parts = vec![("start.js", File::new(START.as_bytes().into(), JAVASCRIPT))];
        for (name, file, content_type) in FROM_SWAGGER_UI {
            let ending = format!("/dist/{file}");
            let path = archive
                .file_names()
                .filter_map(|path| Some(path.ok()?.into_owned()))
                .find(|path| path.ends_with(&ending) && path.matches('/').count() == 2)?;
            let mut content = Vec::new();
            archive
                .by_name(&path)
                .ok()?
                .read_to_end(&mut content)
                .ok()?;
            parts.push((name, File::new(content.into(), content_type)));
        }
        let mut page = PAGE.to_owned();
        let mut assets = Vec::with_capacity(parts.len());
        for (name, file) in parts {
            let address = address(name, &file);
            page = page.replace(&format!("{{{name}}}"), &format!("docs/assets/{address}"));
            assets.push((address, file));
        }
        Some(Self {
            page: File::new(page.into(), HTML),
            assets,
        })
    }
}

/// `name` with the beginning of the content's digest in it.
fn address(name: &str, file: &File) -> String {
    let digest = file.digest();
    let digest = digest.get(..DIGITS).unwrap_or(digest);
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    format!("{stem}-{digest}.{ending}")
}

/// Whoever comes to the root wants to know what is here.
pub(super) async fn root(State(policies): State<Arc<Policies>>) -> Response {
    let cache_control = policies.cache_control(Class::Document, Duration::ZERO);
    let headers = [(LOCATION, DOCS), (CACHE_CONTROL, cache_control)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// The page.
pub(super) async fn page(
    State(policies): State<Arc<Policies>>,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let site = site()?;
    let answer = site.page.answer(&policies, &conditions, Class::Document);
    let mut response = answer.await?;
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, SELF_ONLY);
    Ok(response)
}

/// Something that the page loads.
pub(super) async fn asset(
    State(policies): State<Arc<Policies>>,
    name: Result<Path<String>, PathRejection>,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let nowhere = || Fault::new(ErrorCode::RouteNotFound);
    let Path(name) = name.map_err(|_| nowhere())?;
    let asset = site()?.assets.iter().find(|(address, _)| *address == name);
    let (_, file) = asset.ok_or_else(nowhere)?;
    file.answer(&policies, &conditions, Class::ContentAddressed)
        .await
}

fn site() -> Result<&'static Site, Fault> {
    SITE.as_ref()
        .ok_or_else(|| Fault::internal("the archive of Swagger UI can not be read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_page_names_every_asset_by_its_content_and_nothing_outside() {
        let site = SITE.as_ref().unwrap();
        let page = std::str::from_utf8(site.page.body()).unwrap();
        assert_eq!(site.assets.len(), 4);
        for (name, file) in &site.assets {
            let digest = format!("{:x}", Sha256::digest(file.body()));
            assert!(name.contains(&digest[..DIGITS]), "{name}");
            assert_eq!(page.matches(&format!("\"docs/assets/{name}\"")).count(), 1);
            assert!(file.body().len() > 100, "{name}");
        }
        assert!(!page.contains('{') && !page.contains("//"), "{page}");
    }

    #[test]
    fn an_archive_without_the_files_is_no_site() {
        assert!(Site::unpack(b"PK").is_none());
        // The end record of an empty archive.
        let mut empty = *b"PK\x05\x06                  ";
        empty[4..].fill(0);
        assert!(Site::unpack(&empty).is_none());
    }
}
