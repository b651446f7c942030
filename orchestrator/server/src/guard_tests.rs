use axum::http::HeaderValue;

use super::*;
use crate::testing::{ADDRESS, TOKEN};

fn check(guard: &Guard, path: &str, sent: &[(HeaderName, &str)]) -> u16 {
    let mut headers = HeaderMap::new();
    for (name, value) in sent {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    guard.check(&Method::GET, path, &headers).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
}

fn loopback(token: Option<&str>) -> Guard {
    Guard::new(ADDRESS.parse().unwrap(), token, None)
}

#[test]
fn only_this_machines_names_are_hosts() {
    let guard = loopback(None);
    for host in [ADDRESS, "localhost:8765", "LOCALHOST:8765", "[::1]:8765"] {
        assert_eq!(check(&guard, "/v1/models", &[(HOST, host)]), 200, "{host}");
    }
    let foreign = [
        "",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:87650",
        "127.0.0.1:8765.",
        "localhost",
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example:8765",
        "localhost.evil.example:8765",
        "localhost.:8765",
        "xlocalhost:8765",
        "127.0.0.1:8765,evil.example",
        "user@127.0.0.1:8765",
        "http://127.0.0.1:8765",
        "127.1:8765",
        "0.0.0.0:8765",
        "2130706433:8765",
        "0x7f.1:8765",
        "[::ffff:127.0.0.1]:8765",
        "[::]:8765",
        "127.0.0.1:8765/",
        "127.0.0.1:8765 ",
        " 127.0.0.1:8765",
        "127.0.0.1:08765",
        "127.0.0.1:+8765",
    ];
    for host in foreign {
        assert_eq!(check(&guard, "/v1/models", &[(HOST, host)]), 403, "{host}");
        assert_eq!(check(&guard, "/healthz", &[(HOST, host)]), 403, "{host}");
    }
    assert_eq!(check(&guard, "/v1/models", &[]), 403, "no Host");
    assert_eq!(check(&guard, "/v1/models", &[(HOST, ADDRESS), (HOST, ADDRESS)]), 403, "two Hosts");
}

#[test]
fn the_usual_port_may_be_left_out() {
    let guard = Guard::new("127.0.0.1:80".parse().unwrap(), None, None);
    for (host, status) in [("localhost", 200), ("127.0.0.1:80", 200), ("evil.example", 403)] {
        assert_eq!(check(&guard, "/", &[(HOST, host)]), status, "{host}");
    }
}

#[test]
fn only_the_servers_own_pages_may_ask() {
    let guard = loopback(None);
    let own = [(ADDRESS, "http://127.0.0.1:8765"), ("localhost:8765", "http://localhost:8765")];
    for (host, origin) in own {
        assert_eq!(check(&guard, "/", &[(HOST, host), (ORIGIN, origin)]), 200, "{origin}");
    }
    let foreign = [
        "",
        "null",
        "http://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:8766",
        "http://localhost:8765",
        "http://127.0.0.1:8765.evil.example",
        "http://127.0.0.1:8765@evil.example",
        "127.0.0.1:8765",
        "file://127.0.0.1:8765",
        "http://127.0.0.1:8765/",
        "chrome-extension://127.0.0.1:8765",
        "http://127.0.0.1:8765 http://evil.example",
        "httphttp://127.0.0.1:8765",
    ];
    for origin in foreign {
        assert_eq!(check(&guard, "/", &[(HOST, ADDRESS), (ORIGIN, origin)]), 403, "{origin}");
    }
}

#[test]
fn a_token_is_wanted_everywhere_but_for_health() {
    let guard = loopback(Some(TOKEN));
    let with = |value: &str| check(&guard, "/v1/models", &[(HOST, ADDRESS), (AUTHORIZATION, value)]);
    assert_eq!(with(&format!("Bearer {TOKEN}")), 200);
    assert_eq!(with(&format!("bearer {TOKEN}")), 200);
    for value in [
        String::new(),
        TOKEN.to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {TOKEN}"),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", &TOKEN[1..]),
        format!("Bearer {}", TOKEN.to_uppercase()),
    ] {
        assert_eq!(with(&value), 401, "{value}");
    }
    assert_eq!(check(&guard, "/healthz", &[(HOST, ADDRESS)]), 200);
    for path in
        ["/", "/metrics", "/v1/models", "/healthz/", "//healthz", "/healthz/x", "/Healthz", "/no/such"]
    {
        assert_eq!(check(&guard, path, &[(HOST, ADDRESS)]), 401, "{path}");
    }
}

#[test]
fn on_other_addresses_the_token_decides() {
    let guard = Guard::new("192.0.2.1:8765".parse().unwrap(), Some(TOKEN), None);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(check(&guard, "/v1/models", &[(HOST, "box.example"), (AUTHORIZATION, &bearer)]), 200);
    assert_eq!(check(&guard, "/v1/models", &[(HOST, "box.example")]), 401);
    let page = (ORIGIN, "http://evil.example");
    assert_eq!(check(&guard, "/v1/models", &[(HOST, "box.example"), page, (AUTHORIZATION, &bearer)]), 403);
}
