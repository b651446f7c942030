//! Who may ask: the layer in front of everything.
//!
//! A server on the loopback address is reached by every page that a browser of this machine shows. Three things keep
//! pages out: the `Host` header must be this server's own address (a name that an attacker points at 127.0.0.1 is
//! another one), an `Origin` header must be this server's own, and no response ever carries a CORS header. A token,
//! where one is set, keeps out everybody else; the dashboard is for nobody without it.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::access::Access;
use crate::refusal::Refusal;

/// The address that wants no token: whoever watches the process need not know it.
const HEALTH: &str = "/healthz";
/// Of the dashboard, what a browser needs before it is known: the way in, and how that looks.
const ENTRY: [&str; 2] = ["/login", "/assets/app.css"];
/// What is there for programs that use the model: without a token of its own, every program of this machine may.
const OF_MODEL: [&str; 2] = ["/v1/", "/metrics"];
/// How a page of this server, or a person by hand, sends something.
const OWN_SITES: [&str; 2] = ["same-origin", "none"];
/// Where a browser says from where it was sent.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The port that browsers leave out of `Host` and `Origin`.
const HTTP_PORT: u16 = 80;

/// What a request must carry.
pub(crate) struct Guard {
    /// The token's digest: digests have one length, and blake3 compares them in constant time.
    token: Option<blake3::Hash>,
    /// Names that `Host` may have; none means any, where only the token decides.
    hosts: Option<Vec<String>>,
    /// Who may see the dashboard, where there is one.
    access: Option<Arc<Access>>,
}

impl Guard {
    /// The guard of a server at `address`.
    pub fn new(address: SocketAddr, token: Option<&str>, access: Option<Arc<Access>>) -> Self {
        let hosts = address.ip().is_loopback().then(|| {
            let port = address.port();
            let names = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
            let own = match address {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            };
            let names: Vec<String> = names.into_iter().chain([own]).collect();
            let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
            if port == HTTP_PORT {
                hosts.extend(names);
            }
            hosts
        });
        Self { token: token.map(|t| blake3::hash(t.as_bytes())), hosts, access }
    }

    /// Whether a request may go on; looks at nothing but its address and headers.
    pub fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = one(headers, &HOST)?.unwrap_or_default();
        if self.hosts.as_ref().is_some_and(|hosts| !hosts.iter().any(|h| h.eq_ignore_ascii_case(host))) {
            return Err(Refusal::foreign(&format!("The Host header {host:?} is not this server's address.")));
        }
        let origin = one(headers, &ORIGIN)?;
        if let Some(origin) = origin {
            let own = ["http", "https"].iter().any(|scheme| {
                origin.strip_prefix(scheme).and_then(|o| o.strip_prefix("://")).is_some_and(|o| o == host)
            });
            if host.is_empty() || !own {
                return Err(Refusal::foreign(&format!("A page of {origin:?} sent this.")));
            }
        }
        if path == HEALTH || (self.access.is_some() && ENTRY.contains(&path)) {
            return Ok(());
        }
        let bearer = one(headers, &AUTHORIZATION)?.and_then(bearer);
        match (&self.token, &self.access) {
            (None, _) if OF_MODEL.iter().any(|of| path.starts_with(of)) => Ok(()),
            (Some(token), _) if bearer.is_some_and(|sent| blake3::hash(sent.as_bytes()) == *token) => Ok(()),
            (_, Some(access)) if bearer.is_some_and(|sent| access.is_token(sent)) => Ok(()),
            (_, Some(access)) if access.knows(headers, crate::app::now_s()) => {
                by_browser(method, origin.is_some(), one(headers, &SITE)?)
            }
            (None, None) => Ok(()),
            _ => Err(Refusal::token()),
        }
    }
}

/// The token of an `Authorization` header.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, sent) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(sent.trim())
}

/// What a browser sends with its cookie must come from a page of ours, where it changes anything: browsers say so.
fn by_browser(method: &Method, says_origin: bool, site: Option<&str>) -> Result<(), Refusal> {
    if method.is_safe() || (says_origin && site.is_none_or(|site| OWN_SITES.contains(&site))) {
        return Ok(());
    }
    Err(Refusal::foreign("Nothing says that a page of this server sent this."))
}

/// A header's only value. One that comes twice means one thing to us and another to whoever stands in front.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::foreign(&format!("The header {name} came twice.")));
    }
    match first.map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(Refusal::foreign(&format!("The header {name} is not text."))),
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
