//! The product's cache behind nothing but HTTP: what is left where nobody guards, counts, names or logs a
//! request. The measure of what all that costs.

use crate::bare::{self, Flavour};
use crate::service;
use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use product_catalog::app::App;
use product_catalog::catalog::{Catalog, ProductId, Shape, Stored};
use product_catalog::http::caching::{Heed, Policies, Verdict};
use product_catalog::product::{Coding, Version};
use product_catalog::upstream::transport;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Until it has a connection to the inventory.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);

/// What everybody gets: nobody is asked what he takes.
const SHAPE: Shape = Shape {
    version: Version::V2,
    coding: Coding::Identity,
    strict: false,
};

/// Answers with products of the inventory at `upstream`, once it has them all; for ever. `kept` is what
/// the product is told of how long things are kept, in seconds.
pub fn serve(addr: SocketAddr, upstream: SocketAddr, kept: &str) -> anyhow::Result<()> {
    let upstream = format!("http://{upstream}");
    let runtime = tokio::runtime::Runtime::new()?;
    let app: App = runtime.block_on(async {
        let transport = transport::network(&upstream.parse()?, CONNECTED_WITHIN)
            .map_err(anyhow::Error::from_boxed)?;
        let variables = [
            ("UPSTREAM_API", upstream.as_str()),
            ("API_KEY", "none"),
            ("CACHE_TTL_SECONDS", kept),
            ("HTTP_MAX_AGE_SECONDS", kept),
        ];
        let mut app = service::build(&variables, transport, None).await?;
        app.start()?;
        service::warmed(app.catalog()).await?;
        anyhow::Ok(app)
    })?;
    let catalog = Arc::clone(app.catalog());
    let max_age = Duration::from_secs(kept.parse().context("seconds")?);
    let policies = Arc::new(Policies::new(max_age));
    bare::listen(addr, Flavour::Apart, move |request| {
        let answer = product(&catalog, &policies, request);
        answer.unwrap_or_else(|| {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        })
    })
}

fn product(
    catalog: &Catalog,
    policies: &Policies,
    request: &mut Request<Incoming>,
) -> Option<Response<Full<Bytes>>> {
    let id = request.uri().path().strip_prefix("/products/")?;
    let served = catalog.at_hand(&ProductId::parse(id).ok()?)?;
    let rendition = Stored::at_hand(&served.stored, SHAPE)?;
    let (metadata, body) = policies.of_product(&served, rendition, Heed::default());
    let is_304 = matches!(metadata.judged_by(request.headers()), Verdict::NotModified);
    // As the product does it: the connection gets its map back.
    let mut headers: HeaderMap = std::mem::take(request.headers_mut());
    headers.clear();
    metadata.write(&mut headers, is_304);
    let (status, body) = match is_304 {
        true => (StatusCode::NOT_MODIFIED, Full::default()),
        false => (StatusCode::OK, Full::new(body)),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Some(answer)
}
